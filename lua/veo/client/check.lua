--- What an order would be, before it is made.

local type = type

local budgets = require "veo.policy.budget"
local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"
local wire = require "veo.wire"

local BILLABLE = { extend = true, generate = true }

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  function Client:check_order(operation, params)
    local ctx = tools.context(self, "check_order")
    if not BILLABLE[operation] then tools.misuse("check_order", 'operation: "extend" or "generate" expected') end
    if type(params) ~= "table" then
      tools.misuse("check_order", "a table of parameters expected, got " .. type(params))
    end
    local err = tools.misplaced(ctx, operation, params)
    if err then return nil, err end
    local body, warnings = wire.check(ctx.api, operation, params)
    if not body then return nil, warnings end
    return { body = body, warnings = warnings, price = budgets.price(operation, body, ctx.money.prices),
      name = canonical.hash(operation .. " " .. equality.spelling(operation, body)) }
  end
end
