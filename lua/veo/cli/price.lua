--- What an order costs, as far as that is known: the library's list, else what the ledger has seen the service take.

local veo = require "veo"

local M = {}

local RECENT = 30 * 24 * 3600 -- seconds: prices change

---Credits by the list of prices; nil when it does not say.
---@param operation string
---@param model string|nil
---@return number|nil
function M.listed(operation, model)
  local entry = veo.prices[operation]
  if type(entry) ~= "table" then return entry end
  local price = entry[model or entry.default]
  return type(price) == "number" and price or nil
end

-- What the last such order took that the ledger knows the charge of.
local function seen(client, operation, model)
  local last
  for _, record in ipairs(client and client:tasks { operation = operation, since = os.time() - RECENT } or {}) do
    local fields = type(record.params) == "table" and record.params or {}
    if record.consumed and fields.model == model then last = record.consumed end
  end
  return last
end

---A price as a sentence, and as a number where it is known.
---@param client veo.Client|nil  whose ledger may know what was taken
---@param operation string
---@param model string|nil
---@param count integer|nil  orders
---@return string text
---@return number|nil credits
function M.tell(client, operation, model, count)
  count = count or 1
  local price = M.listed(operation, model)
  if price then
    local each = count > 1 and (" (%d times %g)"):format(count, price) or ""
    return ("%g credits%s, as listed on %s"):format(price * count, each, veo.prices.as_of), price * count
  end
  local taken = seen(client, operation, model)
  if taken then return ("not listed; the last such order took %g credits"):format(taken) end
  return "not known here; the service's web page has it"
end

return M
