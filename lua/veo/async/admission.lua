--- The queue before exchanges. libcurl is not asked to queue (a thousand handles added at once cost 4.2 times the CPU
--- of a pool, measured), and a queued exchange holds no handle of libcurl: ten thousand of them would take 150 MiB.
--- Whether there is room for another exchange is known to the core alone.
---
--- There are two queues: an order, or a fresh link for a file that is being saved, does not wait behind a thousand
--- looks.

local ipairs, setmetatable = ipairs, setmetatable
local huge, max = math.huge, math.max

local ended = require "veo.async.ended"
local lines = require "veo.util.line"

local M = {}
local Admission = {}
Admission.__index = Admission

-- Queued looks are started here, which saves waking their waiters twice: should an error come in between, a second look
-- costs nothing. Every other waiter is admitted and starts its exchange itself, for an order must not start twice.
local STARTED_HERE = { look = true, status = true }
-- Work on threads, which the core queues by itself.
local NOT_QUEUED = { save = true, digest = true }
-- How many urgent ones go before a look does.
local IN_A_ROW = 4
-- How long an admitted waiter keeps its room before it has started (seconds).
local HELD = 1
-- Going through the queues for those whose time is over costs about so much each, and is to take a tenth of the time.
local SCAN = 2e-6

---@param timeout number  seconds of one exchange, as the core has it
function M.new(timeout)
  return setmetatable({
    timeout = timeout,
    urgent = lines.new(),
    looks = lines.new(),
    row = 0, -- how many urgent ones have gone since a look did
    empty = true, -- nobody is queued
    due = huge, -- when to look for those whose time is over: not later than the first of them
  }, Admission)
end

-- The options of an exchange that has so many seconds left: the core's own time-out does it, which costs no timer here.
local function ending_in(self, left, options)
  local timeout = options and options.timeout or self.timeout
  if timeout > 0 and timeout <= left then return options end
  return { timeout = left > 0.001 and left or 0.001, connect_timeout = options and options.connect_timeout }
end

-- Starts an exchange for a waiter; nil and a failure when it cannot be started.
local function start(self, scheduler, waiter, due, operation, request, options, sent)
  if due then options = ending_in(self, due - scheduler.now(), options) end
  if sent then sent.starting = true end -- before this, nothing of it can have left
  local transfer, failure = scheduler.core:start(operation, request, options, waiter)
  if sent then sent.transfer = transfer end -- at once: an error in between loses the answer
  scheduler:expect(waiter, transfer)
  return transfer, failure
end

-- Why nothing was sent for a waiter that was queued until `why`.
local function unsent(why)
  if why == "timeout" then
    return { reason = "network", timed_out = true, sent = "no", message = "no answer before the deadline" }
  end
  return { reason = ended.code(why), sent = "no",
    message = why == "stale" and "it is not to be sent any more" or "it was " .. why }
end

local function perform(self, scheduler, due, operation, request, options, sent)
  if scheduler.closed then return nil, unsent("closed") end -- by a function of the user's, on the way here
  local waiter = scheduler.current or {}
  local transfer, failure = start(self, scheduler, waiter, due, operation, request, options, sent)
  if not transfer then return nil, failure end
  scheduler:await(nil, nil, waiter)
  if not sent then return transfer:result() end
  sent.answer = { transfer:result() } -- it is handed over once, and an error may come on the way to who asked
  return sent.answer[1], sent.answer[2]
end

-- Whether it is still queued: a waiter that was admitted or has given up is not.
local function is_queued(waiter)
  if not waiter or waiter.why then return false end
  local job = waiter.job
  return not job or job.waiter == waiter
end

-- Whether room is kept for it: it was admitted, and is about to start.
local function is_admitted(scheduler, waiter, now)
  if not waiter or not waiter.admitted or now - waiter.admitted > HELD then return false end
  local job = waiter.job
  return job and job.waiter == waiter or not job and scheduler.drivers[waiter] == true
end

-- Notes whether anybody is queued, when the queues have changed.
local function note_empty(self)
  self.empty = self.urgent.head > self.urgent.tail and self.looks.head > self.looks.tail
  if self.empty then self.due = huge end
end

---Whether a queued exchange could start.
---@param scheduler veo.Scheduler
---@return boolean
function Admission:has_room(scheduler)
  return not self.empty and not scheduler.closed and scheduler.core:room() > 0
end

---How many are queued, with those that have given up and not left yet.
---@return integer
function Admission:count()
  return self.urgent.tail - self.urgent.head + self.looks.tail - self.looks.head + 2
end

-- What is queued at this place leaves the queue and is started.
local function start_for(self, scheduler, line, at, now)
  local waiter = line[at]
  self.starting = waiter -- so that an error in between does not lose it
  line[at] = false
  local options, limit = waiter.settings, waiter.limit
  if limit then options = ending_in(self, limit - now, options) end
  local transfer, failure = scheduler.core:start(waiter.operation, waiter.request or waiter.taskId, options, waiter)
  scheduler:expect(waiter, transfer)
  waiter.started, waiter.operation, self.starting = transfer, nil, nil
  if not transfer then -- a job tries itself, and learns why not
    waiter.failure = failure
    scheduler:wake(waiter, "done")
  end
end

-- Who goes next: the queue and the place in it, and where both queues go on.
local function next_in_turn(self, urgent, look)
  if urgent <= self.urgent.tail and (self.row < IN_A_ROW or look > self.looks.tail) then
    return self.urgent, urgent, urgent + 1, look
  end
  return self.looks, look, urgent, look + 1
end

-- Whether the waiter at this place takes room; one that is queued no longer is taken out.
local function admit(self, scheduler, line, at, now)
  local waiter = line[at]
  if not is_queued(waiter) then
    if is_admitted(scheduler, waiter, now) then return true end
    line[at] = false
    return false
  end
  if line == self.urgent then self.row = self.row + 1 elseif self.row > 0 then self.row = 0 end
  if waiter.operation then
    start_for(self, scheduler, line, at, now)
  else
    waiter.admitted = now
    scheduler:wake(waiter, "done")
  end
  return true
end

---Gives the room there is to those who are queued first, until `stop`.
---@param scheduler veo.Scheduler
---@param stop number|nil
function Admission:serve(scheduler, stop)
  local now = scheduler.now()
  local room, urgent, look = scheduler.core:room(), self.urgent.head, self.looks.head
  while room > 0 and (urgent <= self.urgent.tail or look <= self.looks.tail) do
    local line, at = self.looks, look
    if urgent > self.urgent.tail then look = at + 1 else line, at, urgent, look = next_in_turn(self, urgent, look) end
    if admit(self, scheduler, line, at, now) then
      if scheduler.closed then return end
      room = room - 1
      if stop and scheduler.now() >= stop then room = 0 end
    end
  end
  self.urgent, self.looks = lines.close_up(self.urgent), lines.close_up(self.looks)
  note_empty(self)
end

---Ends the wait of those whose time is over. To be called at `due`.
---@param scheduler veo.Scheduler
function Admission:expire(scheduler)
  local now, due, count = scheduler.now(), huge, 0
  for _, line in ipairs { self.urgent, self.looks } do
    count = count + line.tail - line.head + 1
    for at = line.head, line.tail do
      local waiter = line[at]
      local limit = is_queued(waiter) and waiter.limit
      if limit and limit <= now then
        scheduler:wake(waiter, "timeout")
      elseif limit and limit < due then
        due = limit
      end
    end
  end
  self.due = max(due, now + 10 * SCAN * count)
end

---Makes good what an error interrupted half way: a waiter whose exchange was about to be started does so itself.
---@param scheduler veo.Scheduler
function Admission:mend(scheduler)
  local waiter = self.starting
  self.due = 0
  note_empty(self)
  if waiter and not waiter.why then
    waiter.started = nil
    scheduler:wake(waiter, "done")
  end
  self.starting = nil
end

---The client is closed: nothing that is queued has left.
---@param scheduler veo.Scheduler
function Admission:close(scheduler)
  for _, line in ipairs { self.urgent, self.looks } do
    for at = line.head, line.tail do
      if is_queued(line[at]) then scheduler:wake(line[at], "closed") end
    end
  end
  self.urgent, self.looks, self.empty = lines.new(), lines.new(), true
end

local function enter(self, line, waiter, due)
  self.empty = false -- first: should an error come in between, the next turn finds nobody
  lines.push(line, waiter)
  if due and due < self.due then self.due = due end
end

-- Waits in the queue for room, and for the end of what was started there.
local function wait_in_queue(self, scheduler, due, operation, request, options, sent)
  local here = STARTED_HERE[operation]
  local waiter = { job = scheduler.current, why = nil, transfer = nil, limit = due, started = nil,
    operation = here and operation, request = here and request, settings = here and options }
  enter(self, here and self.looks or self.urgent, waiter, due)
  local why = scheduler:await(nil, nil, waiter)
  waiter.admitted = nil
  if waiter.started then return waiter.started:result() end
  why = scheduler:cancelling() or why -- after it was admitted, and before it went on
  if why == "done" and sent and sent.still and not sent.still() then why = "stale" end
  if why ~= "done" then return nil, unsent(why) end
  return perform(self, scheduler, due, operation, request, options, sent)
end

---Waits for room, starts the exchange, waits for its end. A method of the scheduler.
---@param scheduler veo.Scheduler
---@param due number|nil    it ends then at the latest; on the clock of `now`
---@param operation string  and what follows as for the core's `start`
---@param sent table|nil    its function `still`, asked of one that was queued, says whether it is to be started; gets `starting`, `transfer` and `answer`, each as soon as there is one
---@return table|nil reply, table|nil failure
function M.exchange(scheduler, due, operation, request, options, sent)
  local self = scheduler.admission
  if not NOT_QUEUED[operation] and not scheduler.closed and (not self.empty or scheduler.core:room() <= 0) then
    return wait_in_queue(self, scheduler, due, operation, request, options, sent)
  end
  return perform(self, scheduler, due, operation, request, options, sent)
end

---Begins a look for a waiter with a `call`, now or once there is room; `answer` tells what came of it. A method of the
---scheduler.
---@param scheduler veo.Scheduler
---@param waiter veo.Waiter
---@param limit number  it ends then at the latest
---@param now number
---@param operation string
---@param taskId string  the waiter's own, in the queue
function M.begin(scheduler, waiter, limit, now, operation, taskId)
  local self = scheduler.admission
  if scheduler.closed then return end -- in between; whoever waits for the look is told so
  waiter.limit = limit
  if waiter.operation then waiter.operation = nil end -- else an error in between has it taken for one that is queued
  if not self.empty or scheduler.core:room() <= 0 then
    scheduler:expect_call(waiter)
    enter(self, self.looks, waiter, limit)
    waiter.operation = operation
    return
  end
  local transfer, failure = scheduler.core:start(operation, taskId, ending_in(self, limit - now), waiter)
  scheduler:expect_call(waiter, transfer)
  if transfer then
    waiter.started = transfer
  else
    waiter.failure = failure
    scheduler:wake(waiter, "done")
  end
end

---What came of it; handed over once. Neither when an error came in between.
---@param waiter veo.Waiter
---@return table|nil reply, table|nil failure
function M.answer(waiter)
  local transfer = waiter.started
  if transfer then
    waiter.started = nil
    return transfer:result()
  end
  if waiter.why ~= "done" then return nil, unsent(waiter.why) end
  local failure = waiter.failure
  waiter.failure = nil
  return nil, failure
end

return M
