--- The cleanup stack: what is let go of when a job ends early. Methods of the scheduler.

local rawequal = rawequal or function(a, b) return a == b end

local M = {}

---Has `cleanup:drop(how)` called if the current job is dropped or raises before it was `settled`. It is told which
---("cancelled", "closed", "failed"), and may return an error that names what the job leaves behind.
---@param cleanup { drop: fun(self: table, how: string): veo.Error|nil }  `below` is the stack's
---@return table cleanup
function M:on_drop(cleanup)
  local job = self.current
  if job then
    cleanup.below = job.cleanups
    job.cleanups = cleanup
  end
  return cleanup
end

---Takes an `on_drop` back.
---@param cleanup table
function M:settled(cleanup)
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

---Lets go of what the calls under way hold, down to `held`. Returns the error that the innermost of them names.
---@param job veo.Job
---@param how "cancelled"|"closed"|"failed"
---@param held table|nil  the cleanups that are to stay
---@return veo.Error|nil
function M:clean_up(job, how, held)
  local cleanup, err = job.cleanups, nil
  while cleanup and cleanup ~= held do
    job.cleanups = cleanup.below
    local named = cleanup:drop(how)
    err = err or named
    cleanup = job.cleanups
  end
  return err
end

---A call of the current job raised, and its caller may go on: what it holds above `held` is let go of. The error that
---names what is left is kept for the job's end: of an order that may be paid for any end, any other for the same error.
---@param held table|nil  the job's cleanups when the call began
---@param cause any       what it raised
function M:let_go(held, cause)
  local job = self.current
  local left, err = job.left, M.clean_up(self, job, "failed", held)
  local paid = err and (err.code == "uncertain" or err.charged ~= nil)
  if paid or err and not (left and (left.paid or rawequal(left.cause, cause))) then
    job.left = { err = err, paid = paid, cause = cause }
  end
end

---What a job leaves behind that ends early.
---@param job veo.Job
---@param how "cancelled"|"closed"|"failed"
---@param cause any  what it raised, if it did
---@return veo.Error|nil
function M:leftover(job, how, cause)
  local err, left = M.clean_up(self, job, how), job.left
  if err or not left then return err end
  return (left.paid or how == "failed" and rawequal(left.cause, cause)) and left.err or nil
end

return M
