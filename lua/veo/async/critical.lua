--- What a job may not be ended in the middle of, and what is let go of when it ends. Methods of the scheduler.

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

  ---Has `cleanup:drop(how)` called if the current job is dropped or raises before it was `settled`. It is told which
  ---("cancelled", "closed", "failed"), and may return an error that names what the job leaves behind.
  ---@param cleanup { drop: fun(self: table, how: string): veo.Error|nil }  `below` is the chain's
  ---@return table cleanup
  function Scheduler:on_drop(cleanup)
    local job = self.current
    if job then
      cleanup.below = job.cleanups
      job.cleanups = cleanup
    end
    return cleanup
  end

  ---Takes an `on_drop` back.
  ---@param cleanup table
  function Scheduler:settled(cleanup)
    local job = self.current
    if not job then return end
    if job.cleanups == cleanup then
      job.cleanups = cleanup.below
      return
    end
    local above = job.cleanups
    while above and above.below ~= cleanup do above = above.below end
    if above then above.below = cleanup.below end
  end
end
