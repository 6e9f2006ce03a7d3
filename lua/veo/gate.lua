--- Gates: so many at a time may be behind one, the others stand in line before it, first come, first served, and hold
--- nothing meanwhile. An error may come at any instruction: a place belongs to whoever stands in `holders`, which is one
--- assignment, and everything that follows from it can be done again.

local ipairs, pairs = ipairs, pairs
local format = string.format
local remove = table.remove

local errors = require "veo.errors"

local M = {}

---@param limit integer
---@param what string  what those in line wait for, in words
---@return veo.Gate
function M.new(limit, what)
  ---@class veo.Gate
  return { limit = limit, what = what, holders = {}, line = {} }
end

---Whether one more would have to stand in line.
---@param gate veo.Gate
---@return boolean
function M.is_full(gate)
  local count = 0
  for _ in pairs(gate.holders) do count = count + 1 end
  return count >= gate.limit
end

local function serve(ctx, gate)
  local line = gate.line
  while line[1] and (gate.holders[line[1]] or not M.is_full(gate)) do
    gate.holders[line[1]] = true
    ctx.scheduler:wake(line[1], "done")
    remove(line, 1)
  end
end

local function leave(ctx, gate, place)
  for i, other in ipairs(gate.line) do
    if other == place then remove(gate.line, i) break end
  end
  gate.holders[place] = nil
  serve(ctx, gate)
end

---Waits for a place. To be called in a job, whose end gives the place on as well.
---@param ctx table
---@param gate veo.Gate
---@param operation string
---@param place table|nil  what stands in the line, for others to know
---@return fun()|nil leave  gives the place on
---@return veo.Error|nil err
function M.enter(ctx, gate, operation, place)
  place = place or {}
  function place.drop() leave(ctx, gate, place) end
  ctx.scheduler:on_drop(place)
  serve(ctx, gate)
  if not M.is_full(gate) then
    gate.holders[place] = true
  else
    gate.line[#gate.line + 1] = place
    local why = ctx.scheduler:await(nil, nil, place)
    if not gate.holders[place] then
      leave(ctx, gate, place)
      ctx.scheduler:settled(place)
      return nil, errors.new { code = why == "closed" and "closed" or why == "cancelled" and "cancelled" or "busy",
        operation = operation, message = format("%s: waiting for %s was %s", operation, gate.what, why) }
    end
  end
  return function()
    leave(ctx, gate, place)
    ctx.scheduler:settled(place)
  end
end

return M
