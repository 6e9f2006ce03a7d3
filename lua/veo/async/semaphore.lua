--- Semaphores: a limited number of calls hold a place, the others wait in line, first come, first served, and hold
--- nothing meanwhile. An error may come at any instruction: a place belongs to whoever is in `holders`, which is one
--- assignment, and everything that follows from it can be done again.

local ipairs, pairs = ipairs, pairs
local format = string.format
local remove = table.remove

local ended = require "veo.async.ended"
local errors = require "veo.errors"

local M = {}

---@param limit integer
---@param what string  what is waited for, in words
---@return veo.Semaphore
function M.new(limit, what)
  ---@class veo.Semaphore
  ---@field holders table<table, true>
  ---@field line table[]  those that wait
  return { limit = limit, what = what, holders = {}, line = {} }
end

---Whether one more would have to wait.
---@param semaphore veo.Semaphore
---@return boolean
function M.is_full(semaphore)
  local count = 0
  for _ in pairs(semaphore.holders) do count = count + 1 end
  return count >= semaphore.limit
end

local function serve(ctx, semaphore)
  local line = semaphore.line
  while line[1] and (semaphore.holders[line[1]] or not M.is_full(semaphore)) do
    semaphore.holders[line[1]] = true
    ctx.scheduler:wake(line[1], "done")
    remove(line, 1)
  end
end

local function leave(ctx, semaphore, place)
  for i, other in ipairs(semaphore.line) do
    if other == place then remove(semaphore.line, i) break end
  end
  semaphore.holders[place] = nil
  serve(ctx, semaphore)
end

---Waits for a place. To be called in a job, whose end gives the place back as well.
---@param ctx veo.Context
---@param semaphore veo.Semaphore
---@param operation string
---@param place table|nil  what waits in the line, for others to know
---@return fun()|nil leave  gives the place back
---@return veo.Error|nil err
function M.enter(ctx, semaphore, operation, place)
  place = place or {}
  function place.drop() leave(ctx, semaphore, place) end
  ctx.scheduler:on_drop(place)
  serve(ctx, semaphore)
  if not M.is_full(semaphore) then
    semaphore.holders[place] = true
  else
    semaphore.line[#semaphore.line + 1] = place
    local why = ctx.scheduler:await(nil, nil, place)
    if not semaphore.holders[place] then
      leave(ctx, semaphore, place)
      ctx.scheduler:settled(place)
      return nil, errors.new { code = ended.is(why) and why or "busy", operation = operation,
        message = format("%s: waiting for %s was %s", operation, semaphore.what, why) }
    end
  end
  return function()
    leave(ctx, semaphore, place)
    return ctx.scheduler:settled(place)
  end
end

return M
