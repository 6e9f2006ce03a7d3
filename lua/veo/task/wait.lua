--- Waiting for a task. In a job the coroutine waits once: until then its watch sleeps, looks and judges by itself, in its
--- turn, so that ten thousand waits are slim. Only an `on_progress`, which may wait and raise, is called in the job.

local huge, pairs = math.huge, pairs

local as_job = require "veo.async.as_job"
local ends = require "veo.async.ended"
local errors = require "veo.errors"
local query = require "veo.task.query"
local watches = require "veo.task.watch"
local wire = require "veo.wire"

local M = {}

local Watch = watches.Watch

local function ended(watch, why)
  return errors.new { code = ends.code(why), operation = "wait", taskId = watch.taskId,
    message = "the wait for task " .. watch.taskId .. " was " .. why }
end

-- Begins a look. One begun at the deadline still gets a little time.
local function look(ctx, watch, now)
  if watch.changes then watch.changes = nil end
  local limit = watch.deadline
  if limit < now + 1 then limit = now + 1 end
  return ctx.scheduler:begin(watch, limit, now, ctx.api.look, watch.taskId)
end

-- Sleeps until the look is due and booked, or begins it. True when there is to be none any more.
local function sleep_or_look(ctx, watch)
  local polls, now, due = ctx.polls, ctx.now(), watch.due
  if due <= now and watch.changes ~= polls.changes then -- anew where a look was refused meanwhile
    local booked = polls:reserve(watches.count(ctx), now)
    if booked <= 0 then return look(ctx, watch, now) end
    due = now + booked
    watch.changes, watch.late = polls.changes, watches.too_late(watch, due)
    if watch.late then due = watch.deadline end
    watch.due = due
  end
  if due > now then return ctx.scheduler:sleep(watch, due) end
  if not watch.late then return look(ctx, watch, now) end
  watch.fault = watches.timed_out(watch)
  return true
end

-- Reads and judges what came of a look. True when the job is to know it.
local function judge(ctx, watch, reply, failure)
  local status, err = query.read(ctx, watch.taskId, reply, failure)
  if not watch.options.on_progress and not (err and ends.is(err.code)) then
    status, err = watches.judge(ctx, watch, status, err)
  end
  if status then watch.seen = status elseif err then watch.fault = err else return false end
  return true
end

---Goes on with the wait once its sleep or its look is over; again, should an error interrupt it.
---@return boolean|table|nil over  the job is to go on
function Watch:call()
  local ctx, why = self.ctx, self.why
  if self.seen or self.fault or why and why ~= "done" and ends.is(why) then return true end
  if not self.due then
    local reply, failure, again = query.answer(ctx, self)
    if again then return look(ctx, self, ctx.now()) end
    if reply or failure then
      if judge(ctx, self, reply, failure) then return true end
      if self.left then return false end -- a log function has ended the job
    else
      self.due = ctx.now()
    end
  end
  return sleep_or_look(ctx, self)
end

---A task has ended (a callback said so): all waits for it look now, and so does one that begins later.
---@param ctx table
---@param taskId string
function M.poke(ctx, taskId)
  if ctx.created[taskId] then ctx.created[taskId] = -huge end
  local watch = ctx.watches[taskId]
  while watch do
    if watch.due and not watch.changes then -- it neither looks nor has a look booked
      ctx.scheduler:wake(watch, "timeout")
      watch.due = ctx.now()
    end
    watch = watch.other
  end
  for run in pairs(ctx.each) do
    watch = run.open[taskId]
    while watch do
      if run.sleeping:has(watch) then
        ctx.scheduler:wake(run.waiter, "done")
        local whole = run.whole
        run.whole = false -- should an error come
        run.sleeping:remove(watch)
        watch.due = ctx.now()
        run.sleeping:add(watch)
        run.whole = whole
      end
      watch = watch.other
    end
  end
end

---Whether a call of this client waits for the task just now.
---@param ctx table
---@param taskId string
---@return boolean
function M.is_watched(ctx, taskId)
  if ctx.watches[taskId] then return true end
  for run in pairs(ctx.each) do
    if run.open[taskId] then return true end
  end
  return false
end

---Notes when a task was made: how soon a look makes sense, and how long the service may not know it yet.
---@param at number  on the clock of `now`
function M.made(ctx, taskId, at)
  ctx.created[taskId] = at
end

---The job ends early.
function Watch:drop(how)
  self.left = true
  watches.leave(self.ctx, self)
  return ended(self, how)
end

local function follow(ctx, taskId, options, quiet)
  local now = ctx.now()
  -- Nine fields make a table of sixteen, which is room enough for what a wait comes by.
  local watch = watches.begin({ ctx = ctx, taskId = taskId, options = options, deadline = now, due = now, limit = now,
    job = false, why = false, transfer = false }, now)
  if quiet then watch.quiet = true end
  ctx.scheduler:on_drop(watch)
  watches.enter(ctx, watch)
  local status, err
  repeat
    local why = ctx.scheduler:follow(watch)
    status, err = watch.seen, watch.fault
    if not status and not err then
      err = ended(watch, why)
    elseif options.on_progress and not (err and ends.is(err.code)) and not watch.late then
      watch.seen, watch.fault = nil, nil
      status, err = watches.judge(ctx, watch, status, err)
    end
  until status or err
  watches.leave(ctx, watch)
  ctx.scheduler:settled(watch)
  return status, err
end

---Waits until the task has succeeded.
---@param ctx table
---@param taskId string
---@param options table  the `wait` options
---@param quiet boolean|nil  the ledger is told by the caller
---@return veo.Status|nil, veo.Error|nil
function M.wait(ctx, taskId, options, quiet)
  local ok, err = wire.task_id(taskId, "wait")
  if not ok then return nil, err end
  -- A job's plain wait calls nobody back, so that nothing of it can be caught; ten thousand of them are slim.
  if ctx.scheduler.current and not options.on_progress then return follow(ctx, taskId, options, quiet) end
  return as_job(ctx, follow, ctx, taskId, options, quiet)
end

return M
