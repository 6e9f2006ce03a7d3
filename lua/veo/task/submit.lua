--- The billable calls. One is repeated only when nothing of it left (proved by the core) or when the service refused it
--- before accepting it (429, 455); whatever else goes wrong is `uncertain`, because a repeat could be charged twice.

local ipairs = ipairs
local format = string.format

local as_job = require "veo.async.as_job"
local destinations = require "veo.task.download.destination"
local errors = require "veo.errors"
local intents = require "veo.task.intent"
local orphan = require "veo.task.orphan"
local outages = require "veo.policy.outage"
local rate_slots = require "veo.task.rate_slot"
local retry = require "veo.policy.retry"
local upgraded = require "veo.task.upgraded"
local wire = require "veo.wire"

local M = {}

-- Sends the order, unless the ledger closed it while it stood in line. A server that agrees on no protocol in its TLS
-- handshake may speak HTTP/1.1 all the same, as old ones do; then it is shown by a connection that carries nothing. One
-- that only speaks HTTP/2 would close unanswered.
local function post(ctx, operation, body, options, record)
  local spec = ctx.api.operations[operation]
  local request = { method = spec.method, path = spec.path, body = body, billable = true,
    without_alpn = ctx.without_alpn }
  local function still() return record:still_open() end
  record.sent = { still = still }
  local timeout = { timeout = options.submit.timeout }
  local reply, failure = ctx.scheduler:exchange(nil, "request", request, timeout, record.sent)
  if not failure or failure.reason ~= "protocol" then return reply, failure end
  local warm, why = ctx.scheduler:exchange(nil, "warm", { timeout = options.submit.timeout })
  local answer = warm or why
  if answer.http2 then return nil, failure end
  if not answer.http_status then
    why.sent = "no"
    return nil, why
  end
  if ctx.scheduler:cancelling() then return nil, { reason = "cancelled", sent = "no", message = "it was cancelled" } end
  ctx.without_alpn, request.without_alpn = true, true
  if not still() then return nil, failure end
  record.sent = { still = still }
  return ctx.scheduler:exchange(nil, "request", request, timeout, record.sent)
end

-- One attempt, behind a shield: once bytes may have left, cancelling waits for the answer.
local function attempt(ctx, operation, body, options, record, n)
  record:sending()
  if ctx.log then ctx.log { event = "request", operation = operation, attempt = n } end
  local reply, failure = post(ctx, operation, body, options, record)
  if record.gone then return nil, record:stale() end
  local task, err, verdict = wire.accepted(ctx.api, operation, reply, failure, record.source)
  record:answered(task, err, verdict)
  if ctx.log then
    ctx.log { event = "reply", operation = operation, attempt = n, http_status = (reply or failure).http_status,
      code = reply and reply.code, taskId = task and task.taskId, err = err, sent = (reply or failure).sent }
    if task and task.complaint then
      ctx.log { event = "warning", operation = operation, taskId = task.taskId, message = task.complaint }
    end
  end
  if task then task.complaint = nil end
  return task, err, verdict
end

-- Cancelled or closed when nothing is under way.
local function stopped(operation, why, err)
  if errors.is(why) then return why end
  err = err or {}
  local what = err.message and format("sent again (%s)", err.message) or "sent"
  return errors.new { code = why == "closed" and "closed" or "cancelled", operation = operation,
    sent = err.sent or "no", attempts = err.attempts, cause = err.code, service_code = err.service_code,
    retry_after = err.retry_after, message = format("%s was cancelled before it was %s", operation, what) }
end

-- The pause before another attempt, or nil when there is to be none. An outage is sat out; its tries are no attempts.
local function pause_before(ctx, policy, err, n, deadline, outage)
  if ctx.scheduler:cancelling() then return nil end
  if outages.met(err) then return outage:pause(ctx, policy, err, deadline) end
  outage:over()
  if n >= policy.attempts then return nil end
  local delay = retry.delay(policy, n, ctx.random, err.retry_after)
  if not delay or ctx.now() + delay > deadline then return nil end
  if not ctx.budget:spend(err.timed_out and "timeout" or "retry") then return nil end
  return delay
end

-- Nothing more will be sent; the record gets its last word.
local function give_up(record, err, uncertain)
  if uncertain then record:uncertain(err) else record:refused(err) end
  return nil, err
end

-- An order that was not accepted and yet may be known: by an id that its answer named, whatever the verdict. Such a one
-- is not repeated, also by an explicit word: its fate can be looked up. A refusal may also name a task of another order.
local function is_named(record, err)
  if err.charged and record:knows(err.taskId) then err.taskId, err.charged = nil, nil end
  return err.charged ~= nil or err.taskId ~= nil or err.recordId ~= nil
end

-- The last word on an order whose call was ended before it could judge the answer.
local function settle(ctx, record, task, err, verdict)
  if task then
    record:accepted(task)
    ctx.created[task.taskId] = ctx.now()
    return
  end
  give_up(record, err, is_named(record, err) or verdict == "uncertain")
end

-- Attempts until it is accepted or may not be repeated. Every way out leaves its word in the record.
local function run(ctx, operation, body, options, record)
  local policy = options.retry
  local deadline = ctx.now() + options.submit.deadline
  local n, tries, outage = 0, 0, outages.new(options.submit.deadline)
  local task, err, verdict
  local gone = record:before()
  if gone then return give_up(record, gone, false) end
  while true do
    local later, why = rate_slots.take(ctx, record, deadline, err)
    -- Cancelled while it slept, or after its sleep had ended and before its turn came.
    if not later or ctx.scheduler:cancelling() then
      return give_up(record, stopped(operation, why, err), false)
    end
    deadline = later
    tries = tries + 1
    task, err, verdict = attempt(ctx, operation, body, options, record, tries)
    if task then
      ctx.budget:success()
      record:accepted(task)
      return task
    end
    if not outages.met(err) then n = n + 1 end
    err.attempts = n > 0 and n or nil
    if is_named(record, err) then
      return give_up(record, err, true)
    end
    if verdict == "repeat" then record:idle(err) end
    local may = verdict == "repeat" or verdict == "uncertain" and policy.ambiguous and not ctx.scheduler:cancelling()
    local delay = may and pause_before(ctx, policy, err, n, deadline, outage)
    if not delay then return give_up(record, err, verdict == "uncertain") end
    if verdict == "uncertain" then record:uncertain(err) end
    if ctx.log then
      ctx.log { event = "retry", operation = operation, attempt = tries, delay = delay, err = err,
        offline = err.offline }
    end
    why = ctx.scheduler:sleep_until(ctx.now() + delay)
    if why ~= "timeout" then
      err = stopped(operation, why, err)
      if verdict == "uncertain" then return nil, err end
      return give_up(record, err, false)
    end
    if verdict == "uncertain" then
      local opened, problem, earlier = record:reopen()
      if not opened then return earlier, problem end
      err = nil
    end
  end
end

-- The call itself, in a job: whatever ends that, the record gets its last word.
local function order(ctx, operation, body, options)
  local scheduler = ctx.scheduler
  local record, obstruction, earlier
  local cleanup = scheduler:on_drop { drop = function(_, how)
    return record and (how == "failed" and orphan(ctx, record, settle) or record:dropped(how))
  end }
  record, obstruction, earlier = intents.open(ctx, operation, body, options)
  if not record then
    scheduler:settled(cleanup)
    return earlier, obstruction
  end
  scheduler:shield()
  local task, err = run(ctx, operation, body, options, record)
  if not task then err = record:sum(err) end
  scheduler:settled(cleanup)
  if task then
    ctx.created[task.taskId] = ctx.now()
    if scheduler.current and not task.joined then scheduler.current.ordered = task.taskId end
  end
  scheduler:unshield(task and record:last_word(task) or err)
  return task, err
end

---Submits a billable call.
---@param ctx table
---@param operation string
---@param params table
---@param options { submit: table, retry: veo.RetryPolicy }
---@return { taskId: string, raw: table }|nil task
---@return veo.Error|nil err
function M.submit(ctx, operation, params, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local body, warnings = wire.check(ctx.api, operation, params)
  if not body then return nil, warnings end
  local what = operation == "extend" and ctx.upgraded[params.taskId]
  if what then return nil, upgraded.refusal(operation, params.taskId, what) end
  for _, warning in ipairs(warnings or {}) do
    if ctx.log then ctx.log { event = "warning", operation = operation, message = warning } end
  end
  local before, problem = destinations.look(ctx, operation, body, options.submit)
  if before or problem then return before, problem end
  return as_job(ctx, order, ctx, operation, body, options)
end

return M
