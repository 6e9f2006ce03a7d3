--- The ends of many tasks, in the order in which they come. A task costs a table while it is waited for, not a coroutine,
--- and a look at it neither: it has a place, one of `limit`, whose `call` judges what came of it.

local error, ipairs, max, pairs = error, ipairs, math.max, pairs

local admission = require "veo.async.admission"
local errors = require "veo.errors"
local heaps = require "veo.util.heap"
local query = require "veo.task.query"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

local M = {}

-- A place is the waiter of one look at a time: { run, n, watch, due, tries, call }; `n` is where it stands in run.places.

-- Whether a look is under way in a place, or has ended and is about to be judged.
local function is_busy(run, place)
  return place.watch and run.ctx.scheduler:expects_call(place) and (place.transfer or place.queued or place.why)
end

local function close(run, watch)
  local open, taskId = run.open, watch.taskId
  local before = open[taskId]
  if before == watch then open[taskId] = watch.other end
  while before and before.other ~= watch do before = before.other end
  if before then before.other = watch.other end
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
  run.places, run.free, run.live = busy, {}, 0
  for i = 1, run.last do -- told, and perhaps not closed yet
    local watch = run.ended[i] and run.ended[i][4]
    if watch then close(run, watch) end
  end
  for _, watch in pairs(run.open) do
    while watch do
      run.live = run.live + 1
      if not looked_at[watch] and not watch.by_job and not run.sleeping:has(watch) then
        watch.due = run.ctx.now()
        run.sleeping:add(watch)
      end
      watch = watch.other
    end
  end
  run.whole = true
end

-- A look is over: the watch has ended or sleeps again. The order matters, for an error may come in between: a watch that
-- is in no place and not asleep is looked at again.
local function put_back(run, watch, status, err)
  if status or err then
    run.ended[run.last + 1] = { watch.taskId, status, err, watch }
    run.last = run.last + 1
    close(run, watch)
    run.live = run.live - 1
    if run.counted then waits.count(run.ctx, -1) end
  else
    run.sleeping:add(watch)
  end
end

local function begin(place)
  local ctx = place.run.ctx
  ctx.scheduler:begin(place, place.due, ctx.api.look, place.watch.taskId)
end

local function new_place(run, call, n)
  local place = { run = run, call = call, n = n }
  run.places[n] = place
  return place
end

local function is_unanswered(place, failure)
  return failure and failure.unanswered and place.tries < query.UNANSWERED and place.run.ctx.now() < place.due
end

-- What came of a look. It may be called twice, should an error interrupt it: then the watch has left its place.
local function judge(place)
  local run, watch = place.run, place.watch
  local ctx = run.ctx
  if ctx.closed then return end -- the loop says so
  local reply, failure = admission.answer(place)
  if watch and is_unanswered(place, failure) then
    place.tries = place.tries + 1
    return begin(place)
  end
  local status, err
  local whole = run.whole and watch and (reply or failure)
  run.whole = false -- should an error come
  if watch and (reply or failure) then
    status, err = query.read(ctx, watch.taskId, reply, failure)
    status, err = waits.judge(ctx, watch, status, err)
  elseif watch then
    watch.due = ctx.now() -- an error took the answer
  end
  place.watch = nil
  if watch then put_back(run, watch, status, err) end
  if not whole then
    mend(run)
  elseif place.why == "done" then
    run.free[#run.free + 1] = place
  else -- the queue may still know it
    run.free[#run.free + 1] = new_place(run, judge, place.n)
  end
  run.whole = true
  ctx.scheduler:called(place)
  if run.waiter then ctx.scheduler:wake(run.waiter, "done") end
end

-- The same for a watch with an `on_progress`, which may wait: the look is a short job of its own.
local function look_as_job(run, watch)
  local ctx = run.ctx
  local function over(status, err)
    run.jobs, watch.by_job = run.jobs - 1, nil
    put_back(run, watch, status, err)
    if run.waiter then ctx.scheduler:wake(run.waiter, "done") end
  end
  local cleanup = ctx.scheduler:on_drop { drop = function()
    over(nil, errors.new { code = "cancelled", operation = "wait_each", taskId = watch.taskId,
      message = "the look at task " .. watch.taskId .. " was given up (on_progress raised, or the client was closed)" })
  end }
  local status, err = query.look(ctx, watch.taskId, max(watch.deadline, ctx.now() + 1))
  status, err = waits.judge(ctx, watch, status, err)
  ctx.scheduler:settled(cleanup)
  over(status, err)
end

local function look(run, watch)
  local ctx = run.ctx
  if watch.options.on_progress then
    run.jobs, watch.by_job = run.jobs + 1, true
    ctx.scheduler:spawn(look_as_job, run, watch) -- should on_progress raise, the log hears of it
    return
  end
  local place = run.free[#run.free]
  if place then
    run.free[#run.free] = nil
  else
    place = new_place(run, judge, #run.places + 1)
  end
  place.watch, place.due, place.tries = watch, max(watch.deadline, ctx.now() + 1), 0
  begin(place)
end

-- Looks under way.
local function looking(run)
  return #run.places - #run.free + run.jobs
end

-- Starts looks that are due; returns when the next one is, or nil.
local function start_looks(ctx, run)
  while looking(run) < run.limit do
    local watch = run.sleeping:first()
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
    if late then
      put_back(run, watch, nil, late)
      ctx.scheduler:wake(run.waiter, "done")
    else
      run.booked = nil
      look(run, watch)
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
  run.whole = false -- should an error come
  local ok, due = ctx.scheduler:protect(start_looks, ctx, run)
  local why = due -- or what was raised
  run.whole = ok
  if ok and not run.waiter.why then -- or one has ended without a look
    ok, why = ctx.scheduler:protect(ctx.scheduler.await, ctx.scheduler, nil, due, run.waiter)
  end
  ctx.scheduler:settled(cleanup)
  leave()
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
    places = {}, free = {}, jobs = 0,
    open = {} } -- id → watch of those that have not ended; `other` is a second one of the same id
  local first = 1
  for _, taskId in ipairs(ids) do
    local ok, err = wire.task_id(taskId, "wait_each")
    if ok then
      local watch = waits.begin(ctx, taskId, options)
      if run.open[taskId] then watch.other = run.open[taskId] end
      run.live, run.open[taskId] = run.live + 1, watch
      run.sleeping:add(watch)
    else
      run.last = run.last + 1
      run.ended[run.last] = { taskId, nil, err }
    end
  end
  local function give_up(err)
    first, run.last, run.live = 1, 0, 0
    return "", nil, err
  end
  return function()
    if not run.whole then mend(run) end
    while first > run.last do
      if run.live == 0 then return nil end
      local obstacle = ctx.scheduler:obstacle()
      if obstacle then return give_up(obstacle) end
      local why = wait_for_end(ctx, run)
      if why == "closed" or why == "stuck" then
        return give_up(errors.new { code = why == "closed" and "closed" or "busy", operation = "wait_each",
          message = "wait_each was " .. why .. " before all tasks had ended" })
      end
    end
    local ended = run.ended[first]
    first = first + 1
    run.ended[first - 1] = false
    return ended[1], ended[2], ended[3]
  end
end

return M
