--- The ends of many tasks, in the order in which they come. A task costs a table while it is waited for, not a coroutine,
--- and a look at it neither: it has a place, one of `limit`, whose `call` judges what came of it.

local error, ipairs, max, pairs = error, ipairs, math.max, pairs

local errors = require "veo.errors"
local heaps = require "veo.util.heap"
local query = require "veo.task.query"
local watches = require "veo.task.watch"
local wire = require "veo.wire"

local M = {}

-- A place is the waiter of one look at a time: { run, n, watch, taskId, call, next }; `n` is where it stands in run.places,
-- `next` the next one that is free.

-- Whether a look is under way in a place, or has ended and is about to be judged.
local function is_busy(run, place)
  return place.watch and run.ctx.scheduler:expects_call(place) and (place.transfer or place.operation or place.why)
end

local function close(run, watch)
  local open, taskId = run.open, watch.taskId
  local before = open[taskId]
  if before == watch then
    open[taskId] = watch.other
    return
  end
  while before and before.other ~= watch do before = before.other end
  if before then before.other = watch.other end
end

-- While a loop waits, its watches count among the client's waits, which share the rate of looks.
local function recount(run)
  if run.counted and run.counted ~= run.live then watches.recount(run.ctx, run, run.live) end
end

local function wake(run)
  if run.waiter then run.ctx.scheduler:wake(run.waiter, "done") end
end

-- After an error that came in between: whoever has not ended and is neither looked at nor asleep is looked at now. A place
-- that is not busy is given up, for the queue may still know it.
local function mend(run)
  run.sleeping:mend()
  local busy, looked_at = {}, {}
  for _, place in ipairs(run.places) do
    if is_busy(run, place) then
      busy[#busy + 1], looked_at[place.watch] = place, true
      place.n = #busy
    else
      place.watch, place.why = nil, "cancelled"
      run.ctx.scheduler:called(place)
    end
  end
  run.places, run.free, run.looking, run.live, run.jobs = busy, nil, #busy, 0, 0
  for i = 1, run.last do -- told, and perhaps not closed yet
    if run.ended[i] then close(run, run.ended[i]) end
  end
  for _, watch in pairs(run.open) do
    while watch do
      run.live = run.live + 1
      if watch.by_job then
        run.jobs = run.jobs + 1
      elseif not looked_at[watch] and not run.sleeping:has(watch) then
        watch.due = run.ctx.now()
        run.sleeping:add(watch)
      end
      watch = watch.other
    end
  end
  recount(run)
  run.whole = true
end

-- A look is over: the watch has ended or sleeps again. The order matters, for an error may come in between: a watch that
-- is in no place and not asleep is looked at again.
local function put_back(run, watch, done, err)
  if not done and not err then return run.sleeping:add(watch) end
  if err then watch.fault = err end
  local last = run.last + 1
  run.ended[last] = watch
  run.last = last
  close(run, watch)
  run.live = run.live - 1
  recount(run)
end

-- A look that is begun at the deadline still gets a little time.
local function begin(place, watch, now)
  local ctx, taskId, limit = place.run.ctx, watch.taskId, watch.deadline
  if limit < now + 1 then limit = now + 1 end
  place.taskId = taskId
  return ctx.scheduler:begin(place, limit, now, ctx.api.look, taskId)
end

local function new_place(run, call, n)
  local place = { run = run, call = call, n = n }
  run.places[n] = place
  return place
end

-- What came of a look. It may be called twice, should an error interrupt it: then the watch has left its place.
local function judge(place)
  local run, watch = place.run, place.watch
  local ctx = run.ctx
  if ctx.closed then return end -- the loop says so
  local reply, failure, again = query.answer(ctx, place)
  if again and watch then return begin(place, watch, ctx.now()) end
  wake(run) -- first: should an error come, the loop mends
  local whole = run.whole and watch and (reply or failure)
  run.whole = false -- should an error come
  if watch then
    local status, err
    if reply or failure then
      status, err = query.read(ctx, watch.taskId, reply, failure)
      status, err = watches.judge(ctx, watch, status, err)
    else
      watch.due = ctx.now() -- an error took the answer
    end
    place.watch = nil
    put_back(run, watch, status, err)
  end
  if whole then
    local free = place
    if place.why ~= "done" then free = new_place(run, judge, place.n) end -- the queue may still know the old one
    free.next, run.free = run.free, free
    run.looking = run.looking - 1
  else
    mend(run)
  end
  run.whole = true
  ctx.scheduler:called(place)
end

-- The same for a watch with an `on_progress`, which may wait: the look is a short job of its own.
local function look_as_job(run, watch)
  local ctx = run.ctx
  local function over(status, err)
    wake(run)
    local whole = run.whole and watch.by_job -- else an error interrupted this: the loop mends
    run.whole = false
    if watch.by_job then
      run.jobs, watch.by_job = run.jobs - 1, nil
      put_back(run, watch, status, err)
    end
    run.whole = whole
  end
  local cleanup = ctx.scheduler:on_drop { drop = function()
    over(nil, errors.new { code = "cancelled", operation = "wait_each", taskId = watch.taskId,
      message = "the look at task " .. watch.taskId .. " was given up (on_progress raised, or the client was closed)" })
  end }
  local status, err = query.look(ctx, watch.taskId, max(watch.deadline, ctx.now() + 1))
  status, err = watches.judge(ctx, watch, status, err)
  over(status, err)
  ctx.scheduler:settled(cleanup)
end

local function look(run, watch, now)
  local ctx = run.ctx
  if watch.options.on_progress then
    ctx.scheduler:spawn(look_as_job, run, watch) -- should on_progress raise, the log hears of it
    run.jobs, watch.by_job = run.jobs + 1, true
    return
  end
  local place = run.free
  if place then
    run.free = place.next
  else
    place = new_place(run, judge, #run.places + 1)
  end
  run.looking = run.looking + 1
  place.watch = watch
  begin(place, watch, now)
end

-- Starts looks that are due; returns when the next one is, or nil.
local function start_looks(ctx, run)
  while run.looking + run.jobs < run.limit do
    local watch = run.sleeping:first()
    if not watch then return nil end
    local now = ctx.now()
    if run.booked == nil or run.changes ~= ctx.polls.changes then
      if watch.due > now then return watch.due end
      run.changes = ctx.polls.changes
      run.booked = now + ctx.polls:reserve(watches.count(ctx), now)
    end
    local at, late = run.booked, nil
    if at > watch.deadline then -- they began together, so it is too late for none before
      late = watches.too_late(watch, at)
      if late then at = watch.deadline end
    end
    if at > now then return at end
    run.sleeping:remove(watch)
    if late then
      put_back(run, watch, nil, late)
      ctx.scheduler:wake(run.waiter, "done")
    else
      run.booked = nil
      look(run, watch, now)
    end
  end
  return nil
end

-- Looks at what is due, then waits for an end or for the next look. The watches count among the client's waits only
-- meanwhile, since nobody learns of a loop that is left early.
local function wait_for_end(ctx, run)
  local function leave()
    watches.recount(ctx, run, nil)
    run.waiter, ctx.each[run] = nil, nil
  end
  local cleanup = ctx.scheduler:on_drop { drop = leave }
  run.waiter, ctx.each[run] = {}, true
  watches.recount(ctx, run, run.live)
  run.whole = false -- should an error come
  local ok, due = ctx.scheduler:protect(start_looks, ctx, run)
  local why = due -- or what was raised
  run.whole = ok
  if ok and not run.waiter.why then -- or one has ended without a look
    ok, why = ctx.scheduler:protect(ctx.scheduler.await, ctx.scheduler, nil, due, run.waiter)
  end
  leave()
  ctx.scheduler:settled(cleanup)
  if not ok then error(why, 0) end
  return why
end

---Iterates over tasks in the order in which they end: taskId, status or nil, error or nil.
---@param ctx table
---@param ids string[]
---@param options table  the `wait` options
---@param limit integer  looks at a time
---@return fun(): string|nil, veo.Status|nil, veo.Error|nil
function M.wait_each(ctx, ids, options, limit)
  local run = { ctx = ctx, sleeping = heaps.new(), ended = {}, last = 0, limit = limit, live = 0, whole = true,
    places = {}, free = nil, looking = 0, jobs = 0, -- how many places are taken, and how many looks are jobs
    open = {} } -- id → watch of those that have not ended; `other` is a second one of the same id
  local first, now, open, sleeping = 1, ctx.now(), run.open, run.sleeping
  for _, taskId in ipairs(ids) do
    local ok, err = wire.task_id(taskId, "wait_each")
    if ok then
      -- Five fields make a table of eight; at, status and interval come. With one more it would take twice the memory.
      local watch = watches.begin({ ctx = ctx, taskId = taskId, options = options, deadline = now, due = now }, now)
      local other = open[taskId]
      if other then watch.other = other end
      open[taskId] = watch
      run.live = run.live + 1
      sleeping:add(watch)
    else
      run.last = run.last + 1
      run.ended[run.last] = { taskId = taskId, fault = err }
    end
  end
  local function give_up(err)
    first, run.last, run.live = 1, 0, 0
    return "", nil, err
  end
  return function()
    while true do
      if not run.whole then mend(run) end -- also what a step left while this one slept
      if first <= run.last then break end
      if run.live == 0 then return nil end
      local obstacle = ctx.scheduler:obstacle()
      if obstacle then return give_up(obstacle) end
      local why = wait_for_end(ctx, run)
      if why == "closed" or why == "stuck" then
        return give_up(errors.new { code = why == "closed" and "closed" or "busy", operation = "wait_each",
          message = "wait_each was " .. why .. " before all tasks had ended" })
      end
    end
    local ended, at = run.ended, first
    local watch = ended[at]
    first = at + 1
    ended[at] = false
    local err = watch.fault
    return watch.taskId, not err and watch.status or nil, err
  end
end

return M
