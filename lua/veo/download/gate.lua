--- How many downloads run at once: `max_downloads`. The others wait in line, without a file or a connection.

local errors = require "veo.errors"

local M = {}

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

---Waits for a place.
---@param ctx table
---@return fun()|nil leave  gives the place on
---@return veo.Error|nil err
function M.enter(ctx)
  local gate = ctx.downloads
  if not gate then
    gate = { active = 0, line = {} }
    ctx.downloads = gate
  end
  if gate.active < ctx.max_downloads then
    gate.active = gate.active + 1
  else
    local waiter = {}
    gate.line[#gate.line + 1] = waiter
    local cleanup = ctx.scheduler:on_drop { drop = function()
      if waiter.has_place then give_on(ctx, gate) else leave_line(gate, waiter) end
    end }
    local why = ctx.scheduler:await(nil, nil, waiter)
    ctx.scheduler:settled(cleanup)
    if not waiter.has_place then
      leave_line(gate, waiter)
      return nil, errors.new { code = why == "closed" and "closed" or why == "cancelled" and "cancelled" or "busy",
        operation = "download", message = "download: waiting for a place was " .. why }
    end
  end
  local place = ctx.scheduler:on_drop { drop = function() give_on(ctx, gate) end }
  return function()
    ctx.scheduler:settled(place)
    give_on(ctx, gate)
  end
end

return M
