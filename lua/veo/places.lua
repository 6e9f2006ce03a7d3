--- The line before the places for exchanges under way. libcurl is not asked to queue (a thousand handles added at once cost
--- 4.2 times the CPU of a pool, measured), and an exchange in line holds no handle of libcurl: ten thousand of them would
--- take 150 MiB. Whether there is a place is known to the core alone.

local M = {}
local Places = {}
Places.__index = Places

-- Looks are started for whoever stands in line, which saves waking it twice: should an error come in between, a second
-- one costs nothing. Whatever else there is starts itself, for an order must not start twice.
local HARMLESS = { look = true, status = true }
-- Work on threads, which have a line of their own in the core.
local PLACELESS = { save = true, program = true }
-- One that was told of its place and has not started within so many seconds does not come back for it.
local HELD = 1
-- Going through the line for those whose time is over costs about so much each, and is to take a tenth of the time.
local SCAN = 2e-6

---@param timeout number  seconds of one exchange, as the core has it
function M.new(timeout)
  return setmetatable({
    timeout = timeout,
    line = {}, -- waiters for a place, from `head` to `tail`; false before and behind, so that nothing rehashes
    head = 1,
    tail = 0,
    due = math.huge, -- when to look for those in line whose time is over: not later than the first of them
  }, Places)
end

-- The options of an exchange that has to end at `due`: libcurl's own time-out does it, which costs no timer of ours.
local function ending_at(self, scheduler, due, options)
  local left = due - scheduler.now()
  local timeout = options and options.timeout or self.timeout
  if timeout > 0 and timeout <= left then return options end
  return { timeout = left > 0.001 and left or 0.001, connect_timeout = options and options.connect_timeout }
end

-- Starts an exchange for a waiter; nil and a failure when it cannot be started.
local function start(self, scheduler, waiter, due, operation, request, options)
  if due then options = ending_at(self, scheduler, due, options) end
  local transfer, failure = scheduler.core:start(operation, request, options, waiter)
  waiter.transfer = transfer
  return transfer, failure
end

local function perform(self, scheduler, due, operation, request, options)
  local waiter = scheduler:waiter()
  local transfer, failure = start(self, scheduler, waiter, due, operation, request, options)
  if not transfer then return nil, failure end
  scheduler:await(nil, nil, waiter)
  return transfer:result()
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

---Whether somebody in line could have a place.
---@param scheduler table
---@return boolean
function Places:have_room(scheduler)
  return self.head <= self.tail and scheduler.core:room() > 0
end

-- What stands in line leaves it and is started.
local function start_for(self, scheduler, at)
  local waiter = self.line[at]
  self.serving = waiter -- so that an error loses it to nobody
  self.line[at] = false
  waiter.started = start(self, scheduler, waiter, waiter.limit, waiter.operation, waiter.request, waiter.options)
  self.serving = nil
  if not waiter.started then scheduler:wake(waiter, "done") end -- it tries itself, and learns why not
end

---Gives free places to those who stand first in line, until `stop`.
---@param scheduler table
---@param stop number|nil
function Places:serve(scheduler, stop)
  local line, at, now = self.line, self.head, scheduler.now()
  local room = scheduler.core:room()
  while room > 0 and at <= self.tail do
    local waiter = line[at]
    if stands(waiter) then
      room = room - 1
      if waiter.operation then
        start_for(self, scheduler, at)
        if scheduler.closed then return end
      else
        waiter.told = now
        scheduler:wake(waiter, "done")
      end
      if stop and scheduler.now() >= stop then room = 0 end
    elseif holds(waiter, now) then
      room = room - 1
    else
      line[at] = false
    end
    at = at + 1
  end
  local head = self.head
  while head <= self.tail and not line[head] do head = head + 1 end
  self.head = head
  if head > self.tail then
    self.head = 1
    self.tail = 0
    self.due = math.huge
  end
end

---Ends the wait of those in line whose time is over. To be called at `due`.
---@param scheduler table
function Places:expire(scheduler)
  local now, due = scheduler.now(), math.huge
  for at = self.head, self.tail do
    local waiter = self.line[at]
    local limit = stands(waiter) and waiter.limit
    if limit and limit <= now then
      scheduler:wake(waiter, "timeout")
    elseif limit and limit < due then
      due = limit
    end
  end
  self.due = math.max(due, now + 10 * SCAN * (self.tail - self.head))
end

---Makes good what an error interrupted half way: one that was just to be started does so itself.
---@param scheduler table
function Places:mend(scheduler)
  local waiter = self.serving
  self.due = self.head <= self.tail and 0 or math.huge
  if waiter and not waiter.why then
    waiter.started = nil
    scheduler:wake(waiter, "done")
  end
  self.serving = nil
end

---The client is closed: nothing of those in line has left.
---@param scheduler table
function Places:close(scheduler)
  for at = self.head, self.tail do
    local waiter = self.line[at]
    if stands(waiter) then scheduler:wake(waiter, "closed") end
  end
end

-- Why there is no exchange for one that stood in line until `why`.
local function none(why)
  if why == "timeout" then
    return { reason = "network", timed_out = true, sent = "no", message = "no answer before the deadline" }
  end
  return { reason = why == "closed" and "closed" or "cancelled", sent = "no", message = "it was " .. why }
end

-- Waits in line for a place, and for the end of what was started there.
local function wait_in_line(self, scheduler, due, operation, request, options)
  local harmless = HARMLESS[operation]
  local waiter = { job = scheduler.current, why = nil, transfer = nil, limit = due, started = nil,
    operation = harmless and operation, request = harmless and request, options = harmless and options }
  local tail = self.tail + 1
  self.line[tail] = waiter
  self.tail = tail
  if due and due < self.due then self.due = due end
  local why = scheduler:await(nil, nil, waiter)
  waiter.told = nil
  if waiter.started then return waiter.started:result() end
  if scheduler:cancelling() then why = "cancelled" end
  if scheduler.closed then why = "closed" end -- after it was told, and before it went on
  if why ~= "done" then return nil, none(why) end
  return perform(self, scheduler, due, operation, request, options)
end

---Waits for a place, starts the exchange, waits for its end.
---@return table|nil reply, table|nil failure
function Places:exchange(scheduler, due, operation, request, options)
  if not PLACELESS[operation] and (self.head <= self.tail or scheduler.core:room() <= 0) then
    return wait_in_line(self, scheduler, due, operation, request, options)
  end
  return perform(self, scheduler, due, operation, request, options)
end

return M
