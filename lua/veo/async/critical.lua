--- Critical sections: what a job may not be ended in the middle of. Methods of the scheduler.

local M = {}

---From here to `unshield` cancelling lets the current job go on: a billable call of its is under way.
function M:shield()
  if self.current then self.current.shielded = true end
end

---Ends the critical section. A job that was cancelled meanwhile ends here, with `err`.
---@param err veo.Error|nil
---@param ordered string|nil  the task that was ordered in it: paid, whatever becomes of the job
function M:unshield(err, ordered)
  local job = self.current
  if not job then return end
  job.ordered = ordered or job.ordered
  job.shielded = false
  if job.cancelling then
    job.last_error = err
    self:suspend()
  end
end

---The critical section of a job is over without its doing.
---@param job veo.Job
---@param outer boolean|nil  it is in another one, which goes on
function M:break_shield(job, outer)
  job.shielded = outer
end

---Whether the current job, or the client, was ended, and it goes on only in its critical section.
---@return "cancelled"|"closed"|nil how
function M:cancelling()
  return self.closed and "closed" or self.current and self.current.cancelling or nil
end

return M
