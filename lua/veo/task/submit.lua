--- The billable calls. One is repeated only when nothing of it left (proved by the core) or when the service refused it
--- before accepting it (429, 455); whatever else goes wrong is `uncertain`, because a repeat could be charged twice.

local ipairs = ipairs
local format = string.format

local as_job = require "veo.async.as_job"
local destinations = require "veo.task.download.destination"
local ended = require "veo.async.ended"
local errors = require "veo.errors"
local intents = require "veo.task.intent"
local orphan = require "veo.task.orphan"
local outages = require "veo.policy.outage"
local rate_slots = require "veo.task.rate_slot"
local retry = require "veo.policy.retry"
local upgraded = require "veo.task.upgraded"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

local M = {}

---@class veo.Submit  a call under way
---@field ctx table
---@field operation string
---@field body table
---@field options { submit: table, retry: veo.RetryPolicy }
---@field intent veo.Intent
---@field deadline number
---@field tries integer       requests
---@field attempts integer    those of them that did not meet an outage
---@field err veo.Error|nil   why there is another try
---@field outage veo.Outage|nil  while there is one

-- Attempts ------------------------------------------------------------------------------------------------------------

-- Sends the order, unless the ledger closed it while it waited for a connection. A server that agrees on no protocol in
-- its TLS handshake may speak HTTP/1.1 all the same, as old ones do; then it is shown by a connection that carries nothing.
-- One that only speaks HTTP/2 would close unanswered.
local function post(call)
  local ctx, intent = call.ctx, call.intent
  local own, request = "extend", call.body -- which the core has a call of its own for
  if call.operation ~= own then
    local spec = ctx.api.operations[call.operation]
    own, request = "request", { method = spec.method, path = spec.path, body = call.body, billable = true,
      operation = call.operation }
  end
  local choices = { timeout = call.options.submit.timeout, without_alpn = ctx.without_alpn }
  local reply, failure = ctx.scheduler:exchange(nil, own, request, choices, intent:exchange())
  if not failure or failure.reason ~= "protocol" then return reply, failure end
  local warm, why = ctx.scheduler:exchange(nil, "warm", { timeout = call.options.submit.timeout })
  local answer = warm or why
  if answer.http2 then return nil, failure end
  if not answer.http_status then
    why.sent = "no"
    return nil, why
  end
  if ctx.scheduler:cancelling() then return nil, { reason = "cancelled", sent = "no", message = "it was cancelled" } end
  ctx.without_alpn, choices.without_alpn = true, true
  if not intent:still_open() then return nil, failure end
  return ctx.scheduler:exchange(nil, own, request, choices, intent:exchange())
end

-- One attempt, in a critical section: once bytes may have left, cancelling waits for the answer.
local function attempt(call)
  local ctx, operation, intent = call.ctx, call.operation, call.intent
  call.tries = call.tries + 1
  intent:sending()
  if ctx.log then ctx.log { event = "request", operation = operation, attempt = call.tries } end
  local reply, failure = post(call)
  if intent.gone then return nil, intent:stale() end
  local task, err, verdict = wire.accepted(ctx.api, operation, reply, failure, intent.source)
  intent:answered(task, err, verdict)
  if ctx.log then
    local source = reply or failure
    ctx.log { event = "reply", operation = operation, attempt = call.tries, http_status = source.http_status,
      code = reply and reply.code, taskId = task and task.taskId, err = err, sent = source.sent }
    if task and task.complaint then
      ctx.log { event = "warning", operation = operation, taskId = task.taskId, message = task.complaint }
    end
  end
  if task then task.complaint = nil end
  return task, err, verdict
end

-- Cancelled or closed when nothing is under way.
local function stopped(call, why)
  if errors.is(why) then return why end
  local operation, err = call.operation, call.err or {}
  local what = err.message and format("sent again (%s)", err.message) or "sent"
  return errors.new { code = ended.code(why), operation = operation,
    sent = err.sent or "no", attempts = err.attempts, cause = err.code, service_code = err.service_code,
    retry_after = err.retry_after, message = format("%s was cancelled before it was %s", operation, what) }
end

-- What follows --------------------------------------------------------------------------------------------------------

-- The pause before another attempt, or nil when there is to be none. An outage is sat out; its tries are no attempts.
local function pause_before(call, err)
  local ctx, policy = call.ctx, call.options.retry
  if ctx.scheduler:cancelling() then return nil end
  if outages.met(err) then
    call.outage = call.outage or outages.new(call.options.submit.deadline)
    return call.outage:pause(ctx, policy, err, call.deadline)
  end
  call.outage = nil
  if call.attempts >= policy.attempts then return nil end
  local delay = retry.delay(policy, call.attempts, ctx.random, err.retry_after)
  if not delay or ctx.now() + delay > call.deadline then return nil end
  if not ctx.budget:spend(err.timed_out and "timeout" or "retry") then return nil end
  return delay
end

-- Nothing more will be sent: the intent is closed.
local function give_up(intent, err, uncertain)
  if uncertain then intent:uncertain(err) else intent:refused(err) end
  return nil, err
end

-- An order that was not accepted and yet may be known: by an id that its answer named, whatever the verdict. Such a one
-- is not repeated, also by an explicit word: its fate can be looked up. A refusal may also name a task of another order.
local function is_named(intent, err)
  if err.charged and intent:knows(err.taskId) then err.taskId, err.charged = nil, nil end
  return err.charged ~= nil or err.taskId ~= nil or err.recordId ~= nil
end

-- Closes the intent of an order whose call was ended before it could judge the answer.
local function settle(ctx, intent, task, err, verdict)
  if task then
    intent:accepted(task)
    waits.made(ctx, task.taskId, ctx.now())
    return
  end
  give_up(intent, err, is_named(intent, err) or verdict == "uncertain")
end

-- After an attempt that was not accepted: true after the pause before another one, or false and what the call came to.
local function go_on(call, err, verdict)
  local ctx, intent, uncertain = call.ctx, call.intent, verdict == "uncertain"
  if not outages.met(err) then call.attempts = call.attempts + 1 end
  err.attempts = call.attempts > 0 and call.attempts or nil
  if is_named(intent, err) then return false, give_up(intent, err, true) end
  if verdict == "repeat" then intent:idle(err) end
  local may = verdict == "repeat" or uncertain and call.options.retry.ambiguous
  local delay = may and pause_before(call, err)
  if not delay then return false, give_up(intent, err, uncertain) end
  if uncertain then intent:uncertain(err) end
  ctx.tally:retried()
  if ctx.log then
    ctx.log { event = "retry", operation = call.operation, attempt = call.tries, delay = delay, err = err,
      offline = err.offline }
  end
  call.err = err
  local why = ctx.scheduler:sleep_until(ctx.now() + delay)
  if why == "timeout" then return true end
  err = stopped(call, why)
  if not uncertain then intent:refused(err) end -- else it is closed
  return false, nil, err
end

-- Attempts until it is accepted or may not be repeated. Every way out closes the intent.
local function run(call)
  local ctx, intent = call.ctx, call.intent
  local gone = ctx.evidence and intent:note_balance()
  if gone then return give_up(intent, gone, false) end
  while true do
    local later, why = rate_slots.take(ctx, intent, call.deadline, call.err)
    -- Cancelled while it slept, or after its sleep had ended and before its turn came.
    local how = ctx.scheduler:cancelling()
    if not later or how then return give_up(intent, stopped(call, why or how), false) end
    call.deadline = later
    local task, err, verdict = attempt(call)
    if task then
      ctx.budget:success()
      intent:accepted(task, true)
      return task
    end
    local again, earlier, problem = go_on(call, err, verdict)
    if not again then return earlier, problem end
    if verdict == "uncertain" then
      call.err = nil
      again, problem, earlier = intent:reopen()
      if not again then return earlier, problem end
    end
  end
end

-- The call itself, in a job: whatever ends that, the intent is closed.
local function order(ctx, operation, body, options)
  local scheduler = ctx.scheduler
  local intent, problem = intents.new(ctx, operation, body, options)
  if not intent then return nil, problem end
  local cleanup = scheduler:on_drop { drop = function(_, how)
    return how == "failed" and orphan(ctx, intent, settle) or intent:dropped(how)
  end }
  local opened, obstruction, earlier = intent:open()
  if not opened then
    scheduler:settled(cleanup)
    return earlier, obstruction
  end
  scheduler:shield()
  local task, err = run { ctx = ctx, operation = operation, body = body, options = options, intent = intent,
    deadline = ctx.now() + options.submit.deadline, tries = 0, attempts = 0 }
  if not task then err = intent:sum(err) end
  scheduler:settled(cleanup)
  if task then waits.made(ctx, task.taskId, ctx.now()) end
  local said = task and scheduler:cancelling() and intent:accepted_too_late(task) or err
  scheduler:unshield(said, task and not task.joined and task.taskId or nil)
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
  local body, warnings = wire.check(ctx.api, operation, params)
  if not body then return nil, warnings end
  local what = operation == "extend" and ctx.upgraded[params.taskId]
  if what then return nil, upgraded.refusal(operation, params.taskId, what) end
  for _, warning in ipairs(warnings or {}) do
    if ctx.log then ctx.log { event = "warning", operation = operation, message = warning } end
  end
  if options.submit.path then
    local before, problem = destinations.look(ctx, operation, body, options.submit)
    if before or problem then return before, problem end
  end
  return as_job(ctx, order, ctx, operation, body, options)
end

return M
