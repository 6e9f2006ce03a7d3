--- The 1080P version that is a task of its own: waited for, and told as the call's result.

local pairs = pairs

local errors = require "veo.errors"
local waits = require "veo.task.wait"

local M = {}

---@param ctx table
---@param task { taskId: string, joined: boolean|nil, ref: string|nil }
---@param source string  the video that was upgraded
---@param options { upgrade: table }
---@return table|nil result, veo.Error|nil err
function M.wait(ctx, task, source, options)
  local wait = {}
  for name, value in pairs(ctx.defaults.wait) do wait[name] = value end
  wait.timeout, wait.interval, wait.max_interval = options.upgrade.timeout, options.upgrade.interval,
    options.upgrade.interval
  local status, err = waits.wait(ctx, task.taskId, wait)
  if not status then
    err.operation = "get_1080p"
    return nil, task.joined and err or errors.paid(err)
  end
  -- A dead link is made anew by the task's own record, as of any task.
  return { taskId = status.taskId, source = source, url = status.video_url, video_url = status.video_url,
    resolution = "1080p", state = "succeeded", done = true, creditsConsumed = status.creditsConsumed,
    joined = task.joined, ref = task.ref, raw = status.raw }
end

return M
