--- What calls cost and how much may be spent. Prices are dated data and change; what is not listed is unknown.

local errors = require "veo.errors"

local M = {}

---Credits, as one source listed them on the day of `as_of`. `default` is the model of a request that names none.
M.prices = {
  as_of = "2026-09-24",
  extend = { default = "fast", fast = 60, lite = 30, quality = 250 },
  get_1080p = 5,
  get_4k = 120,
}

local function is_amount(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

local function lookup(list, operation, model)
  local entry = list and list[operation]
  if type(entry) ~= "table" then return entry end
  if model == nil then model = entry.default or M.prices[operation] and M.prices[operation].default end
  return model ~= "default" and is_amount(entry[model]) and entry[model] or nil
end

---The price of a call in credits; nil when it is unknown.
---@param operation string
---@param body table          the request's body
---@param prices table|nil    the client's own, which win
---@return number|nil
function M.price(operation, body, prices)
  local model = body.model
  -- Nested bodies (the jobs family) carry the family's name as model, and no tier.
  if type(body.input) == "table" then model = nil end
  return lookup(prices, operation, model) or lookup(M.prices, operation, model)
end

-- Options --------------------------------------------------------------------------------------------------------------

M.prices_kind = {
  expected = "credits by operation, such as { generate = 80, extend = { fast = 60 } }",
  test = function(value)
    if type(value) ~= "table" then return false end
    for operation, entry in pairs(value) do
      if type(operation) ~= "string" then return false end
      if type(entry) == "table" then
        for model, price in pairs(entry) do
          if type(model) ~= "string" or not (is_amount(price) or model == "default" and type(price) == "string") then
            return false
          end
        end
      elseif not is_amount(entry) then
        return false
      end
    end
    return true
  end,
}

M.limit_kind = {
  expected = "credits, or { client = credits, day = credits }",
  test = function(value)
    if type(value) ~= "table" then return is_amount(value) end
    for name, limit in pairs(value) do
      if name ~= "client" and name ~= "day" or not is_amount(limit) then return false end
    end
    return next(value) ~= nil
  end,
}

-- Budgets --------------------------------------------------------------------------------------------------------------

---@class veo.Budget
---@field client number|nil   credits this client may spend
---@field day number|nil      credits all clients of the ledger may spend a day (UTC)
---@field reserved number     what this client has spent or reserved

---@param limit number|table|nil   the `max_credits` option
---@param prices table|nil
---@return veo.Budget
function M.budget(limit, prices)
  if type(limit) == "number" then limit = { client = limit } end
  return { client = limit and limit.client, day = limit and limit.day, prices = prices, reserved = 0 }
end

local function refusal(operation, message, more)
  more.code, more.operation, more.sent, more.charged = "budget", operation, "no", "no"
  more.message = operation .. ": " .. message
  return errors.new(more)
end

---Reserves the price of a call in this client's own budget.
---@param budget veo.Budget
---@return number|nil price  nil when it is unknown, which only a budget minds
---@return veo.Error|nil err
function M.reserve(budget, operation, body)
  local price = M.price(operation, body, budget.prices)
  if not budget.client and not budget.day then return price end
  if not price then
    local model = type(body.model) == "string" and body.model or nil
    return nil, refusal(operation, ("the price%s is unknown, so max_credits cannot hold; give it in prices")
      :format(model and " of model " .. model or ""), { field = "prices" })
  end
  if budget.client and budget.reserved + price > budget.client then
    return nil, refusal(operation, ("%g credits more would pass max_credits: %g of this client's %g are spent")
      :format(price, budget.reserved, budget.client), { price = price, spent = budget.reserved, limit = budget.client })
  end
  budget.reserved = budget.reserved + price
  return price
end

---Nothing was ordered: the price is free again.
function M.release(budget, price)
  if price and (budget.client or budget.day) then budget.reserved = budget.reserved - price end
end

---The ledger found that the day's limit would be passed.
function M.day_passed(budget, operation, price, spent)
  return refusal(operation, ("%g credits more would pass max_credits: %g of today's %g are spent (UTC)")
    :format(price, spent, budget.day), { price = price, spent = spent, limit = budget.day })
end

return M
