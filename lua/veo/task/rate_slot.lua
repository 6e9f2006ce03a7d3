--- An order's slot of the account's rate window. Waiting for the window does not count against an order's deadline;
--- waiting because the service said so does (a Retry-After, here called a hold).

local pairs = pairs
local max = math.max
local format = string.format

local ended = require "veo.async.ended"
local errors = require "veo.errors"
local semaphores = require "veo.async.semaphore"

local M = {}

-- Orders wait in turn, and only the first asks. A hold that it learns of is taken off the patience of all, once.
local function held(ctx, seconds)
  local now = ctx.now()
  local more = now + seconds - max(ctx.held_till or now, now)
  if more <= 0 then return end
  ctx.held_till = now + seconds
  for place in pairs(ctx.slots.holders) do place.patience = place.patience - more end
  for place in ctx.slots.line:each() do
    place.patience = place.patience - more
    if place.patience < 0 then ctx.scheduler:wake(place, "timeout") end
  end
end

-- The hold is longer than the deadline: nothing is sent.
local function too_long(ctx, operation, err)
  local left = max((ctx.held_till or 0) - ctx.now(), 0)
  return errors.new { code = "rate_limited", operation = operation, sent = "no", retry_after = left,
    attempts = err and err.attempts, service_code = err and err.service_code,
    message = format("%s: the service holds all orders back for another %.3g s, and the deadline is earlier",
      operation, left) }
end

-- Asks until there is one; nil, or what ended that, which may be an error.
local function ask(ctx, intent, place, earlier)
  while place.patience >= 0 do
    local wait, err, hold = intent:reserve()
    if not wait then return err end
    if wait <= 0 then return nil end
    if hold then held(ctx, hold) end
    if place.patience >= 0 then
      if ctx.log then ctx.log { event = "rate", wait = wait } end
      local why = ctx.scheduler:sleep_until(ctx.now() + wait)
      if why ~= "timeout" then return why end
    end
  end
  return too_long(ctx, intent.operation, earlier)
end

---Waits for a slot. Orders get theirs in turn: if each asked by itself, any of them would be next, and a hundred that
---wait would make five times the commits (713 for 100 orders, measured).
---@param ctx table
---@param intent veo.Intent
---@param deadline number
---@param earlier veo.Error|nil  of the attempt before
---@return number|nil deadline   later by the waiting that does not count
---@return veo.Error|"closed"|"cancelled"|nil why
function M.take(ctx, intent, deadline, earlier)
  if intent.slot then return deadline end -- it came with the intent
  local now = ctx.now()
  local place = { patience = max(deadline - now, 0) - max((ctx.held_till or now) - now, 0) }
  if place.patience < 0 then return nil, too_long(ctx, intent.operation, earlier) end
  local leave, err = semaphores.enter(ctx, ctx.slots, intent.operation, place)
  if not leave then
    if place.patience < 0 and not ctx.scheduler:cancelling() then err = too_long(ctx, intent.operation, earlier) end
    if err.code == "rate_limited" then return nil, err end
    return nil, ended.code(err.code)
  end
  local why = ctx.scheduler:cancelling() or ask(ctx, intent, place, earlier)
  leave()
  if why then return nil, why end
  return ctx.now() + place.patience
end

return M
