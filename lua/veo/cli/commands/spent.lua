--- `veo spent`: what the ledger's orders have cost, and what the account has left.

local arguments = require "veo.cli.arguments"
local phrases = require "veo.cli.phrases"

local M = {}

function M.arguments(parser)
  local spent = parser:command("spent", "Show what the ledger's orders have cost, and the account's balance. Free.")
  spent:option("--by", "A line for each day (UTC), operation or model."):argname("WHAT")
    :choices { "day", "operation", "model" }
  spent:option("--days", "Only the last N days."):argname("N"):convert(arguments.number("--days", 0, "days"))
  arguments.ledger(spent)
  arguments.network(spent)
end

local FREE = { refused = true, lost = true }

-- The library adds up by day and operation; which model it was stands in each order.
local function by_model(client, since)
  local each, err = client:each_task { since = since }
  if not each then return nil, err end
  local found, list = {}, {}
  local record, why = each()
  while record do
    if not FREE[record.state] then
      local params = type(record.params.input) == "table" and record.params.input or record.params
      local model = record.pruned and "(pruned)" or params.model or "(usual)"
      local name = record.operation .. " " .. tostring(model)
      local sum = found[name]
      if not sum then
        sum = { model = name, credits = 0, orders = 0, unpriced = 0 }
        found[name], list[#list + 1] = sum, sum
      end
      local price = record.consumed or record.price
      sum.credits, sum.orders = sum.credits + (price or 0), sum.orders + 1
      if not price then sum.unpriced = sum.unpriced + 1 end
    end
    record, why = each()
  end
  if record == false then return nil, why end
  table.sort(list, function(a, b) return a.model < b.model end)
  return list
end

local function line_of(name, sum)
  local text = ("%-28s%10.10g credits  %s"):format(name, sum.credits, phrases.count(sum.orders, "order"))
  return sum.unpriced > 0 and ("%s, of %d the price is not known"):format(text, sum.unpriced) or text
end

---@param session veo.cli.Session
---@param client veo.Client
function M.spent(session, client)
  local args = session.args
  local since = args.days and math.max(os.time() - args.days * 24 * 3600, 0) or nil
  local total, err = client:spent { since = since, by = args.by ~= "model" and args.by or nil }
  if not total then return nil, err end
  local list = total
  if args.by == "model" then list, err = by_model(client, since) end
  if not list then return nil, err end
  local lines, json = {}, { credits = total.credits, consumed = total.consumed, reserved = total.reserved,
    orders = nil, count = total.orders, unpriced = total.unpriced, rows = {} }
  for i, sum in ipairs(list) do
    lines[i] = line_of(tostring(sum[args.by]):gsub("[%c]", "?"), sum)
    json.rows[i] = { [args.by] = sum[args.by], credits = sum.credits, count = sum.orders, unpriced = sum.unpriced }
  end
  lines[#lines + 1] = line_of(args.days and ("last %g days"):format(args.days) or "total", total)
  if total.consumed > 0 and total.reserved > 0 then
    lines[#lines + 1] = ("  %.10g of them by the service's own word, %.10g by the price that was listed"):format(
      total.consumed, total.reserved)
  end
  local credits, problem = client:credits()
  json.balance = credits
  lines[#lines + 1] = credits and ("%-28s%10.10g credits"):format("account's balance", credits)
    or "account's balance: not known (" .. phrases.message(problem) .. ")"
  return { text = table.concat(lines, "\n"), json = json }
end

return M
