--- The places for exchanges under way, and the line before them. libcurl is not asked to queue (a thousand handles added
--- at once cost 4.2 times the CPU of a pool, measured), and an exchange in line holds no handle of libcurl: ten thousand
--- of them would take 150 MiB.

local M = {}
local Places = {}
Places.__index = Places

---@param count integer   exchanges under way at a time
---@param timeout number  seconds of one exchange, as the core has it
function M.new(count, timeout)
  return setmetatable({
    count = count,
    free = count,
    plain = 0, -- held by calls outside of jobs; a job says itself that it has one
    timeout = timeout,
    line = {},  -- waiters for a place, from `head` to `tail`; false before and behind, so that nothing rehashes
    head = 1,
    tail = 0,
  }, Places)
end

-- Waits in line for a place; nil, or the failure of an exchange that had none in time.
local function stand_in_line(self, scheduler, due)
  local waiter = { job = nil, transfer = nil, due = nil, at = nil, why = nil }
  self.tail = self.tail + 1
  self.line[self.tail] = waiter
  local ok, why = scheduler:protect(scheduler.await, scheduler, nil, due, waiter)
  if not ok then
    if waiter.why == "done" then self:leave(scheduler, waiter.job) end
    error(why, 0)
  end
  if why == "done" then return nil end -- with a place
  if why == "timeout" then
    return { reason = "network", timed_out = true, sent = "no", message = "no answer before the deadline" }
  end
  return { reason = why == "closed" and "closed" or "cancelled", sent = "no", message = "it was " .. why }
end

-- The options of an exchange that has to end at `due`: libcurl's own time-out does it, which costs no timer of ours.
local function ending_at(self, scheduler, due, options)
  local left = due - scheduler.now()
  local timeout = options and options.timeout or self.timeout
  if timeout > 0 and timeout <= left then return options end
  return { timeout = left > 0.001 and left or 0.001, connect_timeout = options and options.connect_timeout }
end

local function perform(self, scheduler, due, operation, request, options)
  if due then options = ending_at(self, scheduler, due, options) end
  local transfer, failure = scheduler.core:start(operation, request, options)
  if not transfer then return nil, failure end
  scheduler:await(transfer)
  return transfer:result()
end

-- A free place becomes a job's or a plain call's, or is free again.
local function give(self, job)
  self.free = self.free - 1
  if job then job.placed = true else self.plain = self.plain + 1 end
end

local function take_back(self, job)
  if job then job.placed = false else self.plain = self.plain - 1 end
  self.free = self.free + 1
end

-- Gives free places to those who stand first in line.
local function serve(self, scheduler)
  local line = self.line
  while self.free > 0 and self.head <= self.tail do
    local waiter = line[self.head]
    line[self.head] = false
    self.head = self.head + 1
    if self.head > self.tail then self.head, self.tail = 1, 0 end
    if waiter and not waiter.why then
      give(self, waiter.job)
      scheduler:wake(waiter, "done")
    end
  end
end

---Hands the place on to who stands first in line, or puts it back.
---@param scheduler table
---@param job veo.Job|nil  whose place it was
function Places:leave(scheduler, job)
  scheduler.changing = true
  take_back(self, job)
  serve(self, scheduler)
  scheduler.changing = false
end

---Counts the places anew, after a change that an error interrupted half way.
---@param scheduler table
function Places:mend(scheduler)
  local free = self.count - self.plain
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
  if scheduler.changing then scheduler:mend() end
  if self.free > 0 then
    scheduler.changing = true
    give(self, job)
    scheduler.changing = false
  else
    local failure = stand_in_line(self, scheduler, due)
    if failure then return nil, failure end
  end
  local ok, reply, failure = scheduler:protect(perform, self, scheduler, due, operation, request, options)
  self:leave(scheduler, job)
  if not ok then error(reply, 0) end
  return reply, failure
end

return M
