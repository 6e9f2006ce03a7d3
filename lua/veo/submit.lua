--- The billable calls. One is repeated only when nothing of it left (proved by the core) or when the service refused it
--- before accepting it (429, 455); whatever else goes wrong is `uncertain`, because a repeat could be charged twice.

local errors = require "veo.errors"
local gates = require "veo.gate"
local records = require "veo.record"
local retry = require "veo.retry"
local sheltered = require "veo.sheltered"
local upgrades = require "veo.upgrade"
local wire = require "veo.wire"

local M = {}

-- Asks until there is one; nil, or what ended that, which may be an error of the ledger.
local function ask_for_slot(ctx, record)
  local wait, err = record:reserve()
  while wait and wait > 0 do
    if ctx.log then ctx.log { event = "rate", wait = wait } end
    local why = ctx.scheduler:sleep_until(ctx.now() + wait)
    if why ~= "timeout" then return why end
    wait, err = record:reserve()
  end
  return not wait and err or nil
end

-- Waits for a slot of the account's rate window; returns the seconds that took, or nil and what ended the wait. Orders
-- get theirs in turn; were each to ask by itself, any of them would go next, and a hundred that wait would make five
-- times the commits (713 of 100 orders, measured).
local function take_slot(ctx, record)
  if record:has_slot() then return 0 end
  local began = ctx.now()
  local leave, err = gates.enter(ctx, ctx.slots, record.operation)
  if not leave then return nil, err.code == "closed" and "closed" or "cancelled" end
  local why = ctx.scheduler:cancelling() and "cancelled" or ask_for_slot(ctx, record)
  leave()
  if why then return nil, why end
  return ctx.now() - began
end

-- One attempt, behind a shield: once bytes may have left, cancelling waits for the answer.
local function attempt(ctx, operation, body, options, record, n)
  local spec = ctx.api.operations[operation]
  record:sending()
  if ctx.log then ctx.log { event = "request", operation = operation, attempt = n } end
  local reply, failure = ctx.scheduler:exchange(nil, "request",
    { method = spec.method, path = spec.path, body = body, billable = true }, { timeout = options.submit.timeout })
  local task, err, verdict = wire.accepted(ctx.api, operation, reply, failure)
  record:answered(task)
  if ctx.log then
    ctx.log { event = "reply", operation = operation, attempt = n, http_status = (reply or failure).http_status,
      code = reply and reply.code, taskId = task and task.taskId, err = err, sent = (reply or failure).sent }
  end
  return task, err, verdict
end

-- Cancelled or closed when nothing is under way; what an earlier attempt did still counts.
local function stopped(operation, why, err, verdict)
  if err and verdict == "uncertain" then return err end
  if errors.is(why) then return why end
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

-- Nothing more will be sent; the record gets its last word.
local function give_up(record, err, uncertain)
  if uncertain then record:uncertain(err) else record:refused(err) end
  return nil, err
end

-- Attempts until it is accepted or may not be repeated. Every way out leaves its word in the record.
local function run(ctx, operation, body, options, record)
  local policy = options.retry
  local deadline = ctx.now() + options.submit.deadline
  local n = 0
  local task, err, verdict
  record:before()
  while true do
    local waited, why = take_slot(ctx, record)
    -- Cancelled while it slept, or after its sleep had ended and before its turn came.
    if not waited or ctx.scheduler:cancelling() then
      return give_up(record, stopped(operation, why, err, verdict), false)
    end
    deadline = deadline + waited -- waiting for the rate window is not counted
    n = n + 1
    task, err, verdict = attempt(ctx, operation, body, options, record, n)
    if task then
      ctx.budget:success()
      record:accepted(task)
      return task
    end
    err.attempts = n
    if verdict == "repeat" then record:idle(err) end
    local may = verdict == "repeat" or verdict == "uncertain" and policy.ambiguous and not ctx.scheduler:cancelling()
    local delay = may and pause_before(ctx, policy, err, n, deadline)
    if not delay then return give_up(record, err, verdict == "uncertain") end
    if ctx.log then ctx.log { event = "retry", operation = operation, attempt = n, delay = delay, err = err } end
    why = ctx.scheduler:sleep_until(ctx.now() + delay)
    if why ~= "timeout" then
      return give_up(record, stopped(operation, why, err, verdict), verdict == "uncertain")
    end
    if verdict == "uncertain" then
      local opened, problem, earlier = record:reopen(err)
      if earlier then return earlier end
      if not opened then
        err.cause = problem.code -- why there was no further attempt; the one that was stays what it is
        return nil, err
      end
    end
  end
end

-- The call itself, in a job: whatever ends that, the record gets its last word.
local function order(ctx, operation, body, options)
  local record, obstruction, earlier = records.open(ctx, operation, body, options)
  if not record then return earlier, obstruction end
  local scheduler = ctx.scheduler
  scheduler:shield()
  local cleanup = scheduler:on_drop { drop = function(_, how) return record:dropped(how) end }
  local task, err = run(ctx, operation, body, options, record)
  scheduler:settled(cleanup)
  if task then ctx.created[task.taskId] = ctx.now() end
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
  local refusal = upgrades.refusal(ctx, operation, params)
  if refusal then return nil, refusal end
  for _, warning in ipairs(warnings or {}) do
    if ctx.log then ctx.log { event = "warning", operation = operation, message = warning } end
  end
  return sheltered(ctx, order, ctx, operation, body, options)
end

return M
