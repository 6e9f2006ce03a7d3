--- Semaphores: a limited number of calls hold a place, the others wait in line, first come, first served, and hold
--- nothing meanwhile. An error may come at any instruction: a place belongs to whoever is in `holders`, which is one
--- assignment, and everything that follows from it can be done again.
---
--- Nothing here goes through the line for one call: 20,000 downloads in a line that was searched at each end took five
--- times the CPU that 500 did for each.

local pairs = pairs
local format = string.format

local ended = require "veo.async.ended"
local errors = require "veo.errors"
local queues = require "veo.util.queue"

local M = {}

local function has_left(place)
  return place.left
end

---@param limit integer
---@param what string  what is waited for, in words
---@return veo.Semaphore
function M.new(limit, what)
  ---@class veo.Semaphore
  ---@field holders table<table, true>
  ---@field count integer|nil   how many hold a place; nil: to be counted, since an error came in between
  ---@field line table  a queue of those that wait
  return { limit = limit, what = what, holders = {}, count = 0, line = queues.new(has_left) }
end

---Whether one more would have to wait.
---@param semaphore veo.Semaphore
---@return boolean
function M.is_full(semaphore)
  if not semaphore.count then
    local count = 0
    for _ in pairs(semaphore.holders) do count = count + 1 end
    semaphore.count = count
  end
  return semaphore.count >= semaphore.limit
end

local function hold(semaphore, place, held)
  if semaphore.holders[place] == held then return end
  local count = semaphore.count
  semaphore.count = nil
  semaphore.holders[place] = held
  semaphore.count = count and count + (held and 1 or -1)
end

---How many wait for a place.
---@param semaphore veo.Semaphore
---@return integer
function M.waiting(semaphore)
  local count = 0
  for place in semaphore.line:each() do
    if not semaphore.holders[place] then count = count + 1 end
  end
  return count
end

local function serve(ctx, semaphore)
  local line = semaphore.line
  local place = line:first()
  while place and (place.left or semaphore.holders[place] or not M.is_full(semaphore)) do
    if not place.left then
      hold(semaphore, place, true)
      ctx.scheduler:wake(place, "done")
    end
    line:pop()
    place = line:first()
  end
end

local function leave(ctx, semaphore, place)
  if not place.left then
    place.left = true
    if not semaphore.holders[place] then semaphore.line:gone() end
  end
  hold(semaphore, place, nil)
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
    hold(semaphore, place, true)
  else
    semaphore.line:push(place)
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
