--- Jobs: functions that run beside others and whose client calls yield. Made by `client:spawn`.

local error, ipairs, next, pcall = error, ipairs, next, pcall
local select, setmetatable, type = select, setmetatable, type
local format = string.format
local remove = table.remove
local rawequal = rawequal or function(a, b) return a == b end
local stderr = io and io.stderr

local core = require "veo.core"
local errors = require "veo.errors"
local tracebacks = require "veo.async.traceback"
local yieldable = require "veo.async.yieldable"

local M = {}

---@class veo.Job
local Job = { __name = "veo.job " .. core.version }
Job.__index = Job

local unpack = table.unpack or unpack -- luacheck: ignore
local running, status, create, start = coroutine.running, coroutine.status, coroutine.create, coroutine.resume
local yield = coroutine.yield
---What a job of ours yields; any other yield is somebody else's.
local YIELD = {}
local TRIAL = yieldable.TRIAL
---What its function returns with.
local DONE = {}
local NOTHING = { n = 0 }

local function pack(...)
  local n = select("#", ...)
  return n == 0 and NOTHING or { n = n, ... }
end

local function body(job, fn, first)
  job.fn, job.first = nil, nil
  job.values = pack(fn(first))
  return DONE
end

---@param scheduler table
---@param fn fun(...): ...
function M.new(scheduler, fn, ...)
  local count, first = select("#", ...), ...
  if count > 1 then
    local called, arguments = fn, pack(...)
    fn = function() return called(unpack(arguments, 1, count)) end
  end
  -- Ten thousand jobs are slim when they have no closures and tables of their own; few calls have more than one argument.
  -- Not there at first: shielded (inside a billable exchange: it is seen to its end), waiters (who waits for its
  -- end), values, ordered (the task that it ordered last).
  local job = setmetatable({
    scheduler = scheduler,
    state = "pending",
    co = create(body),
    fn = fn, first = first, -- until it starts
    waiter = nil, -- the job itself, or another table
    cleanups = nil, -- what a cancelled job leaves to be closed: a chain, the innermost first
    job = nil, transfer = nil, due = nil, at = nil, why = "spawned", -- as a waiter
  }, Job)
  job.job, job.waiter = job, job
  return job
end

function Job:__tostring()
  return "veo.job (" .. self.state .. ")"
end

-- Ending --------------------------------------------------------------------------------------------------------------

local function finish(job, state, values)
  local scheduler = job.scheduler
  job.state, job.values = state, values
  if job.waiter and job.waiter.at then scheduler.timers:remove(job.waiter) end
  job.co, job.waiter, job.fn, job.first, job.left = nil, nil, nil, nil, nil
  local waiters = job.waiters
  if waiters then
    for i = 1, #waiters do scheduler:wake(waiters[i], "done") end
    job.waiters = nil
  end
  if scheduler.jobs[job] then
    scheduler.jobs[job] = nil
    scheduler.count = next(scheduler.jobs) and scheduler.count - 1 or 0
  end
  if state == "failed" and not job.asked then
    job.failed_at = scheduler.now()
    scheduler.failed[#scheduler.failed + 1] = job
  end
end

-- Lets go of what the calls under way hold, down to `held`. Returns what the innermost has to say of it.
local function clean_up(job, how, held)
  local cleanup, word = job.cleanups, nil
  while cleanup and cleanup ~= held do
    job.cleanups = cleanup.below
    local said = cleanup:drop(how)
    word = word or said
    cleanup = job.cleanups
  end
  return word
end

---A call of a job raised, and its caller may go on: what it holds above `held` is let go of. The word of that is kept for
---the job's end: of an order that may be paid for any end, any other for the same error.
---@param job veo.Job
---@param held table|nil  the job's cleanups when the call began
---@param cause any       what it raised
function M.let_go(job, held, cause)
  local left, word = job.left, clean_up(job, "failed", held)
  local paid = word and (word.code == "uncertain" or word.charged ~= nil)
  if paid or word and not (left and (left.paid or rawequal(left.cause, cause))) then
    job.left = { word = word, paid = paid, cause = cause }
  end
end

local function fail(job, cause)
  if job.scheduler.changing or job.scheduler.timers.changing then job.scheduler:mend() end
  local text = tracebacks.text(cause)
  local trace = tracebacks.of(job.co, cause, text)
  local left = job.left
  local word = clean_up(job, "failed") or left and (left.paid or rawequal(left.cause, cause)) and left.word or NOTHING
  local ok, is_error = pcall(errors.is, cause) -- an __index of the user's may raise as well
  local err = ok and is_error and cause
    or errors.new { code = "job_failed", message = text, cause = cause, traceback = trace,
      taskId = word.taskId, candidate = word.candidate, recordId = word.recordId, ref = word.ref,
      charged = word.charged }
  finish(job, "failed", { n = 2, nil, err })
end

-- A cancelled job is not unwound but dropped, so that no code of its can hold the host up.
local function drop(job)
  local word = clean_up(job, job.cancelling) or job.left and job.left.paid and job.left.word
  local err = job.last_word or errors.is(word) and word
    or errors.new { code = job.cancelling, message = "the job was " .. job.cancelling, taskId = job.ordered }
  if job.ordered then errors.paid(err) end
  finish(job, "cancelled", { n = 2, nil, err })
end

-- Running -------------------------------------------------------------------------------------------------------------

local go_on

local function resume(scheduler, job, ...)
  if job.state ~= "pending" then return true end -- cancelled while it had yielded to somebody else
  scheduler.current, scheduler.stepping = job, true
  job.away = nil
  return go_on(scheduler, job, start(job.co, ...))
end

-- What the coroutine yielded or ended with. Yields that are not ours go on to whoever runs us, when there is a coroutine
-- that can, whole: cqueues says in the second value what it waits for.
function go_on(scheduler, job, ok, first, ...)
  if ok and first == TRIAL then return go_on(scheduler, job, start(job.co)) end
  scheduler.current = nil
  if not ok or first == YIELD or first == DONE then return ok, first end
  local here, main = running()
  if not here or main or yieldable.foreign_obstacle() then
    return false, "the job yielded outside of this client's calls, but step runs in the main program, or where Lua "
      .. "cannot yield: call step from the coroutine that should take it"
  end
  scheduler.stepping = false -- the host's other coroutines may call and step meanwhile
  job.away = here -- goes on by it, and by nobody else
  return resume(scheduler, job, yield(first, ...))
end

---Starts a job or goes on with it; `why` is what ended its wait.
function M.run(scheduler, job, why)
  local ok, said
  scheduler.current, scheduler.stepping = job, true
  if job.away then job.away = nil end
  if job.fn then
    ok, said = go_on(scheduler, job, start(job.co, job, job.fn, job.first))
  else
    ok, said = go_on(scheduler, job, start(job.co, why))
  end
  if job.state ~= "pending" then return end
  if not ok then
    fail(job, said)
  elseif said == DONE then
    if job.cleanups then clean_up(job, "failed") end -- it caught an error that came while it let go
    finish(job, "done", job.values)
  elseif job.cancelling and not job.shielded then
    scheduler:interrupt(job)
    drop(job)
  end
end

---Whether the job has ended; an end that was interrupted half way is made good.
function M.finished(job)
  if job.state == "pending" and status(job.co) ~= "dead" then return false end
  if job.state == "pending" and not job.values then
    fail(job, "the job was interrupted")
  else
    finish(job, job.state == "pending" and "done" or job.state, job.values)
  end
  return true
end

---Leaves the job until its waiter is woken. To be called inside it.
function M.suspend()
  return yield(YIELD)
end

-- To whoever wants to know; a failure that nobody would hear of goes to standard error.
local function tell(scheduler, job)
  local err = job.values[2]
  if scheduler.log then
    scheduler.log { event = "job_failed", err = err, message = err.message, traceback = err.traceback }
  end
  if scheduler.on_job_error then
    scheduler.on_job_error(err, job)
  elseif not scheduler.log and stderr then
    pcall(stderr.write, stderr, "veo: a job failed: ", err.traceback or tracebacks.text(err), "\n")
  end
end

---Tells of failed jobs nobody asked about that failed before `before`, each once.
function M.report(scheduler, before)
  local kept = {}
  for _, job in ipairs(scheduler.failed) do
    if not job.asked and job.failed_at > before then
      kept[#kept + 1] = job
    elseif not job.asked then
      job.asked = true
      tell(scheduler, job)
    end
  end
  scheduler.failed = kept
end

-- The job as users see it ---------------------------------------------------------------------------------------------

---@return "pending"|"done"|"failed"|"cancelled"
function Job:status()
  return self.state
end

---The values its function returned; nil and an error when it raised one, was cancelled, or has not ended.
function Job:result()
  if self.state == "pending" then
    return nil, errors.new { code = "busy", message = "the job has not ended yet" }
  end
  self.asked = true
  return unpack(self.values, 1, self.values.n)
end

---Waits for its end and returns its result; nil and a `timeout` error after `timeout` seconds.
---@param timeout number|nil  seconds; without it there is no limit
function Job:wait(timeout)
  local scheduler = self.scheduler
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    error("timeout: seconds as a number expected, got " .. type(timeout), 2)
  end
  if self.state ~= "pending" then return self:result() end
  local obstacle = scheduler:obstacle()
  if not obstacle and scheduler.current == self then
    obstacle = errors.new { code = "busy", message = "a job cannot wait for its own end" }
  end
  if obstacle then return nil, obstacle end
  local waiter = {}
  self.waiters = self.waiters or {}
  self.waiters[#self.waiters + 1] = waiter
  self.asked = true
  local why = scheduler:await(nil, timeout and scheduler.now() + timeout, waiter)
  if why == "done" or self.state ~= "pending" then return self:result() end
  self.asked = false
  for i, other in ipairs(self.waiters) do
    if other == waiter then remove(self.waiters, i) break end
  end
  if why == "timeout" then
    return nil, errors.new { code = "timeout", operation = "job", charged = "no",
      message = format("the job has not ended within %g s; it goes on", timeout) }
  end
  return nil, errors.new { code = "busy", message = "the job waits for something that nothing can bring about" }
end

---Ends the job. A billable exchange of which bytes may have left is not cut: the job then ends once its answer is
---there, and its error is `uncertain`, with the taskId when there is one.
---@return boolean ended  false when it ends later, or had ended before
function Job:cancel()
  return M.cancel(self, "cancelled")
end

---@param job veo.Job
---@param how "cancelled"|"closed"
function M.cancel(job, how)
  if job.state ~= "pending" then return false end
  local scheduler = job.scheduler
  job.cancelling = how
  if job == scheduler.current then return false end -- its next call does not return
  if job.shielded then
    scheduler:interrupt(job)
    return false
  end
  scheduler:interrupt(job)
  drop(job)
  return true
end

return M
