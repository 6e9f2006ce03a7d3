--- A *watch*: one wait for a task as plain data, judged look by look: when to look again, when to give up. A single wait
--- (task.wait) and thousands of them (task.wait_each) follow the same rules.

local pairs, setmetatable, type = pairs, setmetatable, type
local huge, max, min = math.huge, math.max, math.min
local format = string.format

local duration = require "veo.util.duration"
local errors = require "veo.errors"
local last = require "veo.task.last_status"
local outages = require "veo.policy.outage"
local wire = require "veo.wire"

local M = {}

---@class veo.Watch
---@field ctx veo.Context
---@field taskId string
---@field options table   the `wait` options
---@field due number|nil  when to look next
---@field deadline number
---@field status veo.Status|string|nil  the last one, as task.last_status keeps it
---@field seen veo.Status|nil    of a job's wait, as the next three: what its end is, or what `on_progress` is to be told
---@field fault veo.Error|nil    likewise; of wait_each too
---@field changes integer|nil    `due` is when the next look is booked, and this says whether that holds
---@field late veo.Error|nil     it could be booked only for too late
local Watch = {}
Watch.__index = Watch
-- What each begins with.
Watch.looks, Watch.errors, Watch.empty, Watch.grace = 0, 0, 0, -huge
M.Watch = Watch

---How many waits are under way. They share the rate of looks, so one too many slows all others down, and with one too few
---there is no rate. An error may come in between while they change: then they are counted.
---@param ctx table
---@return integer
function M.count(ctx)
  local count = ctx.watching
  if count then return count end
  count = 0
  for _, watch in pairs(ctx.watches) do
    while watch do
      count, watch = count + 1, watch.other
    end
  end
  for run in pairs(ctx.each) do count = count + (run.counted or 0) end
  ctx.watching = count
  return count
end

---A wait begins.
---@param ctx table
---@param watch veo.Watch
function M.enter(ctx, watch)
  local all, taskId, count = ctx.watches, watch.taskId, ctx.watching
  ctx.watching = false
  local other = all[taskId]
  if other then watch.other = other end -- mostly none
  all[taskId] = watch
  ctx.watching = count and count + 1
end

---It ends; nothing happens when it has ended before.
---@param ctx table
---@param watch veo.Watch
function M.leave(ctx, watch)
  local all, taskId, count = ctx.watches, watch.taskId, ctx.watching
  local before = all[taskId]
  if before ~= watch then
    while before and before.other ~= watch do before = before.other end
    if not before then return end
  end
  ctx.watching = false
  if before == watch then all[taskId] = watch.other else before.other = watch.other end
  ctx.watching = count and count - 1
end

---So many waits of a loop count from here on.
---@param ctx table
---@param run { counted: integer|nil }
---@param live integer|nil  nil: none, until it waits again
function M.recount(ctx, run, live)
  local count, before = ctx.watching, run.counted or 0
  ctx.watching = false
  run.counted = live
  ctx.watching = count and count + (live or 0) - before
end

-- Success without a URL happens; it is asked for this many times more before it is reported.
local ASK_AGAIN_FOR_URL = 2

---Begins a wait.
---@param watch { ctx: table, taskId: string, options: table }  with as many fields as make room for those it will need
---@param now number
---@return veo.Watch
function M.begin(watch, now)
  local ctx, options = watch.ctx, watch.options
  local created = ctx.created[watch.taskId]
  local deadline = now + options.timeout
  -- A render takes minutes; one whose start we did not see may be finished already.
  local due = created and created + options.first or now
  if due > deadline then due = deadline end
  if due < now then due = now end
  watch.deadline, watch.due = deadline, due
  if created then watch.grace = created + options.grace end
  if options.on_progress then watch.began = now end
  return setmetatable(watch, Watch)
end

---What a wait ends with that has run out of time.
---@param watch veo.Watch
---@return veo.Error
function M.timed_out(watch)
  local status, state = last.read(watch.ctx.api, watch.status, watch.taskId), "its state is unknown"
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
  return at > watch.deadline + LATE and M.timed_out(watch) or nil
end

-- Sets when to look next; nil, or the error when there is no time left.
local function look_later(ctx, watch, least)
  local options = watch.options
  local now = ctx.now()
  if now >= watch.deadline then return M.timed_out(watch) end
  local wanted = watch.interval or options.interval
  local interval, stretched = ctx.polls:stretch(M.count(ctx), wanted)
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
  local state = status.state
  watch.status = watch.options.on_progress and status or last.keep(status)
  if watch.err then watch.errors, watch.err, watch.since = 0, nil, nil end
  if state == "failed" then return nil, failed(watch, status) end
  if state == "succeeded" then
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
  err.taskId, err.status = err.taskId or watch.taskId, last.read(ctx.api, watch.status, watch.taskId)
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

local function note(ledger, watch, done, why)
  if watch.quiet then return end
  if done or why then ledger:ended(watch.taskId, done, why) else ledger:beat() end
end

---Judges a look. Both nil: look again at `watch.due`.
---@param ctx table
---@param watch veo.Watch
---@param status veo.Status|nil
---@param err veo.Error|nil
---@return veo.Status|nil status, veo.Error|nil err
function M.judge(ctx, watch, status, err)
  local on_progress, log = watch.options.on_progress, ctx.log
  if status and not (on_progress or log or ctx.ledger) then return judge_status(ctx, watch, status) end
  if on_progress then watch.looks = watch.looks + 1 end
  local before = log and last.state(watch.status)
  local done, why
  if status then done, why = judge_status(ctx, watch, status) else done, why = judge_error(ctx, watch, err) end
  if log and status and status.state ~= before then
    log { event = "state", taskId = watch.taskId, state = status.state }
  end
  if ctx.ledger then note(ctx.ledger, watch, done, why) end
  if on_progress then tell(ctx, watch, status, err, done or why) end
  return done, why
end

return M
