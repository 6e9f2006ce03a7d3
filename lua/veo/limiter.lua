--- Rates the service allows: a window for orders (20 in 10 s, more are refused) and a share of looks (10 a second).
--- No clock and no sleeping in here: `now` is handed in, and answers are seconds to wait.

local M = {}

local function is_positive(value)
  return type(value) == "number" and value > 0 and value < math.huge -- NaN fails both
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
    hold = -math.huge, -- no order before this instant
  }, Window)
end

---Seconds until a slot is free, 0 when one is. Takes nothing.
---@return number
function Window:peek()
  local now = self.now()
  local ready = self.hold
  local oldest = self.taken[self.at]
  if oldest and oldest + self.window > ready then ready = oldest + self.window end
  return ready > now and ready - now or 0
end

---Takes a slot and returns 0, or returns the seconds after which to ask again and takes none.
---@return number
function Window:reserve()
  local wait = self:peek()
  if wait > 0 then return wait end
  self.taken[self.at] = self.now()
  self.at = self.at % self.count + 1
  return 0
end

---The service refused an order for its rate: holds every further one back.
---@param retry_after number|nil  seconds
function Window:refused(retry_after)
  if not is_positive(retry_after) then retry_after = self.window * REFUSED_SHARE end
  local hold = self.now() + retry_after
  if hold > self.hold then self.hold = hold end
end

--- Looks ------------------------------------------------------------------------------------------------------------

local Polls = {}
Polls.__index = Polls

---@param options { rate: number|false|nil, now: fun(): number }  rate in looks a second; false or 0: without a limit
function M.polls(options)
  local rate = options.rate
  if rate == nil then rate = 10 end
  if rate == 0 or rate == math.huge then rate = false end
  if rate then positive(rate, "rate.polls") end
  return setmetatable({
    step = rate and 1 / rate or 0,
    now = options.now,
    next = -math.huge, -- the first instant nobody has booked
    hold = -math.huge, -- no look before this instant
  }, Polls)
end

---Books the next look and returns the seconds to sleep before it. First come, first served, so every wait gets its
---share; the caller looks when it wakes, without asking again.
---@param active integer|nil  waits in progress: bookings of waits that ended meanwhile are forgotten beyond that many
---@return number
function Polls:reserve(active)
  local now = self.now()
  local first = self.hold > now and self.hold or now
  if self.step == 0 then return first - now end
  local at = self.next > first and self.next or first
  if active and at > first + active * self.step then at = first + active * self.step end
  self.next = at + self.step
  return at - now
end

---The interval a wait should keep when `active` of them share the rate.
---@param active integer
---@param interval number  seconds the wait would like
---@return number seconds, boolean stretched
function Polls:stretch(active, interval)
  local share = active * self.step
  if share > interval then return share, true end
  return interval, false
end

---The service refused a look for its rate: moves all further looks.
---@param retry_after number|nil  seconds, 1 when the service names none
function Polls:refused(retry_after)
  if not is_positive(retry_after) then retry_after = 1 end
  local hold = self.now() + retry_after
  if hold > self.hold then self.hold = hold end
end

return M
