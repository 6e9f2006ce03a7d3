--- Which videos were upgraded. The service extends none of them, so an extension is refused before it is sent: extend
--- first, upgrade last.

local format = string.format

local errors = require "veo.errors"

local M = {}

---Notes an upgrade, in the client's memory; a ledger that is there keeps it for the next client.
---@param ctx table
---@param taskId string
---@param what "1080P"|"4K"
function M.note(ctx, taskId, what)
  if ctx.upgraded[taskId] then return end
  ctx.upgraded[taskId] = what
  if ctx.ledger then ctx.ledger:upgraded(taskId, what) end
end

---After the order of an upgrade: notes it when it is or may be ordered.
---@param ctx table
---@param taskId string   the video that was upgraded
---@param what "1080P"|"4K"
---@param task table|nil  what the order returned
---@param err veo.Error|nil
function M.ordered(ctx, taskId, what, task, err)
  if task or err.code == "uncertain" or err.charged == "maybe" then M.note(ctx, taskId, what) end
end

---What a video was upgraded to, as far as this client or its ledger knows.
---@param ctx table
---@param taskId string
---@return string|false|nil
function M.of(ctx, taskId)
  return ctx.upgraded[taskId] or ctx.ledger and ctx.ledger:is_upgraded(taskId)
end

---Why an upgraded video is not extended.
---@param operation string
---@param taskId string
---@param what string
---@return veo.Error
function M.refusal(operation, taskId, what)
  return errors.new { code = "invalid", operation = operation, field = "taskId", taskId = taskId, sent = "no",
    given = "a video that was upgraded to " .. what, expected = "a video that was not upgraded",
    message = format("%s: task %s was upgraded to %s, and the service extends no upgraded video "
      .. "(extend first, upgrade last)", operation, taskId, what) }
end

return M
