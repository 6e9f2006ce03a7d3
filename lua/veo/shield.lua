--- What a job may not be ended in the middle of, and what is let go of when it ends. Methods of the scheduler.

local jobs = require "veo.job"

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

  ---Has `fn` called if the current job is dropped or raises; returns what takes that back. It is told which ("cancelled",
  ---"closed", "failed"), and may return an error that names what the job leaves behind.
  ---@param fn fun(how: string): veo.Error|nil
  ---@return fun()
  function Scheduler:on_drop(fn)
    local job = self.current
    if not job then return function() end end
    local cleanups = job.cleanups or {}
    job.cleanups = cleanups
    cleanups[#cleanups + 1] = fn
    return function()
      for i = #cleanups, 1, -1 do
        if cleanups[i] == fn then table.remove(cleanups, i) return end
      end
    end
  end
end
