--- The cleanup stack: what is let go of when a job ends early. Methods of the scheduler.

---@param Scheduler table   the class
return function(Scheduler)
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
