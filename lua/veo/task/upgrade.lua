--- 1080P and 4K versions of a finished video.
---
--- In the family "veo" the 1080P version is a question that costs once and is asked until the answer is there. In the
--- family "jobs" it is an order with a task of its own, which is waited for. What the ledger knows of one family is paid,
--- and is not ordered again over the other.

local pairs = pairs
local format = string.format

local budgets = require "veo.policy.budget"
local duplicates = require "veo.task.duplicate"
local equality = require "veo.ledger.equality"
local ends = require "veo.async.ended"
local errors = require "veo.errors"
local outages = require "veo.policy.outage"
local retry = require "veo.policy.retry"
local submits = require "veo.task.submit"
local upgraded = require "veo.task.upgraded"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

local M = {}

local api = wire.veo

-- The question --------------------------------------------------------------------------------------------------------

local function not_yet(taskId, options, err, charged)
  return errors.new { code = "timeout", operation = "get_1080p", taskId = taskId, cause = err and err.code,
    service_code = err and err.service_code, service_msg = err and err.service_msg, charged = charged,
    message = format("the 1080P version of task %s is not ready after %g s%s; %s", taskId, options.upgrade.timeout,
      err and err.service_msg and (" (the service says: " .. err.service_msg .. ")") or "",
      charged == "no" and "nothing was ordered" or "asking again costs nothing more") }
end

-- What the caller gets: enough for download, which asks for a fresh link by the same call when this one has died.
local function result(fields, found)
  return { taskId = fields.taskId, index = fields.index, url = found.url, video_url = found.url, resolution = "1080p",
    state = "succeeded", done = true, version = "1080P", raw = found.raw }
end

-- It is ordered, or may be. The price counts with the first answer that shows it; of somebody else's order there is none.
local function note(ctx, charge, found)
  charge.ordered = true
  if not found or charge.counted or not charge.price then return end
  charge.counted = true
  ctx.tally:charged(charge.price)
end

-- One look. Returns what was found, or an error, or the seconds until the next look and why it is needed.
local function look(ctx, request, options, state, charge)
  local reply, failure = ctx.scheduler:exchange(state.deadline + 1, "request", request, { timeout = ctx.timeout })
  local found, err, uncertain = wire.upgrade(api, "get_1080p", reply, failure)
  if found or uncertain then note(ctx, charge, found) end
  if ctx.log then
    ctx.log { event = "poll", operation = "get_1080p", taskId = request.query.taskId, ready = found and found.ready,
      err = err or found.err }
  end
  if not found and outages.met(err) then
    local pause = state.outage:pause(ctx, options.retry, err, state.deadline)
    return nil, not pause and err or nil, pause, err
  end
  state.outage:over()
  if found then
    upgraded.note(ctx, request.query.taskId, "1080P")
    state.errors = 0
    if found.ready then return found end
    return nil, nil, options.upgrade.interval, found.err
  end
  state.errors = state.errors + 1
  local delay = wire.repeatable(err) and state.errors < options.retry.attempts
    and retry.delay(options.retry, state.errors, ctx.random, err.retry_after)
  if delay then return nil, nil, delay, err end
  return nil, err
end

-- Reserves the price: the first call orders, asking again costs nothing more. A ledger knows what others have ordered.
-- What may have been ordered stays reserved. Nil, err; or nil, nil and the order of the other family that is to be joined.
local function reserve(ctx, fields)
  local ref = equality.question(fields.taskId, fields.index)
  local charge = ctx.charges[ref]
  if charge then return charge end
  local price, err = budgets.reserve(ctx.money, "get_1080p", fields)
  if err then return nil, err end
  charge = { ref = ref, price = price, asking = 0 }
  if ctx.ledger and price then
    local found
    found, err = ctx.ledger:charge { ref = ref, operation = "get_1080p", api = api.name, body = fields,
      taskId = fields.taskId, price = price, day_limit = ctx.money.day }
    -- Who else has asked may yet be refused: only what is known to be ordered costs this client nothing.
    if not found or found.kind == "budget" or found.row or found.ordered then
      budgets.release(ctx.money, price)
      charge.price = nil
    end
    if not found then return nil, err end
    if found.row then return nil, nil, found.row end
    if found.kind == "budget" then return nil, budgets.day_passed(ctx.money, "get_1080p", price, found.spent) end
    charge.noted = true
  end
  ctx.charges[ref] = charge
  return charge
end

-- A call is over. Where none of its requests can have ordered anything, and no other job asks the same, nothing was
-- ordered.
local function leave(ctx, charge)
  charge.asking = charge.asking - 1
  if charge.ordered or charge.asking > 0 then return end
  ctx.charges[charge.ref] = nil
  budgets.release(ctx.money, charge.price)
  if charge.noted then ctx.ledger:uncharge(charge.ref) end
end

-- Asks until the link is there, or the time is over.
local function poll(ctx, fields, options, charge)
  local spec = api.operations.get_1080p
  local request = { operation = "get_1080p", method = spec.method, path = spec.path, query = fields }
  local state = { errors = 0, outage = outages.new(), deadline = ctx.now() + options.upgrade.timeout }
  while true do
    local found, err, pause, why = look(ctx, request, options, state, charge)
    if found then return result(fields, found) end
    if not err and ctx.now() + pause > state.deadline then
      err = not_yet(fields.taskId, options, why, charge.ordered and "maybe" or "no")
    end
    if err then
      err.taskId = err.taskId or fields.taskId
      if charge.ordered then err.charged = "maybe" end -- by an earlier look, whatever this one met
      return nil, err
    end
    local ended = ctx.scheduler:sleep_until(ctx.now() + pause)
    if ended ~= "timeout" then
      return nil, errors.new { code = ends.code(ended), operation = "get_1080p",
        taskId = fields.taskId, charged = charge.ordered and "maybe" or nil,
        message = "asking for the 1080P version of " .. fields.taskId .. " was " .. ended }, true
    end
  end
end

-- The order -----------------------------------------------------------------------------------------------------------

-- Waits for the task of an order, and returns it as the call's result.
local function wait_for(ctx, task, source, options)
  local wait = {}
  for name, value in pairs(ctx.defaults.wait) do wait[name] = value end
  wait.timeout, wait.interval, wait.max_interval = options.upgrade.timeout, options.upgrade.interval,
    options.upgrade.interval
  local status, err = waits.wait(ctx, task.taskId, wait)
  if not status then
    err.operation = "get_1080p"
    return nil, task.joined and err or errors.paid(err)
  end
  -- A dead link is made anew by the task's own record, as of any task.
  return { taskId = status.taskId, source = source, url = status.video_url, video_url = status.video_url,
    resolution = "1080p", state = "succeeded", done = true, creditsConsumed = status.creditsConsumed,
    joined = task.joined, ref = task.ref, raw = status.raw }
end

-- What was ordered for the video, or joined: notes it, and waits.
local function finish(ctx, taskId, task, err, options)
  upgraded.ordered(ctx, taskId, "1080P", task, err)
  if not task then return nil, err end
  return wait_for(ctx, task, taskId, options)
end

-- Both ----------------------------------------------------------------------------------------------------------------

local function ask(ctx, params, options)
  local fields, wrong = wire.check(api, "get_1080p", params)
  if not fields then return nil, wrong end
  local charge, over, row = reserve(ctx, fields)
  if row then
    local task, err = duplicates.join(ctx, row, "get_1080p", ctx.now() + ctx.defaults.submit.deadline)
    return finish(ctx, fields.taskId, task, err, options)
  end
  if over then return nil, over end
  charge.asking = charge.asking + 1 -- a job that is dropped never takes it back, and its price stays reserved
  local found, err, ended = poll(ctx, fields, options, charge)
  if not ended then leave(ctx, charge) end
  return found, err
end

---Orders the 1080P version, if nobody has, and waits until it is there.
---@param ctx table
---@param params { taskId: string, index: integer|nil, callBackUrl: string|nil }
---@param options { upgrade: table, retry: veo.RetryPolicy }
---@return table|nil result, veo.Error|nil err
function M.get_1080p(ctx, params, options)
  if not ctx.api.operations.get_1080p.billable then return ask(ctx, params, options) end
  local task, err = submits.submit(ctx, "get_1080p", params, { submit = ctx.defaults.submit, retry = options.retry })
  if task and task.asked then return ask(ctx, { taskId = params.taskId }, options) end -- the ledger knows the question
  return finish(ctx, params.taskId, task, err, options)
end

---After the order of a 4K version: notes it, and says what is known already.
---@param ctx table
---@param taskId string   the video that was upgraded
---@param task table|nil  what the order returned
---@param err veo.Error|nil
function M.after_4k(ctx, taskId, task, err)
  upgraded.ordered(ctx, taskId, "4K", task, err)
  if task and task.resultUrls then
    task.video_url, task.state, task.done, task.resolution = task.resultUrls[1], "succeeded", true, "4k"
  end
end

return M
