--- A function over a list, many calls at once.

local next, pairs = next, pairs

local errors = require "veo.errors"

local M = {}

local STUCK = "map: the calls that are left wait for something that nothing can bring about, as for each other"

---Calls `fn(item, index)` for every item, each in a job of its own, at most `limit` at a time.
---@param ctx veo.Context
---@param list any[]
---@param fn fun(item: any, index: integer): any, any
---@param limit integer
---@return any[] results        what fn returned first, at the item's place
---@return table<integer, any>|nil errors  what it returned second, or raised, where the first was nil; nil when none
function M.map(ctx, list, fn, limit)
  local scheduler, results, errs = ctx.scheduler, {}, nil
  local places, running, next_item, stuck = {}, 0, 1, false -- job → the place of its item, until it has ended
  local waiter = {}

  local function keep(place, value, err)
    results[place] = value
    if value ~= nil or err == nil then return end
    errs = errs or {}
    errs[place] = err
  end

  local function ended(job)
    local place = places[job]
    places[job], running = nil, running - 1
    local value, err = job:result()
    if stuck and job:status() == "cancelled" and err.code == "cancelled" then err.code, err.message = "busy", STUCK end
    keep(place, value, err)
    scheduler:wake(waiter, "done")
  end

  local function cancel()
    for job in pairs(places) do job:cancel() end
  end

  local cleanup = scheduler:on_drop { drop = cancel }
  local function may_begin() return next_item <= #list and not scheduler.closed end
  while may_begin() or next(places) do
    while may_begin() and running < limit do
      local job = scheduler:spawn(fn, list[next_item], next_item)
      places[job], running, next_item = next_item, running + 1, next_item + 1
      job:on_end(ended)
    end
    waiter = {}
    local why = scheduler:await(nil, nil, waiter)
    if why == "closed" then break end
    stuck = why == "stuck"
    if stuck then cancel() end
  end
  for place = next_item, #list do
    keep(place, nil, errors.new { code = "closed", operation = "map", message = "map: the client was closed before" })
  end
  scheduler:settled(cleanup)
  return results, errs
end

return M
