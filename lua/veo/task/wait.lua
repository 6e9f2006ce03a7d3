--- Waiting for a task: when to look again, when to give up. A *watch* is one wait as plain data, judged look by look, so
--- that a single wait (here) and thousands of them (wait_each) follow the same rules.

local pairs, setmetatable, type = pairs, setmetatable, type
local huge, max, min = math.huge, math.max, math.min
local format = string.format

local as_job = require "veo.async.as_job"
local duration = require "veo.util.duration"
local ends = require "veo.async.ended"
local errors = require "veo.errors"
local outages = require "veo.policy.outage"
local query = require "veo.task.query"
local wire = require "veo.wire"

local M = {}

---@class veo.Watch
---@field taskId string
---@field due number       when to look next
---@field deadline number
local Watch = {}
Watch.__index = Watch
-- What each begins with.
Watch.looks, Watch.errors, Watch.empty, Watch.grace = 0, 0, 0, -huge

-- Success without a URL happens; it is asked for this many times more before it is reported.
local ASK_AGAIN_FOR_URL = 2

---Begins a wait.
---@param ctx table
---@param taskId string
---@param options table   the `wait` options
---@return veo.Watch
function M.begin(ctx, taskId, options)
  local now = ctx.now()
  local created = ctx.created[taskId]
  local deadline = now + options.timeout
  -- A render takes minutes; one whose start we did not see may be finished already.
  local due = created and created + options.first or now
  if due > deadline then due = deadline end
  if due < now then due = now end
  -- Eight fields while it sleeps: with one more it would take twice the memory.
  local watch = { ctx = ctx, taskId = taskId, options = options, deadline = deadline, due = due, status = nil,
    interval = nil, sleeper = nil }
  if created then watch.grace = created + options.grace end
  if options.on_progress then watch.began = now end
  return setmetatable(watch, Watch)
end

local function timed_out(watch)
  local status, state = watch.status, "its state is unknown"
  if status then state = "it was " .. status.state end
  if watch.since then state = state .. "; no answer for " .. duration(watch.ctx.now() - watch.since) end
  return errors.new { code = "timeout", operation = "wait", taskId = watch.taskId, status = status, cause = watch.err,
    message = format("task %s has not ended after %g s (%s); it goes on, and waiting again is free", watch.taskId,
      watch.options.timeout, state) }
end

-- A look whose turn comes later than this after the deadline is not made (seconds).
local LATE = 1

---Whether a wait ends at its deadline because its next look may only be made later: among many waits, or because the
---service asked for a pause of up to two minutes.
---@param watch veo.Watch
---@param at number  when the look may be made
---@return veo.Error|nil err  what it ends with
function M.too_late(watch, at)
  return at > watch.deadline + LATE and timed_out(watch) or nil
end

-- Sets when to look next; nil, or the error when there is no time left.
local function look_later(ctx, watch, least)
  local options = watch.options
  local now = ctx.now()
  if now >= watch.deadline then return timed_out(watch) end
  local wanted = watch.interval or options.interval
  local interval, stretched = ctx.polls:stretch(ctx.watching, wanted)
  local pause = interval * (1 + options.jitter * (2 * ctx.random() - 1))
  if least and least > pause then pause = least end
  watch.stretched = stretched or nil
  -- The last look is made at the deadline.
  watch.due = min(now + pause, watch.deadline)
  watch.interval = min(wanted * options.growth, max(options.max_interval, wanted))
  return nil
end

local function failed(watch, status)
  local text = status.errorMessage or "no reason given"
  return errors.new { code = "failed", operation = "wait", taskId = watch.taskId, status = status,
    service_code = type(status.errorCode) == "number" and status.errorCode or nil, service_msg = text,
    message = format("task %s failed: %s", watch.taskId, wire.printable(text, 200)) }
end

local function judge_status(ctx, watch, status)
  watch.status = status
  if watch.err then watch.errors, watch.err, watch.since = 0, nil, nil end
  if status.state == "failed" then return nil, failed(watch, status) end
  if status.state == "succeeded" then
    if status.video_url then return status end
    watch.empty = watch.empty + 1
    if watch.empty > ASK_AGAIN_FOR_URL then
      return nil, errors.new { code = "no_result", operation = "wait", taskId = watch.taskId, status = status,
        message = "task " .. watch.taskId .. " succeeded, but the service names no video" }
    end
  end
  return nil, look_later(ctx, watch)
end

local function judge_error(ctx, watch, err)
  err.taskId, err.status = err.taskId or watch.taskId, watch.status
  if err.code == "not_found" and ctx.now() < watch.grace then
    watch.err, watch.since = "not visible yet", nil
    return nil, look_later(ctx, watch)
  end
  if not wire.repeatable(err) then return nil, err end
  watch.errors, watch.err, watch.since = watch.errors + 1, err.code, watch.since or ctx.now()
  local most = watch.options.max_errors
  if most and watch.errors > most then
    err.attempts = watch.errors
    return nil, err
  end
  if err.code == "rate_limited" then ctx.polls:refused(err.retry_after) end
  return nil, look_later(ctx, watch, err.retry_after)
end

---@class veo.WaitInfo
---@field elapsed number       seconds
---@field looks integer
---@field next number|nil      seconds until the next look
---@field stretched boolean|nil  the rate of looks makes it later than the interval would
---@field offline number|nil   seconds without an answer; the status is the last one, its state `unknown` before the first
---@field message string|nil   says so
---@field err veo.Error|nil    of the last look

-- on_progress is told of each look that brought a state, and of each one that brought no answer; before the first
-- answer the state is unknown.
local function tell(ctx, watch, status, err, over)
  local offline = watch.since and ctx.now() - watch.since
  if not status and (over or not offline) then return end
  status = status or watch.status or { taskId = watch.taskId, state = "unknown", done = false }
  watch.options.on_progress(status, { elapsed = ctx.now() - watch.began, looks = watch.looks,
    next = not over and watch.due - ctx.now() or nil, stretched = watch.stretched,
    offline = offline, err = offline and err, message = offline and outages.words(err, offline) or nil })
end

---Judges a look. Both nil: look again at `watch.due`.
---@param ctx table
---@param watch veo.Watch
---@param status veo.Status|nil
---@param err veo.Error|nil
---@return veo.Status|nil status, veo.Error|nil err
function M.judge(ctx, watch, status, err)
  local on_progress = watch.options.on_progress
  if on_progress then watch.looks = watch.looks + 1 end
  local before = watch.status and watch.status.state
  local done, why
  if status then done, why = judge_status(ctx, watch, status) else done, why = judge_error(ctx, watch, err) end
  if ctx.log and status and status.state ~= before then
    ctx.log { event = "state", taskId = watch.taskId, state = status.state }
  end
  if ctx.ledger and not watch.quiet then
    if done or why then ctx.ledger:ended(watch.taskId, done, why) else ctx.ledger:beat() end
  end
  if on_progress then tell(ctx, watch, status, err, done or why) end
  return done, why
end

local function ended(watch, why)
  return errors.new { code = ends.code(why), operation = "wait", taskId = watch.taskId,
    message = "the wait for task " .. watch.taskId .. " was " .. why }
end

-- Sleeps until the look is due and booked; nil, or the error that ends the wait.
local function sleep(ctx, watch)
  local scheduler = ctx.scheduler
  local why = "timeout"
  if watch.due > ctx.now() then
    watch.sleeper = scheduler.current
    why = scheduler:await(nil, watch.due)
    watch.sleeper = nil
  end
  local polls, changes = ctx.polls, nil
  while why == "timeout" and changes ~= polls.changes do -- anew where a look was refused meanwhile
    changes = polls.changes
    local booked = polls:reserve(ctx.watching)
    if booked <= 0 then break end
    local at = ctx.now() + booked
    local late = M.too_late(watch, at)
    why = scheduler:sleep_until(late and watch.deadline or at)
    if late and why == "timeout" then return timed_out(watch) end
  end
  return why ~= "timeout" and ended(watch, why) or nil
end

---Something happened to a task (a callback came): all waits for it look now.
---@param ctx table
---@param taskId string
function M.poke(ctx, taskId)
  local watch = ctx.watches[taskId]
  while watch do
    watch.due = ctx.now()
    if watch.sleeper then ctx.scheduler:wake(watch.sleeper, "timeout") end
    watch = watch.other
  end
  for run in pairs(ctx.each) do
    watch = run.open[taskId]
    while watch do
      if run.sleeping:has(watch) then
        run.sleeping:remove(watch)
        watch.due = ctx.now()
        run.sleeping:add(watch)
        ctx.scheduler:wake(run.waiter, "done")
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

---Counts the waits under way, which share the rate of looks.
---@param more integer
function M.count(ctx, more)
  ctx.watching = ctx.watching + more
end

---Notes when a task was made: how soon a look makes sense, and how long the service may not know it yet.
---@param at number  on the clock of `now`
function M.made(ctx, taskId, at)
  ctx.created[taskId] = at
end

local function enter(ctx, watch)
  M.count(ctx, 1)
  local watches, taskId = ctx.watches, watch.taskId
  watch.other = watches[taskId] -- mostly none
  watches[taskId] = watch
end

local function leave(ctx, watch)
  M.count(ctx, -1)
  local watches, taskId = ctx.watches, watch.taskId
  local before = watches[taskId]
  if before == watch then watches[taskId] = watch.other end
  while before and before.other ~= watch do before = before.other end
  if before then before.other = watch.other end
end

---The job ends early.
function Watch:drop(how)
  if not self.left then leave(self.ctx, self) end -- not twice, should an error come right behind it
  self.left = true
  return ended(self, how)
end

local function look(ctx, watch)
  -- A look begun at the deadline still gets a little time.
  local status, err = query.look(ctx, watch.taskId, max(watch.deadline, ctx.now() + 1))
  if err and ends.is(err.code) then return nil, err end
  return M.judge(ctx, watch, status, err)
end

local function follow(ctx, taskId, options, quiet)
  local watch = M.begin(ctx, taskId, options)
  watch.quiet = quiet or nil
  enter(ctx, watch)
  ctx.scheduler:on_drop(watch)
  local status, err
  repeat
    err = sleep(ctx, watch)
    if not err then status, err = look(ctx, watch) end
  until status or err
  ctx.scheduler:settled(watch)
  leave(ctx, watch)
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
