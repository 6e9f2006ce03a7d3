--- What calls cost and how much may be spent. Prices are dated data and change; what is not listed is unknown. Sums are
--- made in whole thousandths of a credit: as fractions, three times 0.1 are more than 0.3.

local next, pairs, type = next, pairs, type
local ceil, floor, max = math.ceil, math.floor, math.max
local find, format = string.find, string.format
local date, time = os and os.date, os and os.time

local errors = require "veo.errors"
local options = require "veo.util.options"

local M = {}

-- A price counts as old after this long (seconds).
local KEPT = 90 * 24 * 3600

---Credits, as one source listed them on the day of `as_of`. `default` is the model of a request that names none.
M.prices = {
  as_of = "2026-09-24",
  extend = { default = "fast", fast = 60, lite = 30, quality = 250 },
  get_1080p = 5,
  get_4k = 120,
}

local MOST = 1e12 -- credits: of more, the thousandths are lost

local function is_amount(value)
  return type(value) == "number" and value >= 0 and value <= MOST
end

-- A credit's smallest part that counts. A price is rounded up to it, so that no budget is passed bit by bit.
local PART = 1000
local DUST = 1e-6 -- what multiplying by it may add

local function parts(price)
  return max(ceil(price * PART - DUST), 0) -- a ceil may give -0
end

-- A sum of prices in whole parts, without the rounding errors of adding them up.
local function parts_of_sum(sum)
  return floor(sum * PART + 0.5)
end

---Whether another price would exceed a limit.
---@param spent number   credits, a sum of prices
---@param price number   credits
---@param limit number   credits
---@return boolean
function M.passes(spent, price, limit)
  return parts_of_sum(spent) + parts(price) > floor(limit * PART + DUST)
end

---A sum of prices without the rounding errors of adding them up.
---@param sum number
---@return number
function M.rounded(sum)
  return parts_of_sum(sum) / PART
end

local function lookup(list, operation, model)
  local entry = list and list[operation]
  if type(entry) ~= "table" then return entry end
  if model == nil then model = entry.default or M.prices[operation] and M.prices[operation].default end
  return model ~= "default" and is_amount(entry[model]) and entry[model] or nil
end

-- Nested bodies (the jobs family) carry the family's name as model, and no tier.
local function tier(body)
  if type(body.input) == "table" then return nil end
  return body.model
end

---The price of a call in credits; nil when it is unknown.
---@param operation string
---@param body table          the request's body
---@param prices table|nil    the client's own, which win
---@return number|nil
function M.price(operation, body, prices)
  local model = tier(body)
  local price = lookup(prices, operation, model) or lookup(M.prices, operation, model)
  return price and parts(price) / PART
end

-- Options --------------------------------------------------------------------------------------------------------------

local PRICED = { as_of = true, extend = true, generate = true, get_1080p = true, get_4k = true }

M.prices_kind = {
  within = function(value) return options.unknown("operation", value, PRICED) end,
  expected = "credits by operation, such as { generate = 80, extend = { fast = 60 } }, and as_of = \"YYYY-MM-DD\"",
  test = function(value)
    if type(value) ~= "table" then return false end
    for operation, entry in pairs(value) do
      if type(operation) ~= "string" then return false end
      if operation == "as_of" then
        if type(entry) ~= "string" or not find(entry, "^%d%d%d%d%-%d%d%-%d%d$") then return false end
      elseif type(entry) == "table" then
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

local LIMITS = { client = true, day = true }

M.limit_kind = {
  within = function(value) return options.unknown("limit", value, LIMITS) end,
  expected = "credits, or { client = credits, day = credits }",
  test = function(value)
    if type(value) ~= "table" then return is_amount(value) end
    for name, limit in pairs(value) do
      if not LIMITS[name] or not is_amount(limit) then return false end
    end
    return next(value) ~= nil
  end,
}

-- Budgets --------------------------------------------------------------------------------------------------------------

---@class veo.Budget
---@field client number|nil   credits this client may spend
---@field day number|nil      credits all clients of the ledger may spend a day (UTC)
---@field reserved number     what this client has spent or reserved

-- What the caller changes in his table later is not meant for this client.
local function copied(prices)
  if type(prices) ~= "table" then return prices end
  local copy = {}
  for name, price in pairs(prices) do copy[name] = copied(price) end
  return copy
end

---@param limit number|table|nil   the `max_credits` option
---@param prices table|nil
---@param log fun(event: table)|nil
---@return veo.Budget
function M.budget(limit, prices, log)
  if type(limit) == "number" then limit = { client = limit } end
  return { client = limit and limit.client, day = limit and limit.day, prices = copied(prices), reserved = 0,
    log = log, told = {} }
end

-- Warns, once for each list, about an old price.
local function check_age(budget, operation, model)
  if not budget.log or not date then return end
  local list = lookup(budget.prices, operation, model) and budget.prices or M.prices
  if budget.told[list] or not list.as_of or list.as_of >= date("!%Y-%m-%d", time() - KEPT) then return end
  budget.told[list] = true
  budget.log { event = "warning", operation = operation, message = format(
    "the price of %s counts as it was on %s, more than 90 days ago; it may have changed (prices of veo.new)", operation,
    list.as_of) }
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
  if price then check_age(budget, operation, tier(body)) end
  if not budget.client and not budget.day then return price end
  if not price then
    local model = type(body.model) == "string" and body.model or nil
    return nil, refusal(operation, format("the price%s is unknown, so max_credits cannot be kept; give it in prices",
      model and " of model " .. model or ""), { field = "prices" })
  end
  if budget.client and M.passes(budget.reserved, price, budget.client) then
    return nil, refusal(operation, format("%.10g credits more would exceed max_credits: %.10g of this client's %.10g "
      .. "are spent", price, budget.reserved, budget.client),
      { price = price, spent = budget.reserved, limit = budget.client })
  end
  budget.reserved = M.rounded(budget.reserved + price)
  return price
end

---Nothing was ordered: the price is free again.
function M.release(budget, price)
  if price and (budget.client or budget.day) then budget.reserved = M.rounded(budget.reserved - price) end
end

-- What an error says of money ------------------------------------------------------------------------------------------

---The outcome of a call that was sent more than once: after an attempt that may have been charged, nothing later makes
---it free. The first such error stays, and takes on what became known later.
---@param first veo.Error|nil   the first attempt's that may have been charged
---@param later veo.Error       the last one's, or what kept the call from another
---@return veo.Error
function M.overall(first, later)
  if not first or first == later then return later end
  first.charged, first.attempts = "maybe", later.attempts or first.attempts
  if later.taskId or later.recordId then -- an attempt that named something was the last one
    first.taskId, first.recordId, first.candidate = later.taskId, later.recordId, later.taskId and true or nil
    first.excerpt, first.ref = later.excerpt or first.excerpt, later.ref
  end
  if later.code ~= "uncertain" then
    first.cause, first.message = later, format("%s; after that: %s", first.message, later.message)
  end
  return first
end

---The ledger found that the day's limit would be exceeded.
function M.day_passed(budget, operation, price, spent)
  return refusal(operation, format("%.10g credits more would exceed max_credits: %.10g of today's %.10g are spent "
    .. "(UTC)", price, spent, budget.day), { price = price, spent = spent, limit = budget.day })
end

return M
