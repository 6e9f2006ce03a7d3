--- The places for exchanges under way, and the line before them. libcurl is not asked to queue (a thousand handles added
--- at once cost 4.2 times the CPU of a pool, measured), and an exchange in line holds no handle of libcurl: ten thousand
--- of them would take 150 MiB.

local M = {}
local Places = {}
Places.__index = Places

-- Looks are started for whoever stands in line, which saves waking it twice: should an error come in between, a second
-- one costs nothing. Whatever else there is starts itself, for an order must not start twice.
local HARMLESS = { look = true, status = true }
-- Going through the line for those whose time is over costs about so much each, and is to take a tenth of the time.
local SCAN = 2e-6

---@param count integer   exchanges under way at a time
---@param timeout number  seconds of one exchange, as the core has it
function M.new(count, timeout)
  return setmetatable({
    count = count,
    free = count,
    plain = {}, -- coroutines that hold one outside of jobs; a job says itself that it has one
    timeout = timeout,
    line = {},  -- waiters for a place, from `head` to `tail`; false before and behind, so that nothing rehashes
    head = 1,
    tail = 0,
    due = math.huge, -- when to look for those in line whose time is over: not later than the first of them
  }, Places)
end

local main = {} -- stands for the main program where Lua 5.1 gives no coroutine
local running, next = coroutine.running, next

-- Who calls outside of jobs. It has one place at most.
local function caller()
  return running() or main
end

-- The options of an exchange that has to end at `due`: libcurl's own time-out does it, which costs no timer of ours.
local function ending_at(self, scheduler, due, options)
  local left = due - scheduler.now()
  local timeout = options and options.timeout or self.timeout
  if timeout > 0 and timeout <= left then return options end
  return { timeout = left > 0.001 and left or 0.001, connect_timeout = options and options.connect_timeout }
end

local function start(self, scheduler, due, operation, request, options)
  if due then options = ending_at(self, scheduler, due, options) end
  return scheduler.core:start(operation, request, options)
end

local function perform(self, scheduler, due, operation, request, options)
  local transfer, failure = start(self, scheduler, due, operation, request, options)
  if not transfer then return nil, failure end
  scheduler:await(transfer)
  return transfer:result()
end

-- A free place becomes a job's or a plain call's, or is free again.
local function give(self, job, who)
  self.free = self.free - 1
  if job then job.placed = true else self.plain[who] = true end
end

-- Nothing when it was taken back before: then another call of the same was made meanwhile.
local function take_back(self, job)
  if job then
    if not job.placed then return end
    job.placed = false
  else
    local who = caller()
    if not self.plain[who] then return end
    self.plain[who] = nil
  end
  self.free = self.free + 1
end

-- Starts what a waiter in line stands there for; it goes on waiting, for the end of it.
local function start_for(self, scheduler, waiter)
  local transfer, failure = start(self, scheduler, waiter.limit, waiter.operation, waiter.request, waiter.options)
  waiter.started, waiter.failure = transfer, failure
  if not transfer or not scheduler:attach(transfer, waiter) then scheduler:wake(waiter, "done") end
end

-- Whether it stands in line still.
local function stands(waiter)
  local job = waiter and waiter.job
  return waiter and not waiter.why and (not job or job.waiter == waiter)
end

-- Gives free places to those who stand first in line; each leaves the line last, so that an error loses none.
local function serve(self, scheduler)
  local line = self.line
  while self.free > 0 and self.head <= self.tail do
    local waiter = line[self.head]
    if stands(waiter) then
      give(self, waiter.job, waiter.caller)
      if waiter.operation then start_for(self, scheduler, waiter) else scheduler:wake(waiter, "done") end
    end
    line[self.head] = false
    self.head = self.head + 1
    if self.head > self.tail then
      self.head = 1
      self.tail = 0
      self.due = math.huge
    end
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

local function stand_in_line(self, scheduler, due, operation, request, options)
  local job, harmless = scheduler.current, HARMLESS[operation]
  local waiter = { job = job, why = nil, transfer = nil, limit = due, started = nil,
    operation = harmless and operation, request = harmless and request, options = harmless and options }
  if not job then waiter.caller = caller() end
  scheduler.changing = true
  self.tail = self.tail + 1
  self.line[self.tail] = waiter
  if due and due < self.due then self.due = due end
  scheduler.changing = false
  return waiter
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
  local waiter = stand_in_line(self, scheduler, due, operation, request, options)
  local why = scheduler:await(nil, nil, waiter)
  if waiter.started then return waiter.started:result() end
  if waiter.failure then return nil, waiter.failure end
  if why ~= "done" then return nil, none(why) end
  return perform(self, scheduler, due, operation, request, options)
end

---Hands the place on to who stands first in line, or puts it back.
---@param scheduler table
---@param job veo.Job|nil  whose place it was; the caller's, when it is none
function Places:leave(scheduler, job)
  local was = scheduler.changing
  scheduler.changing = true
  take_back(self, job)
  if self.head <= self.tail then serve(self, scheduler) end
  scheduler.changing = was
end

-- Whether a coroutine that died with a place is still counted.
local function is_haunted(self)
  for who in pairs(self.plain) do
    if who ~= main and coroutine.status(who) == "dead" then return true end
  end
  return false
end

---Counts the places anew, after a change that an error interrupted half way.
---@param scheduler table
function Places:mend(scheduler)
  self.due = math.huge
  for at = self.head, self.tail do
    local waiter = self.line[at]
    if waiter and not waiter.why then -- who stands in line has none
      if waiter.job then waiter.job.placed = false else self.plain[waiter.caller] = nil end
      if waiter.limit then self.due = math.min(self.due, waiter.limit) end
    end
  end
  local free = self.count
  for who in pairs(self.plain) do
    if who ~= main and coroutine.status(who) == "dead" then self.plain[who] = nil else free = free - 1 end
  end
  for job in pairs(scheduler.jobs) do
    if job.placed then free = free - 1 end
  end
  self.free = free
  serve(self, scheduler)
end

---Waits for a place, starts the exchange, waits for its end.
---@return table|nil reply, table|nil failure
function Places:exchange(scheduler, due, operation, request, options)
  local job = scheduler.current
  if not job or job.placed then take_back(self, job) end -- an error kept an earlier call from giving it back
  if scheduler.changing or self.free == 0 and next(self.plain) and is_haunted(self) then scheduler:mend() end
  local go = wait_in_line
  if self.free > 0 then
    scheduler.changing = true
    give(self, job, job or caller())
    scheduler.changing = false
    go = perform
  end
  local ok, reply, failure = true, nil, nil
  if job then -- its end gives the place back; without a call in between ten thousand stacks are smaller
    reply, failure = go(self, scheduler, due, operation, request, options)
  else
    ok, reply, failure = scheduler:protect(go, self, scheduler, due, operation, request, options)
  end
  self:leave(scheduler, job)
  if not ok then error(reply, 0) end
  return reply, failure
end

return M
