--- Failed jobs that nobody asks about: the log and `on_job_error` hear of each, once. Methods of the scheduler.

local pcall = pcall
local stderr = io and io.stderr

local tracebacks = require "veo.async.traceback"

local M = {}

---A job failed, and nobody waits for its result.
---@param job veo.Job
function M:note_failure(job)
  if job.failed_at then return end -- an error interrupted its end, which is made good
  job.failed_at = self.now()
  self.failed:push(job)
end

-- Without either it goes to standard error.
local function tell(self, job)
  local err = job.values[2]
  if self.log then self.log { event = "job_failed", err = err, message = err.message, traceback = err.traceback } end
  if self.on_job_error then
    self.on_job_error(err, job)
  elseif not self.log and stderr then
    pcall(stderr.write, stderr, "veo: a job failed: ", err.traceback or tracebacks.text(err), "\n")
  end
end

---A function given to `on_end` raised.
---@param why any
function M:report_raised(why)
  local message = "a function given to on_end raised: " .. tracebacks.text(why)
  if self.log then
    self.log { event = "warning", message = message }
  elseif stderr then
    pcall(stderr.write, stderr, "veo: ", message, "\n")
  end
end

---Tells of the jobs that failed before `before` and were not asked about since.
---@param before number
function M:report(before)
  local failed = self.failed
  local job = failed:first()
  while job and job.failed_at <= before do
    failed:pop() -- first: should an error come in between, it is not told of twice
    if not job.asked then tell(self, job) end
    job = failed:first()
  end
end

return M
