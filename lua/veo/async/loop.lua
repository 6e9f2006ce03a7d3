--- Turn by turn: what a step does, and how a plain call or `run` makes steps until there is nothing left to wait for.
--- Methods of the scheduler.

local error, next, pairs, pcall = error, next, pairs, pcall
local huge = math.huge

local errors = require "veo.errors"
local jobs = require "veo.async.job"
local pending = require "veo.async.pending"
local yieldable = require "veo.async.yieldable"

local M = {}

-- A frame gives at most this much to finished exchanges; the rest waits for the next one (seconds).
local FRAME_BUDGET = 0.001
-- A failed job is logged once nobody has asked about it for this long (seconds).
local REPORT_AFTER = 1
-- The longest sleep of a turn (milliseconds); anything of interest ends it earlier.
local LONG = 60000

local running, status = coroutine.running, coroutine.status
local CROSSES = yieldable.CROSSES_PCALL

local function busy(message)
  return errors.new { code = "busy", message = message }
end

local function passed(self, before, ...)
  self.unguarded = before
  return true, ...
end

---Calls `fn(...)` as pcall does, for a caller that holds something which an error must not keep. In a job, whose end
---calls what `on_drop` was given, it is a plain call, and so in a coroutine that pcall would keep from yielding: what an
---error has left there is made good by the next call (`in_turn`).
---@return boolean ok, any ...
function M:protect(fn, ...)
  if self.current then return true, fn(...) end
  local here = not CROSSES and running()
  if not here then return pcall(fn, ...) end
  local before = self.unguarded
  self.unguarded = here
  return passed(self, before, fn(...))
end

---Whether the caller stands in a turn. What an error has left of one is made good.
---@return boolean
function M:in_turn()
  local co = self.unguarded
  local left = co and (status(co) == "dead" or not yieldable.stands(co, self.protect))
  if left then self.unguarded = nil end
  if left or self.torn then self:recover() end
  return self.stepping or self.current ~= nil
end

-- A turn --------------------------------------------------------------------------------------------------------------

local function collect(self)
  local core = self.core
  local transfer, waiter = core:take()
  while transfer do
    if waiter and waiter.transfer == transfer then self:wake(waiter, "done") end -- else it waits for it no more
    transfer, waiter = core:take()
  end
end

-- A thousand timers that end at once take 2 ms: of a turn that may not sleep they get half, and the next one the rest.
local function expire(self, hurries)
  local now, upkeep = self.now(), self.upkeep
  local stop = hurries and now + FRAME_BUDGET / 2 or nil
  if upkeep and upkeep:due() <= now then upkeep:beat() end
  if self.admission.due <= now then self.admission:expire(self) end
  local timers = self.timers
  local waiter = timers:first()
  while waiter and waiter.due <= now do
    timers:remove(waiter)
    self:wake(waiter, "timeout")
    waiter = timers:first()
    if stop and self.now() >= stop then return end
  end
end

-- Whether somebody in the queue could have a place.
local function has_room(self)
  return not self.admission.empty and self.admission:has_room(self)
end

-- Whether there is something to do that needs no exchange to go on.
local function is_ready(self)
  return self:has_ready() or has_room(self)
end

-- When the next wait ends by its time; `huge` for never.
local function next_end(self)
  local first, due = self.timers:first(), self.admission.due
  return first and first.due < due and first.due or due
end

-- When the next step has something to do, if no exchange has; nil for never.
local function next_due(self)
  local due, upkeep = next_end(self), self.upkeep
  local at = upkeep and upkeep:due() or huge
  if at < due then due = at end
  return due < huge and due or nil
end

-- What an error has left of an earlier turn, or of its repair.
local function mend(self)
  if self.torn then self:recover() elseif self.timers.changing then self:mend_timers() end
end

-- Lets exchanges go on for at most `ms`, then resumes who is ready: for a bounded time where the caller may not sleep.
local function turn(self, ms)
  mend(self)
  local sleeps = ms > 0
  if sleeps and is_ready(self) then ms = 0 end
  if self.core:step(ms) > 0 then collect(self) end
  expire(self, not sleeps)
  local ready, room = self:has_ready(), has_room(self)
  local stop = not sleeps and (ready or room) and self.now() + FRAME_BUDGET or nil
  if ready then self:run_ready(stop) end
  if self.closed then return end
  if room or ready and has_room(self) then self.admission:serve(self, stop) end
  if self.failed:first() then self:report(self.now() - REPORT_AFTER) end
  self:set_alarm()
end

---Tells the core when to wake foreign loops: at the next timer, and at once while a driver has not seen its answer, or
---else the second of two coroutines that watch the descriptor would sleep on.
function M:set_alarm()
  if self.closed then return end
  local at_once = is_ready(self) or next(self.unseen)
  local due = at_once and 0 or next_due(self)
  if due == self.alarm then return end
  self.alarm = false -- in this order: an error in between leaves the core with an unknown time
  self.core:wake_at(due)
  self.alarm = due
end

---One step: sleeps for at most `ms`; with 0 never, and then takes about a millisecond at most.
---@param ms number|nil
---@return integer|nil pending  jobs not ended
---@return veo.Error|nil
function M:step(ms)
  if (self.stepping or self.current or self.unguarded) and self:in_turn() then
    return nil, busy("step was called inside step")
  end
  local ok, err = self:protect(turn, self, ms or 0)
  if ok then return pending.count(self) end
  self:recover()
  error(err, 0)
end

-- Until a wait is over ------------------------------------------------------------------------------------------------

local function awaits(waiter)
  return waiter and waiter.transfer and not waiter.why
end

-- Whether anybody waits for what is under way. Whose exchange was begun last is asked first: going through all jobs
-- for each end made 20,000 downloads cost three times as much each as 500.
local function is_awaited(self, newest)
  if awaits(newest) or next(self.calls) then return true end
  for waiter in pairs(self.drivers) do
    if awaits(waiter) then return true end
  end
  for job in pairs(self.jobs) do
    if awaits(job.waiter) then return true end
  end
  return false
end

-- Nothing under way can end any wait.
local function is_stuck(self)
  if is_ready(self) or next_end(self) < huge then return false end
  local count, newest = self.core:under_way()
  return count == 0 or not is_awaited(self, newest)
end

local function pause(self, waiter)
  waiter.pausing = true
  self.pause()
  waiter.pausing = false
  self:seen(waiter)
end

local function is_over(self, waiter)
  local job = waiter.for_job
  return waiter.why or job and job.state ~= "pending" or waiter.for_all and pending.count(self) == 0
end

local function turns(self, waiter)
  while not is_over(self, waiter) do
    if self.closed then return "closed" end
    if not self.torn and is_stuck(self) then return "stuck" end
    turn(self, self.pause and 0 or LONG)
    if self.pause and not self:has_ready() and not is_over(self, waiter) then pause(self, waiter) end
  end
  return waiter.why
end

local function drive(self, waiter, begin, ...)
  self.drivers[waiter] = true
  self:set_alarm()
  local ok, why = self:protect(begin, self, waiter, ...)
  if not ok then -- nobody waits any more
    waiter.pausing = false
    if waiter.transfer then waiter.transfer:cancel() end
    self:wake(waiter, "cancelled")
  end
  self:seen(waiter)
  self.drivers[waiter] = nil
  if not ok then
    self:recover()
    if waiter.for_job then jobs.cancel(waiter.for_job, "cancelled") end
    error(why, 0)
  end
  self:set_alarm()
  return why
end

---A plain call drives the client until its wait is over.
---@param waiter veo.Waiter
function M:drive(waiter)
  return drive(self, waiter, turns)
end

local function begin_job(self, waiter, fn, ...)
  waiter.for_job = jobs.new(self, fn, ...)
  waiter.for_job.driven = not self.pause -- the caller does nothing but wait: no frame can be late
  return turns(self, waiter)
end

---A plain call drives a job of its own to its end. An error ends that too.
---@param fn fun(...): ...
---@return veo.Job job  still pending where nothing under way can end its wait
function M:drive_job(fn, ...)
  local waiter = { for_job = nil }
  drive(self, waiter, begin_job, fn, ...)
  return waiter.for_job
end

---Steps until every job has ended.
---@return true|nil, veo.Error|nil
function M:run()
  local obstacle = self:obstacle()
  if obstacle or self.current then
    return nil, obstacle or busy("run was called inside a job: wait for the jobs instead")
  end
  if self:drive { for_all = true } == "stuck" then return nil, busy("the jobs that are left wait for each other") end
  self:report(huge)
  return true
end

return M
