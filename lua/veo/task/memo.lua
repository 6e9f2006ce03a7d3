--- Upgrades that are tasks of their own cost again with each order, and nobody means a second one. A ledger joins them; a
--- client without one remembers its own as long as it lives.

local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"
local errors = require "veo.errors"
local query = require "veo.task.query"

local M = {}

-- While another job has the same order under way, how often to look what became of it (seconds).
local LOOK_EVERY = 0.25

local function problem(operation, code, message)
  return errors.new { code = code, operation = operation, sent = "no",
    charged = code == "uncertain" and "maybe" or "no", message = operation .. ": " .. message }
end

local function name_of(record)
  return record.operation .. " " .. canonical.encode(equality.essence(record.operation, record.body))
end

-- What another job of this client has made of it by now.
local function settled(ctx, record, name)
  local operation, deadline = record.operation, ctx.now() + record.options.submit.deadline
  while ctx.once[name] and ctx.once[name].busy do
    local why = ctx.now() < deadline and ctx.scheduler:sleep_until(ctx.now() + LOOK_EVERY) or "busy"
    if why == "busy" then return nil, problem(operation, "busy", "the same order is under way") end
    if why ~= "timeout" then
      return nil, problem(operation, why == "closed" and "closed" or "cancelled", "it was " .. why)
    end
  end
  return ctx.once[name]
end

-- Whether the service says that it failed: then another one may be ordered.
local function has_failed(ctx, record, taskId)
  local status = query.status(ctx, taskId, { free = ctx.defaults.free, retry = record.options.retry })
  return status and status.state == "failed"
end

---Takes the order for this call, unless this client has made it before.
---@param ctx table
---@param record veo.Intent
---@return { taskId: string, joined: boolean }|nil earlier
---@return veo.Error|nil err  both nil: it is to be made
function M.take(ctx, record)
  if not ctx.api.operations[record.operation].once then return nil end
  local name = name_of(record)
  record.name = name
  repeat
    local found, err = settled(ctx, record, name)
    if err then return nil, err end
    if found and found.err and not record.options.retry.ambiguous then
      err = problem(record.operation, "uncertain", "an earlier order of it has no answer, and may be charged")
      err.taskId, err.cause = found.err.taskId, found.err
      return nil, err
    end
    if found and found.taskId and not has_failed(ctx, record, found.taskId) then
      return { taskId = found.taskId, joined = true }
    end
  until ctx.once[name] == found -- nobody took it while the record was looked at
  ctx.once[name] = { busy = true }
end

---Notes what became of it; nil: nothing was ordered.
---@param record veo.Intent
---@param what { busy: boolean|nil, taskId: string|nil, err: veo.Error|nil }|nil
function M.note(record, what)
  if record.name then record.ctx.once[record.name] = what end
end

return M
