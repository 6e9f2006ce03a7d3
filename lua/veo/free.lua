--- Calls that cost nothing (status, credits): repeated freely, within attempts, deadline and budget.

local retry = require "veo.retry"
local wire = require "veo.wire"

local M = {}

-- Goes on after a first try that failed with `err`. `look(due)` makes one exchange and returns what it gave: a value, or
-- nil and an error.
local function go_on(ctx, operation, options, deadline, err, look)
  local policy = options.retry
  local n = 1
  while true do
    err.attempts = n
    if n >= policy.attempts or not wire.repeatable(err) then return nil, err end
    local delay = retry.delay(policy, n, ctx.random, err.retry_after)
    if not delay or ctx.now() + delay > deadline then return nil, err end
    if not ctx.budget:spend(err.timed_out and "timeout" or "retry") then return nil, err end
    if ctx.log then ctx.log { event = "retry", operation = operation, attempt = n, delay = delay, err = err } end
    if ctx.scheduler:sleep_until(ctx.now() + delay) ~= "timeout" then return nil, err end
    n = n + 1
    local value
    value, err = look(deadline)
    if value ~= nil then
      ctx.budget:success()
      return value
    end
  end
end

---One look at a task: one exchange, no repeat.
---@param ctx table
---@param taskId string
---@param due number|nil      the exchange is cut then; nil only when the scheduler is idle
---@param timeout number|nil  seconds
---@return veo.Status|nil, veo.Error|nil
function M.look(ctx, taskId, due, timeout)
  local reply, failure
  local scheduler, operation = ctx.scheduler, ctx.api.look
  if due == nil then
    -- Nobody else to serve meanwhile: the core's own blocking call saves a third of the cost of a look.
    local core = ctx.core
    reply, failure = core[operation](core, taskId, timeout and { timeout = timeout })
  else
    reply, failure = scheduler:exchange(due, operation, taskId, timeout and { timeout = timeout })
  end
  local status, err
  if reply and reply.state then
    status = reply -- the usual record, which the core reads by itself
  else
    status, err = wire.status(ctx.api, reply, failure, taskId)
  end
  if ctx.log then
    ctx.log { event = "poll", taskId = taskId, state = status and status.state, err = err }
    if status and status.note then ctx.log { event = "warning", taskId = taskId, message = status.note } end
  end
  return status, err
end

---@param ctx table
---@param taskId string
---@param options { free: table, retry: veo.RetryPolicy }
---@return veo.Status|nil, veo.Error|nil
function M.status(ctx, taskId, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local ok, err = wire.task_id(taskId, "status")
  if not ok then return nil, err end
  local timeout, began = options.free.timeout, ctx.now()
  local deadline = options.free.deadline
  local status
  if ctx.scheduler:is_idle() then
    local first = deadline < (timeout or ctx.timeout) and math.max(deadline, 0.001) or timeout
    status, err = M.look(ctx, taskId, nil, first)
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
---@param options { free: { deadline: number }, retry: veo.RetryPolicy }
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
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local fields, err = wire.check(ctx.api, operation, params)
  if not fields then return nil, err end
  local spec = ctx.api.operations[operation]
  local request = { method = spec.method }
  if spec.host then request.url = ctx.upload_url .. spec.path else request.path = spec.path end
  if next(fields) ~= nil then request[spec.method == "GET" and "query" or "body"] = fields end
  return M.repeated(ctx, operation, options, function(due)
    local reply, failure = ctx.scheduler:exchange(due, "request", request, { timeout = options.free.timeout })
    return wire.free(ctx.api, operation, reply, failure)
  end)
end

return M
