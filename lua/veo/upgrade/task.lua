--- The 1080P version where it is a task of its own: ordered as what costs is, then waited for.

local pairs = pairs

local money = require "veo.money"
local submits = require "veo.submit"
local upgrades = require "veo.upgrade"
local waits = require "veo.wait"

local M = {}

---@param ctx table
---@param params { taskId: string, callBackUrl: string|nil }
---@param options { upgrade: table, retry: veo.RetryPolicy }
---@return table|nil result, veo.Error|nil err
function M.get_1080p(ctx, params, options)
  local task, err = submits.submit(ctx, "get_1080p", params, { submit = ctx.defaults.submit, retry = options.retry })
  upgrades.ordered(ctx, params.taskId, "1080P", task, err)
  if not task then return nil, err end
  local wait = {}
  for name, value in pairs(ctx.defaults.wait) do wait[name] = value end
  wait.timeout, wait.interval, wait.max_interval = options.upgrade.timeout, options.upgrade.interval,
    options.upgrade.interval
  local status
  status, err = waits.wait(ctx, task.taskId, wait)
  if not status then
    err.operation = "get_1080p"
    return nil, task.joined and err or money.paid(err)
  end
  -- A dead link is made anew by the task's own record, as of any task.
  return { taskId = status.taskId, source = params.taskId, url = status.video_url, video_url = status.video_url,
    resolution = "1080p", state = "succeeded", done = true, creditsConsumed = status.creditsConsumed,
    joined = task.joined, ref = task.ref, raw = status.raw }
end

return M
