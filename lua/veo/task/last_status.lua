--- The last status of a task that goes on is kept as the text it came in: as a table it would take 250 bytes more, for each
--- of a hundred thousand waits that sleep. It is read again when it is asked for: where the wait ends without another one.

local getmetatable, setmetatable, type = getmetatable, setmetatable, type

local wire = require "veo.wire"

local M = {}

-- What the statuses have in common that the core reads by itself; it decodes their text.
local record

---What to keep of a status: its text, or itself where it has none or the task has ended.
---@param status veo.Status
---@return veo.Status|string
function M.keep(status)
  local text = not status.done and status.json
  if not text then return status end
  record = getmetatable(status)
  return text
end

---@param kept veo.Status|string|nil
---@return string|nil state
function M.state(kept)
  return type(kept) == "string" and "generating" or kept and kept.state
end

---The status that was kept.
---@param api table
---@param kept veo.Status|string|nil
---@param taskId string
---@return veo.Status|nil
function M.read(api, kept, taskId)
  if type(kept) ~= "string" then return kept end
  local body = setmetatable({ json = kept }, record).raw
  return (wire.status(api, { http_status = 200, code = body.code, data = body.data, body = body }, nil, taskId))
end

return M
