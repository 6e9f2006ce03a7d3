--- Many at once: a function over a list (map), and the ends of many tasks in the order they come (wait_each).

local error, ipairs, next, pairs = error, ipairs, next, pairs
local max = math.max

local errors = require "veo.errors"
local heaps = require "veo.util.heap"
local query = require "veo.task.query"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

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

-- A look is over: the watch goes back into the heap or has ended.
local function put_back(ctx, run, watch, status, err)
  run.looking = run.looking - 1
  if status or err then
    run.last = run.last + 1
    run.ended[run.last] = { watch.taskId, status, err }
    run.live, run.open[watch.taskId] = run.live - 1, nil
    if run.counted then waits.count(ctx, -1) end
  else
    run.sleeping:add(watch)
  end
  if run.waiter then ctx.scheduler:wake(run.waiter, "done") end
end

-- One look, as a short job of its own.
local function look(ctx, run, watch)
  local cleanup = ctx.scheduler:on_drop { drop = function()
    put_back(ctx, run, watch, nil, errors.new { code = "cancelled", operation = "wait_each", taskId = watch.taskId,
      message = "the look at task " .. watch.taskId .. " was given up (on_progress raised, or the client was closed)" })
  end }
  local status, err = query.look(ctx, watch.taskId, ctx.now() + max(watch.deadline - ctx.now(), 1))
  status, err = waits.judge(ctx, watch, status, err)
  ctx.scheduler:settled(cleanup)
  put_back(ctx, run, watch, status, err)
end

-- Starts looks that are due; returns when the next one is, or nil.
local function start_looks(ctx, run)
  while run.looking < run.limit do
    local watch = run.sleeping[1]
    if not watch then return nil end
    if run.booked == nil or run.changes ~= ctx.polls.changes then
      if watch.due > ctx.now() then return watch.due end
      run.changes = ctx.polls.changes
      run.booked = ctx.now() + ctx.polls:reserve(ctx.watching)
    end
    local late = waits.too_late(watch, run.booked) -- they began together, so it is too late for none before
    local at = late and watch.deadline or run.booked
    if at > ctx.now() then return at end
    run.sleeping:remove(watch)
    run.looking = run.looking + 1
    if late then
      put_back(ctx, run, watch, nil, late)
    else
      run.booked = nil
      ctx.scheduler:spawn(look, ctx, run, watch) -- should on_progress raise, the log hears of it
    end
  end
  return nil
end

-- Looks at what is due, then waits for an end or for the next look. The watches count among the client's waits only
-- meanwhile, since nobody learns of a loop that is left early.
local function wait_for_end(ctx, run)
  local function leave()
    run.counted, run.waiter, ctx.each[run] = false, nil, nil
    waits.count(ctx, -run.live)
  end
  run.counted, run.waiter, ctx.each[run] = true, {}, true
  waits.count(ctx, run.live)
  local cleanup = ctx.scheduler:on_drop { drop = leave }
  local due, ok, why = start_looks(ctx, run), true, nil
  if not run.waiter.why then -- or one has ended without a look
    ok, why = ctx.scheduler:protect(ctx.scheduler.await, ctx.scheduler, nil, due, run.waiter)
  end
  ctx.scheduler:settled(cleanup)
  leave()
  if not ok then error(why, 0) end
  return why
end

---Iterates over tasks in the order in which they end: taskId, status or nil, error or nil. A task costs a table while
---it is waited for, not a coroutine.
---@param ctx table
---@param ids string[]
---@param options table  the `wait` options
---@param limit integer  looks at a time
---@return fun(): string|nil, veo.Status|nil, veo.Error|nil
function M.wait_each(ctx, ids, options, limit)
  local run = { sleeping = heaps.new(), ended = {}, last = 0, looking = 0, limit = limit, live = 0,
    open = {} } -- id → watch of those that have not ended
  local left, first = #ids, 1
  for _, taskId in ipairs(ids) do
    local ok, err = wire.task_id(taskId, "wait_each")
    if ok then
      local watch = waits.begin(ctx, taskId, options)
      run.live, run.open[taskId] = run.live + 1, watch
      run.sleeping:add(watch)
    else
      run.last = run.last + 1
      run.ended[run.last] = { taskId, nil, err }
    end
  end
  return function()
    if left == 0 then return nil end
    local scheduler = ctx.scheduler
    while not run.ended[first] do
      local obstacle = scheduler:obstacle()
      if obstacle then
        left = 0
        return "", nil, obstacle
      end
      local why = wait_for_end(ctx, run)
      if why == "closed" or why == "stuck" then
        left = 0
        return "", nil, errors.new { code = why == "closed" and "closed" or "busy", operation = "wait_each",
          message = "wait_each was " .. why .. " before all tasks had ended" }
      end
    end
    local ended = run.ended[first]
    run.ended[first] = false
    first, left = first + 1, left - 1
    return ended[1], ended[2], ended[3]
  end
end

return M
