--- Calls that cost nothing (status, credits): repeated freely, within attempts, deadline and budget. They are to answer
--- soon, so only those that are part of a longer call wait for the end of an outage.

local next = next
local max = math.max

local admission = require "veo.async.admission"
local outages = require "veo.policy.outage"
local retry = require "veo.policy.retry"
local wire = require "veo.wire"

local M = {}

-- How often a call is made again at once when its connection ended before a byte of its answer came.
M.UNANSWERED = 3

---What came of a look that was begun without a coroutine. All nil: an error in between took it.
---@param ctx table
---@param waiter veo.Waiter
---@return table|nil reply, table|nil failure
---@return boolean|nil again  it is to be begun once more
function M.answer(ctx, waiter)
  local reply, failure = admission.answer(waiter)
  if failure and failure.unanswered and (waiter.tries or 0) < M.UNANSWERED and ctx.now() < waiter.limit then
    waiter.tries = (waiter.tries or 0) + 1
    return nil, nil, true
  end
  if waiter.tries then waiter.tries = nil end
  return reply, failure
end

-- One exchange. A server that closes a connection after its number of requests refuses what is under way on it: such a
-- call is sent again, and that is no further attempt. A blocking one is not sent again after `limit`.
local function exchange(ctx, due, operation, request, options, limit)
  local reply, failure
  for _ = 0, M.UNANSWERED do
    if due then
      reply, failure = ctx.scheduler:exchange(due, operation, request, options)
    else
      -- Nobody else to serve meanwhile: the core's own blocking call saves a third of the cost of a look.
      local core = ctx.core
      reply, failure = core[operation](core, request, options)
      due = limit
    end
    if not failure or not failure.unanswered or ctx.now() >= due then break end
  end
  return reply, failure
end

-- The pause before another try; nil when there is to be none.
local function pause_before(ctx, policy, err, n, deadline)
  if n >= policy.attempts then return nil end
  local delay = retry.delay(policy, n, ctx.random, err.retry_after)
  if not delay or ctx.now() + delay > deadline then return nil end
  return ctx.budget:spend(err.timed_out and "timeout" or "retry") and delay or nil
end

-- Goes on after a first try that failed with `err`. `look(due)` makes one exchange and returns what it gave: a value, or
-- nil and an error.
local function go_on(ctx, operation, options, deadline, err, look)
  local outage = options.free.patient and outages.new(ctx.defaults.free.deadline)
  local n, tries = 0, 0
  while true do
    tries = tries + 1
    local sits_out = outage and outages.met(err)
    if not sits_out then n = n + 1 end
    err.attempts = n > 0 and n or nil
    if not wire.repeatable(err) or options.free.final == err.code then return nil, err end
    local delay
    if sits_out then
      delay = outage:pause(ctx, options.retry, err, deadline)
    else
      if outage then outage:over() end
      delay = pause_before(ctx, options.retry, err, n, deadline)
    end
    if not delay then return nil, err end
    ctx.tally:retried()
    if ctx.log then
      ctx.log { event = "retry", operation = operation, attempt = tries, delay = delay, err = err,
        offline = err.offline }
    end
    if ctx.scheduler:sleep_until(ctx.now() + delay) ~= "timeout" then return nil, err end
    local value
    value, err = look(deadline)
    if value ~= nil then
      ctx.budget:success()
      return value
    end
  end
end

---Reads what came of a look.
---@param ctx table
---@param taskId string
---@param reply table|nil
---@param failure table|nil
---@return veo.Status|nil, veo.Error|nil
function M.read(ctx, taskId, reply, failure)
  local status, err
  if reply and reply.state then
    if not ctx.log then return reply end -- the usual record, which the core reads by itself
    status = reply
  else
    status, err = wire.status(ctx.api, reply, failure, taskId)
  end
  if ctx.log then
    ctx.log { event = "poll", taskId = taskId, state = status and status.state, err = err }
    if status and status.note then ctx.log { event = "warning", taskId = taskId, message = status.note } end
  end
  return status, err
end

---One look at a task: one exchange, no repeat.
---@param ctx table
---@param taskId string
---@param due number|nil      the exchange is cut then; nil only when the scheduler is idle
---@param timeout number|nil  seconds
---@param limit number|nil    instead of `due`, without one: it is not sent again after that
---@return veo.Status|nil, veo.Error|nil
function M.look(ctx, taskId, due, timeout, limit)
  return M.read(ctx, taskId, exchange(ctx, due, ctx.api.look, taskId, timeout and { timeout = timeout }, limit))
end

---@param ctx table
---@param taskId string
---@param options { free: table, retry: veo.RetryPolicy }
---@return veo.Status|nil, veo.Error|nil
function M.status(ctx, taskId, options)
  local ok, err = wire.task_id(taskId, "status")
  if not ok then return nil, err end
  local timeout, began = options.free.timeout, ctx.now()
  local deadline = options.free.deadline
  local status
  if ctx.scheduler:is_idle() then
    local first = deadline < (timeout or ctx.timeout) and max(deadline, 0.001) or timeout
    status, err = M.look(ctx, taskId, nil, first, began + deadline)
  else
    status, err = M.look(ctx, taskId, began + deadline, timeout)
  end
  if status then return status end
  return go_on(ctx, "status", options, began + deadline, err, function(due)
    return M.look(ctx, taskId, due, timeout)
  end)
end

---A free exchange, and its repeats as policy, deadline and budget allow.
---@param ctx table
---@param operation string
---@param options { free: { deadline: number, final: string|nil, patient: boolean|nil }, retry: veo.RetryPolicy }  `final`: no repeat after that error; `patient`: sits an outage out
---@param look fun(due: number): any, veo.Error|nil  one exchange: a value, or nil and an error
---@return any|nil, veo.Error|nil
function M.repeated(ctx, operation, options, look)
  local deadline = ctx.now() + options.free.deadline
  local value, err = look(deadline)
  if value ~= nil then return value end
  return go_on(ctx, operation, options, deadline, err, look)
end

---Any other free call: credits, links.
---@param ctx table
---@param operation string
---@param params table
---@param options { free: table, retry: veo.RetryPolicy }
---@return any|nil, veo.Error|nil
function M.call(ctx, operation, params, options)
  local fields, err = wire.check(ctx.api, operation, params)
  if not fields then return nil, err end
  local spec = ctx.api.operations[operation]
  local request = { method = spec.method, operation = operation }
  if spec.host then request.url = ctx.upload_url .. spec.path else request.path = spec.path end
  if next(fields) ~= nil then request[spec.method == "GET" and "query" or "body"] = fields end
  return M.repeated(ctx, operation, options, function(due)
    local reply, failure = exchange(ctx, due, "request", request, { timeout = options.free.timeout })
    return wire.free(ctx.api, operation, reply, failure)
  end)
end

return M
