--- The rates that the service allows: a window for orders (20 in 10 s, more are refused), and a rate of polls, which
--- grows until the service refuses one. No clock and no sleeping in here: `now` is passed in, and the result is seconds
--- to wait.

local error, ipairs, setmetatable, type = error, ipairs, setmetatable, type
local huge, max, min = math.huge, math.max, math.min

local retry = require "veo.policy.retry"

local M = {}

local function is_positive(value)
  return type(value) == "number" and value > 0 and value < huge -- NaN fails both
end

local function positive(value, name)
  if not is_positive(value) then error(name .. " must be a positive number", 3) end
  return value
end

--- Window -----------------------------------------------------------------------------------------------------------

local Window = {}
Window.__index = Window

-- Without a Retry-After, how long a refusal holds all orders back, as a share of the window. Our slots and the
-- service's differ when others use the account or requests bunch up on their way.
local REFUSED_SHARE = 0.1

---@param options { count: integer|nil, window: number|nil, now: fun(): number }
function M.window(options)
  local count = positive(options.count or 20, "rate.count")
  if count % 1 ~= 0 then error("rate.count must be a whole number", 2) end
  return setmetatable({
    count = count,
    window = positive(options.window or 10, "rate.window"),
    now = options.now,
    taken = {},   -- ring of the instants at which the last `count` slots were taken
    at = 1,       -- the oldest of them, which is the next to be overwritten
    hold = -huge, -- no order before this instant
  }, Window)
end

---Seconds until a slot is free, 0 when one is. Takes nothing.
---@return number
---@return number|nil hold  seconds of them for which the service holds orders back
function Window:peek()
  local now = self.now()
  local ready, hold = self.hold, self.hold > now and self.hold - now or nil
  local oldest = self.taken[self.at]
  if oldest and oldest + self.window > ready then ready = oldest + self.window end
  return ready > now and ready - now or 0, hold
end

---Takes a slot and returns 0, or returns the seconds after which to ask again and takes none.
---@return number
---@return number|nil hold
---@return number|nil taken  what gives the slot back
function Window:reserve()
  local wait, hold = self:peek()
  if wait > 0 then return wait, hold end
  return 0, nil, self:take()
end

---Notes a slot that was taken.
---@return number taken
function Window:take()
  local now = self.now()
  self.taken[self.at] = now
  self.at = self.at % self.count + 1
  return now
end

---Slots taken within the window that ends now.
---@return integer
function Window:used()
  local since, used = self.now() - self.window, 0
  for _, at in ipairs(self.taken) do
    if at > since then used = used + 1 end
  end
  return used
end

---Nothing of the order was sent: the service does not know of it, so the next order gets its slot.
---@param taken number  as `reserve` said
function Window:give_back(taken)
  local ring, count, free = self.taken, self.count, self.at
  for back = 1, count do -- from the newest on
    local i = (free - 1 - back) % count + 1
    if ring[i] == taken then
      -- The newer ones move up, so that the oldest is the next to be overwritten.
      for younger = back - 1, 1, -1 do
        local at = (free - 1 - younger) % count + 1
        ring[i], i = ring[at], at
      end
      ring[i], self.at = -huge, i
      return
    end
    if not ring[i] then return end
  end
end

---The service refused an order for its rate: holds all further ones back, at most for the longest Retry-After we obey.
---@param retry_after number|nil  seconds
function Window:refused(retry_after)
  if not is_positive(retry_after) then retry_after = self.window * REFUSED_SHARE end
  local hold = self.now() + min(retry_after, retry.retry_after_limit)
  if hold > self.hold then self.hold = hold end
end

--- Looks ------------------------------------------------------------------------------------------------------------

local Polls = {}
Polls.__index = Polls

-- An adaptive rate, in polls a second: one more for each second without a refusal; a refusal halves it, at most once a
-- second.
local FIRST, MOST, FEWEST = 10, 100, 1

---@param options { rate: number|false|nil, now: fun(): number }  rate in looks a second, nil: an adaptive one; false or 0: without a limit
function M.polls(options)
  local rate = options.rate
  if rate == 0 or rate == huge then rate = false end
  if rate then positive(rate, "rate.polls") end
  return setmetatable({
    adaptive = rate == nil,
    rate = rate == nil and FIRST or rate or huge, -- at `since`, of all clients together
    clients = 1, -- that share it
    since = options.now(),
    now = options.now,
    next = -huge, -- the first instant nobody has booked
    hold = -huge, -- no look before this instant
    halved = -huge,
    changes = 0, -- refusals: what was booked before the last one is to be booked anew
  }, Polls)
end

---How many clients look for one account, as far as a ledger shows: each gets its part of the rate, and when one comes or
---goes the others' parts change with the next of these calls.
---@param clients integer
function Polls:share(clients)
  self.clients = clients
end

-- The rate of all clients at an instant, which may lie in the future, if no refusal comes.
local function whole_rate_at(self, at)
  local rate = self.rate
  if not self.adaptive or rate >= MOST then return rate end
  local passed = at - self.since
  rate = rate + passed - passed % 1
  return rate < MOST and rate or MOST
end

local function rate_at(self, at)
  return whole_rate_at(self, at) / self.clients
end

-- Seconds that this many polls take from now on.
local function span(self, now, looks)
  local rate = whole_rate_at(self, now)
  looks = looks * self.clients
  if not self.adaptive or rate >= MOST then return looks / rate end
  local climb = MOST - rate
  local meanwhile = climb * (rate + MOST) / 2
  if looks > meanwhile then return climb + (looks - meanwhile) / MOST end
  return (rate * rate + 2 * looks) ^ 0.5 - rate
end

---Books the next look and returns the seconds to sleep before it. First come, first served, so every wait gets its
---share. The caller looks when it wakes, unless `changes` says that it has to book anew.
---@param active integer|nil  waits in progress: bookings of waits that ended meanwhile are forgotten beyond that many
---@param now number|nil      where the caller has just asked the clock
---@return number
function Polls:reserve(active, now)
  now = now or self.now()
  local first = self.hold > now and self.hold or now
  if self.rate == huge then return first - now end
  local at = self.next
  if at <= first then
    at = first
  elseif active then
    local last = first + active / rate_at(self, now)
    if at > last then at = last end
  end
  self.next = at + 1 / rate_at(self, at)
  return at - now
end

---The interval a wait should keep when `active` of them share the rate.
---@param active integer
---@param interval number  seconds the wait would like
---@return number seconds, boolean stretched
function Polls:stretch(active, interval)
  if active * self.clients <= interval * self.rate then return interval, false end
  local share = span(self, self.now(), active)
  if share > interval then return share, true end
  return interval, false
end

---The service refused a look for its rate: slows all further looks down, and moves them where it names a time.
---@param retry_after number|nil  seconds; a rate that is fixed, or none, pauses for 1 when the service names none
function Polls:refused(retry_after)
  local now = self.now()
  if self.adaptive then
    local rate = whole_rate_at(self, now)
    if now - self.halved >= 1 then
      rate, self.halved = max(rate / 2, FEWEST), now
    end
    self.rate, self.since = rate, now
  end
  if not is_positive(retry_after) then retry_after = self.adaptive and 0 or 1 end
  local hold = now + min(retry_after, retry.retry_after_limit)
  if hold > self.hold then self.hold = hold end
  -- Not at once: each refused poll would let the next one go, and many waits would poll as fast as they had booked.
  self.next, self.changes = now + self.clients / self.rate, self.changes + 1
end

return M
