--- The 1080P version where it is a task of its own: ordered as what costs is, then waited for. One that the ledger knows as
--- asked for over the other family is paid, and is asked for there again, which costs nothing more.

local results = require "veo.task.upgrade.result"
local submits = require "veo.task.submit"
local upgrades = require "veo.task.upgrade"

local M = {}

---@param ctx table
---@param params { taskId: string, callBackUrl: string|nil }
---@param options { upgrade: table, retry: veo.RetryPolicy }
---@return table|nil result, veo.Error|nil err
function M.get_1080p(ctx, params, options)
  local task, err = submits.submit(ctx, "get_1080p", params, { submit = ctx.defaults.submit, retry = options.retry })
  if task and task.asked then return upgrades.get_1080p(ctx, { taskId = params.taskId }, options) end
  upgrades.ordered(ctx, params.taskId, "1080P", task, err)
  if not task then return nil, err end
  return results.wait(ctx, task, params.taskId, options)
end

return M
