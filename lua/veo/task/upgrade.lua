--- 1080P and 4K versions of a finished video. The service extends no video that was upgraded, so an upgrade is noted and
--- an extension of that video refused before it is sent: extend first, upgrade last.
---
--- The 1080P version is asked for here as in the family "veo", where it is a question that costs once. One that the ledger
--- knows as an order of the family "jobs" is paid, and is waited for as that.

local format = string.format

local budgets = require "veo.policy.budget"
local duplicates = require "veo.task.duplicate"
local equality = require "veo.ledger.equality"
local errors = require "veo.errors"
local outages = require "veo.policy.outage"
local results = require "veo.task.upgrade.result"
local retry = require "veo.policy.retry"
local wire = require "veo.wire"

local M = {}

local api = wire.veo

---Notes an upgrade, in the client's memory; a ledger that is there keeps it for the next client.
---@param ctx table
---@param taskId string
---@param what "1080P"|"4K"
function M.note(ctx, taskId, what)
  if ctx.upgraded[taskId] then return end
  ctx.upgraded[taskId] = what
  if ctx.note_upgrade then ctx.note_upgrade(taskId, what) end
end

---Why this call may not be made after an upgrade; nil when it may.
---@param ctx table
---@param operation string
---@param params table
---@return veo.Error|nil
function M.refusal(ctx, operation, params)
  local what = operation == "extend" and ctx.upgraded[params.taskId]
  if not what then return nil end
  return errors.new { code = "invalid", operation = operation, field = "taskId", taskId = params.taskId,
    given = "a video that was upgraded to " .. what, expected = "a video that was not upgraded",
    message = format("%s: task %s was upgraded to %s, and the service extends no upgraded video "
      .. "(extend first, upgrade last)", operation, params.taskId, what) }
end

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
    state = "succeeded", done = true, upgrade = "1080P", raw = found.raw }
end

-- One look. Returns what was found, or an error, or the seconds until the next look and why it is needed.
local function look(ctx, request, options, state, charge)
  local reply, failure = ctx.scheduler:exchange(state.deadline + 1, "request", request, { timeout = ctx.timeout })
  local found, err, uncertain = wire.upgrade(api, "get_1080p", reply, failure)
  if found or uncertain then charge.ordered = true end
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
    M.note(ctx, request.query.taskId, "1080P")
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

-- The order of the other family, to its end.
local function join(ctx, row, fields, options)
  local task, err = duplicates.join(ctx, row, "get_1080p", ctx.now() + ctx.defaults.submit.deadline)
  M.ordered(ctx, fields.taskId, "1080P", task, err)
  if not task then return nil, err end
  return results.wait(ctx, task, fields.taskId, options)
end

---Asks for the 1080P version until it is there; the first call orders it.
---@param ctx table
---@param params { taskId: string, index: integer|nil }
---@param options { upgrade: table, retry: veo.RetryPolicy }
---@return table|nil result, veo.Error|nil err
function M.get_1080p(ctx, params, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local fields, wrong = wire.check(api, "get_1080p", params)
  if not fields then return nil, wrong end
  local charge, over, order = reserve(ctx, fields)
  if order then return join(ctx, order, fields, options) end
  if over then return nil, over end
  local spec = api.operations.get_1080p
  local request = { method = spec.method, path = spec.path, query = fields }
  local state = { errors = 0, outage = outages.new(), deadline = ctx.now() + options.upgrade.timeout }
  charge.asking = charge.asking + 1 -- a job that is dropped never takes it back, and its price stays reserved
  while true do
    local found, err, pause, why = look(ctx, request, options, state, charge)
    if found then
      leave(ctx, charge)
      return result(fields, found)
    end
    if not err and ctx.now() + pause > state.deadline then
      err = not_yet(fields.taskId, options, why, charge.ordered and "maybe" or "no")
    end
    if err then
      leave(ctx, charge)
      err.taskId = err.taskId or fields.taskId
      if charge.ordered then err.charged = "maybe" end -- by an earlier look, whatever this one met
      return nil, err
    end
    local ended = ctx.scheduler:sleep_until(ctx.now() + pause)
    if ended ~= "timeout" then
      return nil, errors.new { code = ended == "closed" and "closed" or "cancelled", operation = "get_1080p",
        taskId = fields.taskId, charged = charge.ordered and "maybe" or nil,
        message = "asking for the 1080P version of " .. fields.taskId .. " was " .. ended }
    end
  end
end

---After a submit: the upgrade is noted when it is or may be ordered.
---@param ctx table
---@param taskId string   the video that was upgraded
---@param what "1080P"|"4K"
---@param task table|nil  what the submit returned
---@param err veo.Error|nil
function M.ordered(ctx, taskId, what, task, err)
  if task or err.code == "uncertain" or err.charged == "maybe" then M.note(ctx, taskId, what) end
end

---After a 4K submit: notes it and says what is known already.
---@param ctx table
---@param taskId string   the video that was upgraded
---@param task table|nil  what the submit returned
---@param err veo.Error|nil
function M.after_4k(ctx, taskId, task, err)
  M.ordered(ctx, taskId, "4K", task, err)
  if task and task.resultUrls then
    task.video_url, task.state, task.done, task.resolution = task.resultUrls[1], "succeeded", true, "4k"
  end
end

return M
