--- Turn by turn: what a step does, and how a plain call or `run` makes steps until there is nothing left to wait for.
--- Methods of the scheduler.

local error, pairs = error, pairs
local huge = math.huge

local errors = require "veo.errors"
local jobs = require "veo.async.job"

-- A frame gives at most this much to finished exchanges; the rest waits for the next one (seconds).
local FRAME_BUDGET = 0.001
-- A failed job is logged once nobody has asked about it for this long (seconds).
local REPORT_AFTER = 1
-- The longest sleep of a turn (milliseconds); anything of interest ends it earlier.
local LONG = 60000

local status = coroutine.status

local function busy(message)
  return errors.new { code = "busy", message = message }
end

-- A turn --------------------------------------------------------------------------------------------------------------

-- Resumes who is ready, in order, until `stop`.
local function run_ready(self, stop)
  self.stepping = true
  local ready, now, run = self.ready, self.now, jobs.run
  while self.first <= self.last do
    local first = self.first
    local waiter = ready[first]
    ready[first] = false -- nil would have the table rehashed over and over
    self.first = first + 1
    local job = waiter and waiter.job
    if job and job.waiter == waiter and waiter.why -- none when it has ended, none while it waits anew
      and not (job.away and status(job.away) == "suspended") then -- else it yielded to somebody else
      run(self, job, waiter.why)
    end
    if stop and now() >= stop then break end
  end
  self.stepping = false
  if self.first > self.last then
    self.first = 1 -- in this order: between the two, an error may come
    self.last = 0
  end
end

local function collect(self)
  local core = self.core
  local transfer, waiter = core:take()
  while transfer do
    if waiter and waiter.transfer == transfer then self:wake(waiter, "done") end -- else it waits for it no more
    transfer, waiter = core:take()
  end
end

-- When a wait may be over that nobody else tells of; nil for never.
local function next_end(self)
  local first, due = self.timers[1], self.places.due
  if first and first.due < due then due = first.due end
  if due < huge then return due end
end

-- When something is to be done that nobody else tells of; nil for never.
local function next_due(self)
  local due, upkeep = next_end(self) or huge, self.upkeep
  local at = upkeep and upkeep:due() or huge
  if at < due then due = at end
  if due < huge then return due end
end

local function expire(self)
  local now, upkeep = self.now(), self.upkeep
  if upkeep and upkeep:due() <= now then upkeep:beat() end
  if self.places.due <= now then self.places:expire(self) end
  local waiter = self.timers:pop(now)
  while waiter do
    self:wake(waiter, "timeout")
    waiter = self.timers:pop(now)
  end
end

local function take_turn(self, ms)
  if self.changing then self:mend() end
  if self.first <= self.last or self.places:have_room(self) then ms = 0 end
  if self.core:step(ms) > 0 then collect(self) end
  local due = next_due(self)
  if due and due <= self.now() then expire(self) end
  local ready, room = self.first <= self.last, self.places:have_room(self)
  local stop = (ready or room) and ms == 0 and self.now() + FRAME_BUDGET or nil
  if ready then run_ready(self, stop) end
  if self.closed then return end
  if room or ready and self.places:have_room(self) then self.places:serve(self, stop) end
  if self.failed[1] then jobs.report(self, self.now() - REPORT_AFTER) end
  self:set_alarm()
end

-- One turn: lets exchanges go on for at most `ms`, then resumes who is ready; without sleeping, for a bounded time.
local function turn(self, ms)
  local ok, err = self:protect(take_turn, self, ms)
  if ok then return end
  self:recover()
  error(err, 0)
end

-- Until a wait is over ------------------------------------------------------------------------------------------------

local function awaits(waiter)
  return waiter and waiter.transfer and not waiter.why
end

-- Whether somebody waits for what is under way; whoever was found to is asked first.
local function is_awaited(self)
  if self.witness and self.witness.state == "pending" and awaits(self.witness.waiter) then return true end
  for waiter in pairs(self.drivers) do
    if awaits(waiter) then return true end
  end
  for job in pairs(self.jobs) do
    if awaits(job.waiter) then
      self.witness = job
      return true
    end
  end
  self.witness = nil
  return false
end

-- Nothing under way can end any wait.
local function is_stuck(self)
  return self.first > self.last and not next_end(self) and not self.places:have_room(self)
    and (self.core:under_way() == 0 or not is_awaited(self))
end

local function pause(self, waiter)
  waiter.pausing = true
  self.pause()
  waiter.pausing = false
  if waiter.why then self.unseen = self.unseen - 1 end
end

local function turns(self, waiter)
  while not waiter.why do
    if self.closed then return "closed" end
    if is_stuck(self) then return "stuck" end
    turn(self, self.pause and 0 or LONG)
    if self.pause and not waiter.why and self.first > self.last then pause(self, waiter) end
  end
  return waiter.why
end

---@param Scheduler table   the class
return function(Scheduler)
  ---Resumes whoever need not wait any more.
  Scheduler.run_ready = run_ready

  ---The core wakes foreign loops at the next timer; at once while a driver has not seen its answer, or else the second of
  ---two coroutines that watch the descriptor would sleep on.
  function Scheduler:set_alarm()
    if self.closed then return end
    local due = next_due(self)
    if self.unseen > 0 or self.first <= self.last or self.places:have_room(self) then due = 0 end
    if due ~= self.alarm then
      self.core:wake_at(due)
      self.alarm = due -- not before: an error in between would leave the core with another time
    end
  end

  ---A plain call drives the client until its wait is over.
  function Scheduler:drive(waiter)
    self.drivers[waiter] = true
    self:set_alarm()
    local ok, why = self:protect(turns, self, waiter)
    if not ok then
      -- Nobody waits any more.
      if waiter.pausing and waiter.why then self.unseen = self.unseen - 1 end
      waiter.pausing = false
      if waiter.transfer then waiter.transfer:cancel() end
      self:wake(waiter, "cancelled")
      waiter.told = nil
    end
    self.drivers[waiter] = nil
    self:set_alarm()
    if not ok then error(why, 0) end
    return why
  end

  ---One step: sleeps for at most `ms`; with 0 never, and then takes about a millisecond at most.
  ---@param ms number|nil
  ---@return integer|nil pending  jobs not ended
  ---@return veo.Error|nil
  function Scheduler:step(ms)
    if self.stepping or self.current then return nil, busy("step was called inside step") end
    turn(self, ms or 0)
    return self.count
  end

  ---Steps until every job has ended.
  ---@return true|nil, veo.Error|nil
  function Scheduler:run()
    local obstacle = self:obstacle()
    if obstacle or self.current then
      return nil, obstacle or busy("run was called inside a job: wait for the jobs instead")
    end
    local waiter = {}
    while self.count > 0 and not self.closed do
      if is_stuck(self) then return nil, busy("the jobs that are left wait for each other") end
      turn(self, self.pause and 0 or LONG)
      if self.pause and self.count > 0 and self.first > self.last then pause(self, waiter) end
    end
    jobs.report(self, huge)
    return true
  end
end
