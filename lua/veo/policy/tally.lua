--- What a client counts of its calls: repeats, and what became of its orders. Exchanges are counted in the core.

local setmetatable = setmetatable

local budgets = require "veo.policy.budget"

local M = {}

---@class veo.Tally  the counters of `client:stats()` that no exchange knows of
---@field retries_total integer
---@field orders_accepted_total integer
---@field orders_refused_total integer
---@field orders_uncertain_total integer
---@field orders_unpriced_total integer
---@field credits_charged_total number
local Tally = {}
Tally.__index = Tally

---@return veo.Tally
function M.new()
  return setmetatable({ retries_total = 0, orders_accepted_total = 0, orders_refused_total = 0,
    orders_uncertain_total = 0, orders_unpriced_total = 0, credits_charged_total = 0 }, Tally)
end

---A try is made again.
function Tally:retried()
  self.retries_total = self.retries_total + 1
end

---An order's fate is known.
---@param how "accepted"|"refused"|"uncertain"
function Tally:ordered(how)
  local name = "orders_" .. how .. "_total"
  self[name] = self[name] + 1
end

---The service has taken a price.
---@param price number|nil  credits; nil when it is not known
function Tally:charged(price)
  if price then
    self.credits_charged_total = budgets.rounded(self.credits_charged_total + price)
  else
    self.orders_unpriced_total = self.orders_unpriced_total + 1
  end
end

return M
