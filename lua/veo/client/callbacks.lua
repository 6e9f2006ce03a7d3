--- Callbacks that come to a client: verified, then believed only as far as the service's own record confirms them.

local type = type
local time = os and os.time

local lazy = require("veo.util.lazy").room
local options = require "veo.client.options"
local query = require "veo.task.query"
local settle = lazy "veo.task.settle"
local unsigned = lazy "veo.task.unsigned"
local waits = require "veo.task.wait"
local webhook = lazy "veo.webhook"

-- What is remembered of callbacks that were handled, once the first has come.
local function memory_of(ctx)
  ctx.callbacks_handled = ctx.callbacks_handled or webhook.memory { now = time or ctx.now }
  return ctx.callbacks_handled
end

-- The record as the service has it now.
local function look(ctx, event, target)
  local status, err = query.status(ctx, event.taskId, { free = ctx.defaults.free, retry = ctx.retry })
  if not status then return nil, err end
  if ctx.ledger then
    -- An order whose answer was lost finds its task through the reference in the target.
    local _, trouble = settle.callback(ctx, event.taskId, status, target)
    if trouble then return nil, trouble end
  end
  if status.done then waits.poke(ctx, event.taskId) end
  return status
end

-- A verified callback. One that was handled before is answered from memory.
local function handle(ctx, event, target)
  local memory = memory_of(ctx)
  local known = memory:recall(event)
  event.replay = known and true or nil
  if known then return known end
  local status, err = look(ctx, event, target)
  if status and status.done then memory:remember(event, status) end
  return status, err
end

-- One that anybody may have sent.
local function handle_unsigned(ctx, event, target)
  local guard, err = ctx.unsigned, nil
  if not guard then guard, err = unsigned.new(ctx) end
  if not guard then return nil, err end -- its room is not loaded and cannot be
  ctx.unsigned = guard
  local subject, problem, quiet = guard:admit(event.taskId, target)
  if not subject then return nil, problem, quiet end
  local known = guard.ends:get(subject)
  event.replay = known and true or nil
  if known then return known end
  local status
  status, err = look(ctx, event, target)
  if status and status.done then guard.ends:set(subject, status) end
  return status, err
end

-- What a callback says, and what the service says of its task; `quiet` when the log is not told.
local function believe(ctx, headers, body, given)
  local event, err
  if ctx.webhook_key then
    event, err = webhook.verify(headers, body, ctx.webhook_key, { now = given.now })
  else
    event, err = webhook.parse(body)
  end
  if not event then return nil, nil, err end
  local status, quiet
  if event.verified then
    status, err = handle(ctx, event, given.target)
  else
    status, err, quiet = handle_unsigned(ctx, event, given.target)
  end
  return event, status, err, quiet
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, begin = tools.context, tools.misuse, tools.begin

  function Client:callback(headers, body, given)
    local ctx = context(self, "callback")
    if ctx.webhook_key == nil then
      misuse("callback", "webhook_key: none given; pass it to veo.new or set KIE_WEBHOOK_KEY (false when the account "
        .. "has none: every callback is then no more than a reason to look)")
    end
    if type(headers) ~= "table" then misuse("callback", "headers: a table expected, got " .. type(headers)) end
    local opts, busy = begin(ctx, "callback", options.overlay(options.callback, nil, given))
    if not opts then return nil, busy end
    local event, status, err, quiet = believe(ctx, headers, body, opts)
    if ctx.log and not quiet then
      ctx.log { event = "callback", taskId = event and event.taskId, state = status and status.state, err = err,
        replay = event and event.replay }
    end
    if not status then return nil, err end
    return tools.handle(self, status), event
  end
end
