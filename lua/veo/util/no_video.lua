--- Why a status names nothing to save.

local format = string.format

local errors = require "veo.errors"
local texts = require "veo.util.text"

local function problem(code, status, message)
  return errors.new { code = code, operation = "download", taskId = status.taskId, status = status, message = message }
end

---Why there is nothing to save of a task; nil when there is.
---@param status veo.Status
---@return veo.Error|nil
return function(status)
  local taskId = status.taskId
  if status.state == "failed" then
    return problem("failed", status, format("task %s failed: %s", taskId,
      texts.printable(status.errorMessage or "no reason given", 200)))
  elseif status.state ~= "succeeded" then
    return problem("timeout", status, format("task %s has not ended (it is %s)", taskId, status.state))
  elseif not status.video_url then
    return problem("no_result", status, "task " .. taskId .. " succeeded, but the service names no video")
  end
  return nil
end
