--- File names for tasks: a pattern such as "renders/{key}.mp4" and what may stand in it.

local M = {}

-- A key or a taskId must not climb out of the folder that the pattern names.
local function safe(text)
  local out = tostring(text):gsub("[^%w._-]", "_"):gsub("^%.+", "_")
  return out == "" and "_" or out
end

---Fills a pattern such as "renders/{key}.mp4"; `{key}` is the taskId where an order has none.
---@param pattern string
---@param record veo.Record
---@return string
function M.fill(pattern, record)
  local values = { taskId = record.taskId, ref = record.ref, key = record.key or record.taskId,
    operation = record.operation, day = os.date("!%Y-%m-%d", math.floor(record.created)) }
  return (pattern:gsub("{(%w+)}", function(name) return values[name] and safe(values[name]) end))
end

---Nil, or what is wrong with a pattern.
function M.problem(pattern)
  if type(pattern) == "function" then return nil end
  if type(pattern) ~= "string" or pattern == "" or pattern:find("[%z\r\n]") then
    return "path: a pattern such as \"renders/{taskId}.mp4\" or a function expected"
  end
  for name in pattern:gmatch("{(%w+)}") do
    if name ~= "taskId" and name ~= "ref" and name ~= "key" and name ~= "operation" and name ~= "day" then
      return ("path: unknown field {%s} (there are taskId, ref, key, operation, day)"):format(name)
    end
  end
  if not (pattern:find("{taskId}", 1, true) or pattern:find("{ref}", 1, true) or pattern:find("{key}", 1, true)) then
    return "path: the pattern needs {taskId}, {key} or {ref}, or every task would be saved under one name"
  end
  return nil
end

return M
