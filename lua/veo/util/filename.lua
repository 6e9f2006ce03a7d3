--- File names for tasks: a pattern such as "renders/{key}.mp4" and what may stand in it.

local pairs, tostring, type = pairs, tostring, type
local floor, max = math.floor, math.max
local byte, find, format, gmatch = string.byte, string.find, string.format, string.gmatch
local gsub, sub = string.gsub, string.sub
local date = os and os.date

local canonical = require "veo.util.canonical_json"
local errors = require "veo.errors"
local stdlib = require "veo.util.stdlib"
local texts = require "veo.util.text"
local visible = require "veo.util.visible"

local M = {}

-- Bytes that a name may have: 255 less what an unfinished file adds, ".part.meta.new".
local LONGEST = 241
-- A value is not cut shorter than this; if the name is still too long, the pattern itself is.
local SHORTEST = 40

local function escape(char)
  return format("%%%02X", byte(char))
end

local function escape_all(bytes)
  return (gsub(bytes, ".", escape))
end

-- A key or a taskId as a part of a name. Different values stay different: letters of any script are kept, and what some
-- file system refuses, would leave the folder, look like an option or steer a terminal, is percent-encoded.
local function safe(text)
  text = tostring(text)
  if text == "" then return "%" end
  local foreign = texts.bad_utf8(text) and "\128-\255" or "" -- bytes that are no letters
  text = gsub(text, '[%z\1-\31\127/\\:*?"<>|%%' .. foreign .. "]", escape)
  return (gsub(visible(text, escape_all), "^[.-]", escape))
end

-- The start of a value, and a hash of all of it. No other value ends like this: elsewhere two digits follow a percent
-- sign.
local function shorten(text, room)
  if #text <= room then return text end
  local start = sub(text, 1, room - 18)
  -- Neither a letter nor an escape is cut in two.
  start = gsub(gsub(start, "[\192-\255][\128-\191]*$", ""), "%%%x?$", "")
  return start .. "%~" .. canonical.hash(text)
end

-- One name of the path.
local function fill_name(pattern, values)
  local fields, fixed = 0, 0
  local full = gsub(pattern, "{(%w+)}", function(name)
    if not values[name] then return nil end
    fields, fixed = fields + 1, fixed - #values[name]
    return values[name]
  end)
  fixed = fixed + #full
  if #full <= LONGEST or fields == 0 then return full end
  local room = max(SHORTEST, floor((LONGEST - fixed) / fields))
  return (gsub(pattern, "{(%w+)}", function(name) return values[name] and shorten(values[name], room) end))
end

---Fills a pattern such as "renders/{key}.mp4"; `{key}` is the taskId where an order has none.
---@param pattern string
---@param record veo.Record
---@return string
function M.fill(pattern, record)
  local values = { taskId = record.taskId, ref = record.ref, key = record.key or record.taskId,
    operation = record.operation, day = date and date("!%Y-%m-%d", floor(record.created)) }
  for name, value in pairs(values) do values[name] = safe(value) end
  return (gsub(pattern, "[^/]+", function(name) return fill_name(name, values) end))
end

---What this Lua cannot fill in.
---@return veo.Error|nil problem
function M.unable(pattern)
  if date or type(pattern) ~= "string" or not find(pattern, "{day}", 1, true) then return nil end
  return errors.new { code = "missing", sent = "no", message = stdlib.sentence("{day} in a path", "os.date") }
end

---Nil, or what is wrong with a pattern.
function M.problem(pattern)
  if type(pattern) == "function" then return nil end
  if texts.path_problem(pattern) then
    return "path: a pattern such as \"renders/{taskId}.mp4\" or a function expected"
  end
  for name in gmatch(pattern, "{(%w+)}") do
    if name ~= "taskId" and name ~= "ref" and name ~= "key" and name ~= "operation" and name ~= "day" then
      return format("path: unknown field {%s} (there are taskId, ref, key, operation, day)", name)
    end
  end
  if not (find(pattern, "{taskId}", 1, true) or find(pattern, "{ref}", 1, true) or find(pattern, "{key}", 1, true)) then
    return "path: the pattern needs {taskId}, {key} or {ref}, or every task would be saved under one name"
  end
  return nil
end

return M
