--- The line before the places for exchanges under way. libcurl is not asked to queue (a thousand handles added at once cost
--- 4.2 times the CPU of a pool, measured), and an exchange in line holds no handle of libcurl: ten thousand of them would
--- take 150 MiB. Whether there is a place is known to the core alone.
---
--- There are two lines: an order, or a fresh link for a file that is being saved, does not stand behind a thousand looks.

local ipairs, setmetatable = ipairs, setmetatable
local huge, max = math.huge, math.max

local M = {}
local Places = {}
Places.__index = Places

-- Looks are started for whoever stands in line, which saves waking it twice: should an error come in between, a second
-- one costs nothing. Whatever else there is starts itself, for an order must not start twice.
local HARMLESS = { look = true, status = true }
-- Work on threads, which have a line of their own in the core.
local PLACELESS = { save = true, program = true, digest = true }
-- How many of the first line get a place before a look gets one.
local IN_A_ROW = 4
-- One that was told of its place and has not started within so many seconds does not come back for it.
local HELD = 1
-- Going through the line for those whose time is over costs about so much each, and is to take a tenth of the time.
local SCAN = 2e-6

-- Waiters for a place, from `head` to `tail`; false before and behind, so that nothing rehashes.
local function lines()
  return { head = 1, tail = 0 }
end

---@param timeout number  seconds of one exchange, as the core has it
function M.new(timeout)
  return setmetatable({
    timeout = timeout,
    first = lines(),
    looks = lines(),
    row = 0, -- how many of the first line have got a place since a look had its turn
    due = huge, -- when to look for those in line whose time is over: not later than the first of them
  }, Places)
end

-- The options of an exchange that has to end at `due`: the core's own time-out does it, which costs no timer here.
local function ending_at(self, scheduler, due, options)
  local left = due - scheduler.now()
  local timeout = options and options.timeout or self.timeout
  if timeout > 0 and timeout <= left then return options end
  return { timeout = left > 0.001 and left or 0.001, connect_timeout = options and options.connect_timeout }
end

-- Starts an exchange for a waiter; nil and a failure when it cannot be started.
local function start(self, scheduler, waiter, due, operation, request, options, sent)
  if due then options = ending_at(self, scheduler, due, options) end
  local core = scheduler.core
  if sent then sent.starting = true end -- before this, nothing of it can have left
  local transfer, failure = core:start(operation, request, options, waiter)
  if sent then sent.transfer = transfer end -- at once: an error in between loses the answer
  waiter.transfer = transfer
  return transfer, failure
end

-- Why there is no exchange for one that stood in line until `why`.
local function none(why)
  if why == "timeout" then
    return { reason = "network", timed_out = true, sent = "no", message = "no answer before the deadline" }
  end
  return { reason = why == "closed" and "closed" or "cancelled", sent = "no",
    message = why == "stale" and "it is not to be sent any more" or "it was " .. why }
end

local function perform(self, scheduler, due, operation, request, options, sent)
  if scheduler.closed then return nil, none("closed") end -- by a function of the user's, on the way here
  local waiter = scheduler:waiter()
  local transfer, failure = start(self, scheduler, waiter, due, operation, request, options, sent)
  if not transfer then return nil, failure end
  scheduler:await(nil, nil, waiter)
  if not sent then return transfer:result() end
  sent.answer = { transfer:result() } -- it is handed over once, and an error may come on the way to who asked
  return sent.answer[1], sent.answer[2]
end

-- Whether it stands in line still, and was told of no place.
local function stands(waiter)
  if not waiter or waiter.why then return false end
  local job = waiter.job
  return not job or job.waiter == waiter
end

-- Whether a place is kept for it: it was told of one, and is about to start.
local function holds(waiter, now)
  if not waiter or not waiter.told or now - waiter.told > HELD then return false end
  local job = waiter.job
  return not job or job.waiter == waiter
end

local function is_empty(self)
  return self.first.head > self.first.tail and self.looks.head > self.looks.tail
end

---Whether somebody in line could have a place.
---@param scheduler table
---@return boolean
function Places:have_room(scheduler)
  return not scheduler.closed and not is_empty(self) and scheduler.core:room() > 0
end

-- What stands in line leaves it and is started.
local function start_for(self, scheduler, line, at)
  local waiter = line[at]
  self.serving = waiter -- so that an error loses it to nobody
  line[at] = false
  waiter.started = start(self, scheduler, waiter, waiter.limit, waiter.operation, waiter.request, waiter.options)
  self.serving = nil
  if not waiter.started then scheduler:wake(waiter, "done") end -- it tries itself, and learns why not
end

-- Who is asked next: the line and its place in it.
local function next_in_turn(self, first, look)
  if first <= self.first.tail and (self.row < IN_A_ROW or look > self.looks.tail) then
    return self.first, first, first + 1, look
  end
  return self.looks, look, first, look + 1
end

-- The next who stands has one of the free places; whoever does not stand any more is taken out.
local function give(self, scheduler, line, at, now)
  local waiter = line[at]
  if not stands(waiter) then
    if holds(waiter, now) then return true end
    line[at] = false
    return false
  end
  self.row = line == self.first and self.row + 1 or 0
  if waiter.operation then
    start_for(self, scheduler, line, at)
  else
    waiter.told = now
    scheduler:wake(waiter, "done")
  end
  return true
end

local function close_up(line)
  local head = line.head
  while head <= line.tail and not line[head] do head = head + 1 end
  line.head = head
  if head > line.tail then
    line.head = 1
    line.tail = 0
  end
end

---Gives free places to those who stand first in line, until `stop`.
---@param scheduler table
---@param stop number|nil
function Places:serve(scheduler, stop)
  local now = scheduler.now()
  local room, first, look = scheduler.core:room(), self.first.head, self.looks.head
  while room > 0 and (first <= self.first.tail or look <= self.looks.tail) do
    local line, at
    line, at, first, look = next_in_turn(self, first, look)
    if give(self, scheduler, line, at, now) then
      if scheduler.closed then return end
      room = room - 1
      if stop and scheduler.now() >= stop then room = 0 end
    end
  end
  close_up(self.first)
  close_up(self.looks)
  if is_empty(self) then self.due = huge end
end

---Ends the wait of those in line whose time is over. To be called at `due`.
---@param scheduler table
function Places:expire(scheduler)
  local now, due, count = scheduler.now(), huge, 0
  for _, line in ipairs { self.first, self.looks } do
    count = count + line.tail - line.head + 1
    for at = line.head, line.tail do
      local waiter = line[at]
      local limit = stands(waiter) and waiter.limit
      if limit and limit <= now then
        scheduler:wake(waiter, "timeout")
      elseif limit and limit < due then
        due = limit
      end
    end
  end
  self.due = max(due, now + 10 * SCAN * count)
end

---Makes good what an error interrupted half way: one that was just to be started does so itself.
---@param scheduler table
function Places:mend(scheduler)
  local waiter = self.serving
  self.due = is_empty(self) and huge or 0
  if waiter and not waiter.why then
    waiter.started = nil
    scheduler:wake(waiter, "done")
  end
  self.serving = nil
end

---The client is closed: nothing of those in line has left.
---@param scheduler table
function Places:close(scheduler)
  for _, line in ipairs { self.first, self.looks } do
    for at = line.head, line.tail do
      if stands(line[at]) then scheduler:wake(line[at], "closed") end
    end
  end
end

-- Waits in line for a place, and for the end of what was started there.
local function wait_in_line(self, scheduler, due, operation, request, options, sent)
  local harmless = HARMLESS[operation]
  local waiter = { job = scheduler.current, why = nil, transfer = nil, limit = due, started = nil,
    operation = harmless and operation, request = harmless and request, options = harmless and options }
  local line = harmless and self.looks or self.first
  local tail = line.tail + 1
  line[tail] = waiter
  line.tail = tail
  if due and due < self.due then self.due = due end
  local why = scheduler:await(nil, nil, waiter)
  waiter.told = nil
  if waiter.started then return waiter.started:result() end
  if scheduler:cancelling() then why = "cancelled" end
  if scheduler.closed then why = "closed" end -- after it was told, and before it went on
  if why == "done" and sent and sent.still and not sent.still() then why = "stale" end
  if why ~= "done" then return nil, none(why) end
  return perform(self, scheduler, due, operation, request, options, sent)
end

---Waits for a place, starts the exchange, waits for its end.
---@param sent table|nil  its function `still`, asked of one that stood in line, says whether it is to be started; gets `starting`, `transfer` and `answer`, each as soon as there is one
---@return table|nil reply, table|nil failure
function Places:exchange(scheduler, due, operation, request, options, sent)
  if not PLACELESS[operation] and not scheduler.closed and (not is_empty(self) or scheduler.core:room() <= 0) then
    return wait_in_line(self, scheduler, due, operation, request, options, sent)
  end
  return perform(self, scheduler, due, operation, request, options, sent)
end

return M
