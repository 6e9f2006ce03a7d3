--- Gates: so many at a time may be behind one, the others stand in line before it, first come, first served, and hold
--- nothing meanwhile.

local errors = require "veo.errors"

local M = {}

---@param limit integer
---@param what string  what those in line wait for, in words
---@return veo.Gate
function M.new(limit, what)
  ---@class veo.Gate
  return { limit = limit, what = what, active = 0, line = {} }
end

---Whether one more would have to stand in line.
---@param gate veo.Gate
---@return boolean
function M.is_full(gate)
  return gate.active >= gate.limit
end

local function give_on(ctx, gate)
  local waiter = table.remove(gate.line, 1)
  if not waiter then
    gate.active = gate.active - 1
    return
  end
  waiter.has_place = true
  ctx.scheduler:wake(waiter, "done")
end

local function leave_line(gate, waiter)
  for i, other in ipairs(gate.line) do
    if other == waiter then table.remove(gate.line, i) return end
  end
end

-- Stands in line; nil, or the error when it was given up.
local function stand(ctx, gate, operation)
  local waiter = {}
  gate.line[#gate.line + 1] = waiter
  local cleanup = ctx.scheduler:on_drop { drop = function()
    if waiter.has_place then give_on(ctx, gate) else leave_line(gate, waiter) end
  end }
  local why = ctx.scheduler:await(nil, nil, waiter)
  ctx.scheduler:settled(cleanup)
  if waiter.has_place then return nil end
  leave_line(gate, waiter)
  return errors.new { code = why == "closed" and "closed" or why == "cancelled" and "cancelled" or "busy",
    operation = operation, message = ("%s: waiting for %s was %s"):format(operation, gate.what, why) }
end

---Waits for a place. To be called in a job, whose end gives the place on as well.
---@param ctx table
---@param gate veo.Gate
---@param operation string
---@return fun()|nil leave  gives the place on
---@return veo.Error|nil err
function M.enter(ctx, gate, operation)
  if M.is_full(gate) then
    local err = stand(ctx, gate, operation)
    if err then return nil, err end
  else
    gate.active = gate.active + 1
  end
  local place = ctx.scheduler:on_drop { drop = function() give_on(ctx, gate) end }
  return function()
    ctx.scheduler:settled(place)
    give_on(ctx, gate)
  end
end

return M
