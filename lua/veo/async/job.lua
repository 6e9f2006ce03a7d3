--- Jobs: functions that run beside others and whose client calls yield. Made by `client:spawn`.

local error, ipairs, pcall = error, ipairs, pcall
local select, setmetatable, type = select, setmetatable, type
local format = string.format

local callable = require "veo.util.callable"
local core = require "veo.core"
local errors = require "veo.errors"
local pending = require "veo.async.pending"
local tracebacks = require "veo.async.traceback"

local M = {}

---@class veo.Job: veo.Waiter
---@field state "pending"|"done"|"failed"|"cancelled"
---@field co thread|nil            while it is pending
---@field fn function|nil          until it starts
---@field first any                its argument, until it starts
---@field values table|nil         what its function returned, with `n`; nil and the error of one that ended otherwise
---@field waiters veo.Waiter[]|nil who waits for its end
---@field listeners function[]|nil what `on_end` was given
---@field heard integer|nil        how many of them were called
---@field asked boolean|nil        somebody waits for its result or has read it
---@field cancelling string|nil    "cancelled" or "closed": it is to end, now or behind its critical section
---@field waiter veo.Waiter|nil    the job itself, or another table; async.waiting writes it
---@field away thread|nil          the host's coroutine that it yielded to; async.waiting writes it
---@field cleanups table|nil       what is let go of if it ends early, a chain; async.cleanup writes it
---@field left table|nil           what a call that raised has left; async.cleanup writes it
---@field shielded boolean|nil     it is in a critical section; async.critical writes it, and the two below
---@field last_error veo.Error|nil what it ends with that was cancelled in one
---@field ordered string|nil       the task that it ordered last
---@field failed_at number|nil     when, on the client's clock; async.unhandled writes it
---@field driven boolean|nil       its caller does nothing but wait; async.loop writes it
local Job = { __name = "veo.job " .. core.version }
Job.__index = Job
Job.state = "pending"

local unpack = table.unpack or unpack -- luacheck: ignore
local status, create = coroutine.status, coroutine.create
local DONE = {}
---What a job's coroutine returns when its function has.
M.DONE = DONE
local NOTHING = { n = 0 }

local function pack(...)
  local n = select("#", ...)
  return n == 0 and NOTHING or { n = n, ... }
end

local function body(job)
  local fn, first = job.fn, job.first
  job.fn, job.first = nil, nil
  job.values = pack(fn(first))
  return DONE
end

---A job that runs `fn(...)` from the next step on.
---@param scheduler veo.Scheduler
---@param fn fun(...): ...
---@return veo.Job
function M.new(scheduler, fn, ...)
  local count, first = select("#", ...), ...
  if count > 1 then
    local called, arguments = fn, pack(...)
    fn = function() return called(unpack(arguments, 1, count)) end
  end
  -- Ten thousand jobs are slim when they have no closures and tables of their own; few calls have more than one
  -- argument. Eight fields are what a job has whose waiter is another table: with one more it would take 200 bytes more.
  local job = setmetatable({
    scheduler = scheduler,
    co = create(body),
    fn = fn, first = first,
    waiter = false,
    cleanups = nil,
    job = false, why = false, -- as a waiter
  }, Job)
  -- In this order: one that is not among the jobs does not run, should an error come in between.
  scheduler:await_first_turn(job)
  pending.add(scheduler, job)
  return job
end

function Job:__tostring()
  return "veo.job (" .. self.state .. ")"
end

-- Ending --------------------------------------------------------------------------------------------------------------

-- Wakes those that wait for the end and calls those that were given to `on_end`; each once, also when an error comes in
-- between and `finish` is called again.
local function announce(job)
  local waiters, listeners = job.waiters, job.listeners
  if waiters then
    for i = 1, #waiters do job.scheduler:wake(waiters[i], "done") end
    job.waiters = nil
  end
  if listeners then
    while job.heard < #listeners do
      job.heard = job.heard + 1
      listeners[job.heard](job)
    end
    job.listeners = nil
  end
end

-- To be called again when an error interrupted it; the job is among the scheduler's until all is done.
local function finish(job, state, values)
  local scheduler = job.scheduler
  job.state, job.values = state, values
  scheduler:forget(job)
  job.co = nil
  if state ~= "done" then job.fn, job.first = nil, nil end -- it may not have begun
  announce(job)
  if state == "failed" and not job.asked then scheduler:note_failure(job) end
  pending.remove(scheduler, job)
end

local function fail(job, cause)
  job.scheduler:mend_timers()
  local text = tracebacks.text(cause)
  local trace = tracebacks.of(job.co, cause, text)
  local left = job.scheduler:leftover(job, "failed", cause) or NOTHING
  local ok, is_error = pcall(errors.is, cause) -- an __index of the user's may raise as well
  local err = ok and is_error and cause
    or errors.new { code = "job_failed", message = text, cause = cause, traceback = trace,
      taskId = left.taskId, candidate = left.candidate, recordId = left.recordId, ref = left.ref,
      charged = left.charged }
  if err == cause and not err.traceback then err.traceback = trace end
  finish(job, "failed", { n = 2, nil, err })
end

-- A cancelled job is not unwound but dropped, so that no code of its can hold the host up.
local function drop(job)
  local left = job.scheduler:leftover(job, job.cancelling)
  local err = job.last_error or errors.is(left) and left
    or errors.new { code = job.cancelling, message = "the job was " .. job.cancelling, taskId = job.ordered }
  if job.ordered then errors.paid(err) end
  finish(job, "cancelled", { n = 2, nil, err })
end

---Its coroutine waits, has ended or has raised.
---@param job veo.Job
---@param ok boolean
---@param said any  what it yielded, returned or raised
---@return boolean|nil waits
function M.gave_back(job, ok, said)
  if job.state ~= "pending" then return end
  if not ok then
    fail(job, said)
  elseif said == DONE then
    if job.cleanups then job.scheduler:clean_up(job, "failed") end -- it caught an error that came while it let go
    finish(job, "done", job.values)
  elseif job.cancelling and not job.shielded then
    job.scheduler:interrupt(job)
    drop(job)
  else
    return true
  end
end

---Whether the job has ended; an end that was interrupted half way is made good.
---@param job veo.Job
function M.finished(job)
  if job.state == "pending" and status(job.co) ~= "dead" then return false end
  if job.state == "pending" and not job.values then
    fail(job, "the job was interrupted")
  else
    finish(job, job.state == "pending" and "done" or job.state, job.values)
  end
  return true
end

---@param job veo.Job
---@param how "cancelled"|"closed"  a critical section waits for what is under way when the client is closed
---@return boolean ended
function M.cancel(job, how)
  if job.state ~= "pending" then return false end
  local scheduler = job.scheduler
  job.cancelling = how
  if job == scheduler.current then return false end -- its next call does not return
  if job.shielded then
    if how == "cancelled" then scheduler:interrupt(job) end
    return false
  end
  scheduler:interrupt(job)
  drop(job)
  return true
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

---Has `fn(job)` called once the job has ended, at once if it has ended already. Several functions are called in the
---order in which they were given. They run within the step, `cancel` or `close` that ended the job, as log functions
---do: what they raise is dropped, a call of the client that would wait is `busy`, and what they spawn runs from the
---next step on. A failure counts as noticed when one of them reads `job:result()`; else `on_job_error` and `log` hear
---of it.
---@param fn fun(job: veo.Job)
---@return veo.Job self
function Job:on_end(fn)
  if not callable(fn) then error("on_end: a function expected, got " .. type(fn), 2) end
  local told = self.scheduler.observer:wrap(function(job)
    local ok, why = pcall(fn, job)
    if ok then return end
    job.asked = nil -- what it read may not have been seen by anybody
    job.scheduler:report_raised(why)
  end)
  if self.state ~= "pending" then
    told(self)
  else
    if not self.listeners then self.listeners, self.heard = {}, 0 end
    self.listeners[#self.listeners + 1] = told
  end
  return self
end

---What a wait for a job ends with that cannot go on.
---@return veo.Error
function M.stuck()
  return errors.new { code = "busy", message = "the job waits for something that nothing can bring about" }
end

-- Notes one more who waits for the end. Those whose wait is over by then are left out now and then: one by one, each of
-- 10,000 that give up at the same time would go through all others.
local function await(job, waiter)
  local waiters = job.waiters
  if not waiters or #waiters >= waiters.most then
    local kept = {}
    for _, other in ipairs(waiters or kept) do
      if not other.why then kept[#kept + 1] = other end
    end
    kept.most = 2 * #kept + 8
    waiters, job.waiters = kept, kept
  end
  waiters[#waiters + 1] = waiter
end

-- Waits for its end with a waiter of its own.
local function await_end(job, timeout)
  local scheduler, waiter = job.scheduler, {}
  await(job, waiter)
  job.asked = true
  local why = scheduler:await(nil, timeout and scheduler.now() + timeout, waiter)
  if why == "done" or job.state ~= "pending" then return "done" end
  job.asked = false
  return why
end

---Waits for its end and returns its result; nil and a `timeout` error after `timeout` seconds.
---@param timeout number|nil  seconds; without it there is no limit
function Job:wait(timeout)
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    error("timeout: seconds as a number expected, got " .. type(timeout), 2)
  end
  if self.state ~= "pending" then return self:result() end
  local obstacle = self.scheduler:obstacle()
  if not obstacle and self.scheduler.current == self then
    obstacle = errors.new { code = "busy", message = "a job cannot wait for its own end" }
  end
  if obstacle then return nil, obstacle end
  local why = await_end(self, timeout)
  if why == "done" then return self:result() end
  if why == "timeout" then
    return nil, errors.new { code = "timeout", operation = "job", charged = "no",
      message = format("the job has not ended within %g s; it goes on", timeout) }
  end
  return nil, M.stuck()
end

---Ends the job. A billable exchange of which bytes may have left is not cut: the job then ends once its answer is
---there, and its error is `uncertain`, with the taskId when there is one.
---@return boolean ended  false when it ends later, or had ended before
function Job:cancel()
  return M.cancel(self, "cancelled")
end

return M
