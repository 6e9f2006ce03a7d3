--- When a call is repeated, after which pause, and from which budget. The numbers are here and nowhere else.

local setmetatable, type = setmetatable, type
local huge, min = math.huge, math.min

local options = require "veo.util.options"

local M = {}

---@class veo.RetryPolicy
---@field attempts integer    exchanges of one call at most, the first one included
---@field base number         seconds: bound of the first pause
---@field max number          seconds: bound of any pause
---@field ambiguous boolean   repeat a billable call whose fate is unknown (can be charged twice)
---@field budget table|false  false: without a budget

M.defaults = {
  attempts = 4,
  base = 0.5,
  max = 8,
  ambiguous = false,
  -- One client in trouble must not become a storm: a repeat costs tokens, a success gives one back.
  budget = { tokens = 500, retry = 5, timeout = 10, success = 1 },
}

---A longer Retry-After than this is not waited for: the call ends and its error carries the value.
M.retry_after_limit = 120

local function finite(value)
  return type(value) == "number" and value == value and value ~= huge and value ~= -huge
end

local function not_negative(v) return finite(v) and v >= 0 end

local seconds = { expected = "seconds, 0 or more", test = not_negative }
local KINDS = {
  attempts = { expected = "a whole number, 1 to 100",
    test = function(v) return finite(v) and v >= 1 and v <= 100 and v % 1 == 0 end },
  base = seconds,
  max = seconds,
  ambiguous = { expected = "true or false", test = function(v) return type(v) == "boolean" end },
  budget = { expected = "a table or false", test = function(v) return v == false or type(v) == "table" end },
}

local tokens = { expected = "a number, 0 or more", test = not_negative }
local BUDGET = { tokens = tokens, retry = tokens, timeout = tokens, success = tokens }

---@param given table|nil                what the caller says
---@param defaults veo.RetryPolicy|nil   the client's policy, or what stands above
---@return veo.RetryPolicy|nil policy
---@return string|nil problem
function M.policy(given, defaults)
  local policy, problem = options.overlay(KINDS, defaults or M.defaults, given)
  if not policy then return nil, "retry: " .. problem end
  if policy.budget then
    policy.budget, problem = options.overlay(BUDGET, M.defaults.budget, policy.budget)
    if not policy.budget then return nil, "retry: budget: " .. problem end
  end
  return policy
end

---Seconds to pause before the nth repeat (n from 1), or nil when the service asks for more than we wait.
---Full jitter: anything from 0 to the bound, so that clients that failed together do not come back together.
---@param policy veo.RetryPolicy
---@param n integer
---@param random fun(): number      in [0, 1)
---@param retry_after number|nil    seconds the service asks for
---@return number|nil
function M.delay(policy, n, random, retry_after)
  local bound = min(policy.max, policy.base * 2 ^ (n - 1))
  if finite(retry_after) and retry_after > 0 then
    if retry_after > M.retry_after_limit then return nil end
    -- Never earlier than asked, and not all at the same instant either.
    return retry_after + random() * min(bound, policy.base)
  end
  return random() * bound
end

local Bucket = {}
Bucket.__index = Bucket

---Takes the price of one repeat; false when the client has used its repeats up.
---@param kind "retry"|"timeout"|nil   a time-out costs more: it has already held resources for long
---@return boolean
function Bucket:spend(kind)
  if not self.limit then return true end
  local price = kind == "timeout" and self.timeout or self.retry
  if self.tokens < price then return false end
  self.tokens = self.tokens - price
  return true
end

---An exchange went well: gives a little back, up to the full budget.
function Bucket:success()
  if self.limit then self.tokens = min(self.limit, self.tokens + self.gain) end
end

---@param given table|false|nil  `policy.budget`
function M.budget(given)
  if given == false then return setmetatable({ tokens = 0 }, Bucket) end
  local defaults = M.defaults.budget
  given = given or defaults
  local limit = given.tokens or defaults.tokens
  return setmetatable({
    tokens = limit,
    limit = limit,
    retry = given.retry or defaults.retry,
    timeout = given.timeout or defaults.timeout,
    gain = given.success or defaults.success,
  }, Bucket)
end

return M
