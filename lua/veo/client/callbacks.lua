--- Callbacks that come to a client: verified, then believed only as far as the service's own record goes.

local lazy = require "veo.lazy"
local free = require "veo.free"
local waits = require "veo.wait"
local webhook = lazy "veo.webhook"

-- What the caller may say of a callback beside headers and body.
local KNOWN = { target = "string", now = "number" }

-- The record as it is now. A callback that was handled before is answered from memory.
local function handle(ctx, event, target)
  local memory = ctx.callbacks_handled
  if not memory then
    memory = webhook.memory()
    ctx.callbacks_handled = memory
  end
  local known = memory:recall(event)
  if known then
    event.replay = true
    return known, nil
  end
  local status, err = free.status(ctx, event.taskId, { free = ctx.defaults.free, retry = ctx.retry })
  if not status then return nil, err end
  if ctx.ledger then
    -- An order whose answer was lost finds its task through the reference in the target.
    local _, trouble = require("veo.adopt").callback(ctx, event.taskId, status, target)
    if trouble then return nil, trouble end
  end
  if status.done then
    memory:remember(event, status)
    waits.poke(ctx, event.taskId)
  end
  return status
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse = tools.context, tools.misuse

  ---A callback came: verifies it, asks for the task's status and returns that. Waits for the task look at once. Handling
  ---one twice does no harm; answer the service with success whenever this returns a status.
  ---@param headers table<string, string>
  ---@param body string
  ---@param given { target: string|nil, now: integer|nil }|nil  the path and query that were called; unix seconds
  ---@return veo.Status|nil status
  ---@return veo.webhook.Event|veo.Error event  what the callback says; without a status the error: unverified, malformed, …
  function Client:callback(headers, body, given)
    local ctx = context(self, "callback")
    if ctx.webhook_key == nil then
      misuse("callback", "webhook_key: none given; pass it to veo.new or set KIE_WEBHOOK_KEY (false when the account "
        .. "has none: every callback is then no more than a reason to look)")
    end
    if type(headers) ~= "table" then misuse("callback", "headers: a table expected, got " .. type(headers)) end
    given = given or {}
    for name, value in pairs(given) do
      if type(value) ~= KNOWN[name] then misuse("callback", "unknown or bad option " .. tostring(name)) end
    end
    local obstacle = ctx.scheduler:obstacle()
    if obstacle then return nil, obstacle end
    local event, err
    if ctx.webhook_key then
      event, err = webhook.verify(headers, body, ctx.webhook_key, { now = given.now })
    else
      event, err = webhook.parse(body)
    end
    local status
    if event then status, err = handle(ctx, event, given.target) end
    if ctx.log then
      ctx.log { event = "callback", taskId = event and event.taskId, state = status and status.state, err = err,
        replay = event and event.replay }
    end
    if not status then return nil, err end
    return status, event
  end
end
