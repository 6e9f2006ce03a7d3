--- The billable calls. One is repeated only when nothing of it left (proved by the core) or when the service refused it
--- before accepting it (429, 455); whatever else goes wrong is `uncertain`, because a repeat could be charged twice.

local errors = require "veo.errors"
local retry = require "veo.retry"
local wire = require "veo.wire"

local M = {}

-- Waits for a slot of the account's rate window; returns the seconds that took, or nil and what ended the sleep.
local function take_slot(ctx)
  local began = ctx.now()
  local wait = ctx.window:reserve()
  while wait > 0 do
    if ctx.log then ctx.log { event = "rate", wait = wait } end
    local why = ctx.scheduler:sleep_until(ctx.now() + wait)
    if why ~= "timeout" then return nil, why end
    wait = ctx.window:reserve()
  end
  return ctx.now() - began
end

-- One attempt, behind a shield: once bytes may have left, cancelling waits for the answer.
local function attempt(ctx, operation, body, options, n)
  local spec = ctx.api.operations[operation]
  if ctx.log then ctx.log { event = "request", operation = operation, attempt = n } end
  local reply, failure = ctx.scheduler:exchange(nil, "request",
    { method = spec.method, path = spec.path, body = body, billable = true }, { timeout = options.submit.timeout })
  local task, err, verdict = wire.accepted(ctx.api, operation, reply, failure)
  if ctx.log then
    ctx.log { event = "reply", operation = operation, attempt = n, http_status = (reply or failure).http_status,
      code = reply and reply.code, taskId = task and task.taskId, err = err, sent = (reply or failure).sent }
  end
  return task, err, verdict
end

-- Cancelled or closed when nothing is under way; what an earlier attempt did still counts.
local function stopped(operation, why, err, verdict)
  if err and verdict == "uncertain" then return err end
  err = err or {}
  local what = err.message and ("sent again (%s)"):format(err.message) or "sent"
  return errors.new { code = why == "closed" and "closed" or "cancelled", operation = operation,
    sent = err.sent or "no", attempts = err.attempts, cause = err.code, service_code = err.service_code,
    retry_after = err.retry_after, message = ("%s was cancelled before it was %s"):format(operation, what) }
end

-- The pause before another attempt, or nil when there is to be none.
local function pause_before(ctx, policy, err, n, deadline)
  if n >= policy.attempts or ctx.scheduler:cancelling() then return nil end
  local delay = retry.delay(policy, n, ctx.random, err.retry_after)
  if not delay or ctx.now() + delay > deadline then return nil end
  if not ctx.budget:spend(err.timed_out and "timeout" or "retry") then return nil end
  return delay
end

-- Attempts until it is accepted or may not be repeated.
local function run(ctx, operation, body, options)
  local policy = options.retry
  local deadline = ctx.now() + options.submit.deadline
  local n = 0
  local task, err, verdict
  while true do
    local waited, why = take_slot(ctx)
    -- Cancelled while it slept, or after its sleep had ended and before its turn came.
    if not waited or ctx.scheduler:cancelling() then return nil, stopped(operation, why, err, verdict) end
    deadline = deadline + waited -- waiting for the rate window is not counted
    n = n + 1
    task, err, verdict = attempt(ctx, operation, body, options, n)
    if task then
      ctx.budget:success()
      return task
    end
    err.attempts = n
    if err.code == "rate_limited" then ctx.window:refused(err.retry_after) end
    local may = verdict == "repeat" or verdict == "uncertain" and policy.ambiguous and not ctx.scheduler:cancelling()
    local delay = may and pause_before(ctx, policy, err, n, deadline)
    if not delay then return nil, err end
    if ctx.log then ctx.log { event = "retry", operation = operation, attempt = n, delay = delay, err = err } end
    why = ctx.scheduler:sleep_until(ctx.now() + delay)
    if why ~= "timeout" then return nil, stopped(operation, why, err, verdict) end
  end
end

-- What a cancelled job is told: the task goes on, and may have to be paid.
local function last_word(operation, task)
  return errors.new { code = "uncertain", operation = operation, taskId = task.taskId, sent = "yes", charged = "yes",
    cause = "cancelled", message = ("%s was cancelled after it had been sent; the service accepted it as task %s")
      :format(operation, task.taskId) }
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
  for _, warning in ipairs(warnings or {}) do
    if ctx.log then ctx.log { event = "warning", operation = operation, message = warning } end
  end
  ctx.scheduler:shield()
  local task, err = run(ctx, operation, body, options)
  if task then
    ctx.created[task.taskId] = ctx.now()
    ctx.scheduler:unshield(last_word(operation, task))
    return task
  end
  ctx.scheduler:unshield(err)
  return nil, err
end

return M
