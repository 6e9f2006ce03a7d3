--- `--dry-run`: the request, its price and what the ledger knows of it. The client has a budget of nothing, so that the
--- library checks all that it checks of an order, and then cannot make it.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local json = require "veo.cli.json"
local phrases = require "veo.cli.phrases"
local prices = require "veo.cli.price"
local texts = require "veo.util.text"

local M = {}

local SHOWN = { "taskId", "prompt", "prompts", "model", "imageUrls", "generationType", "aspect_ratio", "resolution",
  "duration", "seeds", "watermark", "callBackUrl" }

local function place_of(session)
  local target = session.target
  if target.stdout then return "standard output" end
  if target.none then return "nowhere" end
  return target.pattern
end

---What --max-credits leaves no room for.
---@param price number|nil
---@return veo.Error|nil
function M.over(args, operation, price)
  if not args.max_credits or price and price <= args.max_credits then return nil end
  return errors.new { code = "budget", operation = operation, sent = "no", price = price, limit = args.max_credits,
    message = price and ("it costs %g credits, more than the %g of --max-credits"):format(price, args.max_credits)
      or "what it costs is not known, so --max-credits cannot be kept" }
end

local function text_of(operation, params, known, told, place)
  local lines = { "would order: " .. operation }
  for _, name in ipairs(SHOWN) do
    local value = params[name]
    if value ~= nil then
      lines[#lines + 1] = ("  %-15s%s"):format(name, type(value) == "table" and json.encode(value) or clean(value))
    end
  end
  lines[#lines + 1] = "price: " .. (known.taskId and "nothing, as it was ordered before" or told)
  lines[#lines + 1] = "ledger: " .. known.text
  lines[#lines + 1] = "would save to: " .. place
  lines[#lines + 1] = "nothing was sent"
  return table.concat(lines, "\n")
end

-- `known`: what the ledger knows of it.
local function outcome(session, client, operation, params, known, count)
  local args, place = session.args, place_of(session)
  local told, price = prices.tell(client, operation, args.model, count)
  if known.taskId then price = 0 end
  local err = M.over(args, operation, price)
  if err then return nil, err end
  return { text = text_of(operation, params, known, told, place), json = { dry_run = true, operation = operation,
    request = params, price = price, price_known = price ~= nil, taskId = known.taskId, state = known.state,
    ref = known.ref, joined = known.taskId and true or nil, path = place,
    ledger = args.ledger and texts.without_password(args.ledger) or nil } }
end

---@param session veo.cli.Session
---@param client veo.Client  one that may spend nothing
---@param operation string
---@param params table
---@param options table      of the order
function M.run(session, client, operation, params, options)
  options.deadline = 1
  local task, err = client[operation](client, params, options)
  if task then
    return outcome(session, client, operation, params, { taskId = task.taskId, state = task.state, ref = task.ref,
      text = ("knows it as task %s (%s), which would be joined"):format(clean(task.taskId), tostring(task.state)) })
  end
  if err.code == "duplicate" and type(err.taskId) == "string" then
    return outcome(session, client, operation, params, { taskId = err.taskId, state = err.state, ref = err.ref,
      text = ("knows it as task %s (%s), which would not be ordered again"):format(clean(err.taskId), err.state) })
  end
  if err.code ~= "budget" then return nil, err end
  return outcome(session, client, operation, params, { text = session.args.ledger
    and "knows no such order" or "none, so nothing is known of earlier orders" })
end

---A chain: what its hops are made of is known only when the one before has ended.
---@param session veo.cli.Session
---@param client veo.Client
function M.chain(session, client)
  local args = session.args
  local params = { taskId = args.task, model = args.model, seeds = args.seeds, watermark = args.watermark,
    callBackUrl = args.callback }
  for _, prompt in ipairs(args.prompts) do
    params.prompt = prompt
    local _, err = client:extend(params, { deadline = 1, on_duplicate = args.ledger and "allow" or nil })
    if err and err.code ~= "budget" then return nil, err end
  end
  params.prompt, params.prompts = nil, args.prompts
  return outcome(session, client, "extend", params, { text = args.ledger
    and phrases.count(#args.prompts, "hop") .. "; those that an earlier run of this command paid are not paid again"
    or "none, so nothing is known of earlier orders" }, #args.prompts)
end

return M
