--- Critical sections: what a job may not be ended in the middle of. Methods of the scheduler.

local jobs = require "veo.async.job"

---@param Scheduler table   the class
return function(Scheduler)
  ---From here to `unshield` cancelling lets the current job go on: it sees to a billable call.
  function Scheduler:shield()
    if self.current then self.current.shielded = true end
  end

  ---Ends the shield; a job that was cancelled meanwhile ends here, with `err` as its last word.
  ---@param err veo.Error|nil
  function Scheduler:unshield(err)
    local job = self.current
    if not job then return end
    job.shielded = false
    if job.cancelling then
      job.last_word = err
      jobs.suspend()
    end
  end

  ---Whether the current job was cancelled and goes on only behind its shield.
  function Scheduler:cancelling()
    return self.current ~= nil and self.current.cancelling ~= nil
  end
end
