--- Which task the answer to an order names, in whatever form. An id in an object counts. What only looks like an id (a
--- bare string, a list, a body that was cut after it) is a candidate: it counts once the service has shown a record of
--- it. An id that is cut itself is ignored.

local ipairs, pairs, tonumber, type = ipairs, pairs, tonumber, type
local byte, find, format = string.byte, string.find, string.format
local gmatch, gsub, match, sub = string.gmatch, string.gsub, string.match, string.sub

local urls = require "veo.wire.urls"

local M = {}

local FIELDS = { "taskId", "task_id" }
local EXACT = 9007199254740992 -- 2^53: lua-cjson decodes numbers as doubles, which round whole ones from here on
local MOST_DIGITS = 40

-- The digits of a number as they stand in the reply.
local function digits_of(value, body, field)
  for digits in gmatch(body, '"' .. field .. '"%s*:%s*(%d+)') do
    if #digits <= MOST_DIGITS and tonumber(digits .. "e0") == value + 0.0 then return digits end
  end
  return nil
end

---A task id inside a reply: documented as a string; whole numbers occur.
---@param value any
---@param body string|nil   the text it was decoded from, and
---@param field string|nil  its name there: a number past 2^53 has its digits only there
---@return string|nil
function M.id(value, body, field)
  if type(value) == "string" then
    if find(value, "^%w+$") then return value end -- without a set: it costs three times a class
    if find(value, "%S") and not find(value, "%c") then return value end
  elseif type(value) == "number" and value >= 0 and value % 1 == 0 then
    if value < EXACT then return format("%.0f", value) end
    return body and digits_of(value, body, field)
  end
  return nil
end

---`data`, decoded where it is a string of JSON, and the text that it was decoded from.
---@param data any
---@param body string|nil
---@return any data, string|nil body
function M.opened(data, body)
  if type(data) ~= "string" or not find(data, "^%s*[%[{\"]") then return data, body end
  return urls.decode(data), data
end

---The id that an object names.
---@param object any
---@param body string|nil  its text
---@return string|nil
function M.by_object(object, body)
  if type(object) ~= "table" then return nil end
  return M.id(object.taskId, body, "taskId") or M.id(object.task_id, body, "task_id")
end

---The id that a reply names without doubt: in `data`, in a string of JSON there, or at the top.
---@param reply table
---@return string|nil
function M.plainly(reply)
  local data, body = M.opened(reply.data, reply.text)
  return M.by_object(data, body) or M.by_object(reply.body, reply.text)
end

-- An id that a status call can ask for; a sentence of the service's is none.
local function likely(id, source)
  return id and id ~= source and not find(id, "%s") and not find(id, "://", 1, true) and id or nil
end

-- Candidates --------------------------------------------------------------------------------------------------------

-- Notes an id; when a second one differs, neither counts.
local function note(found, id)
  if id and found.id and found.id ~= id then found.several = true end
  found.id = found.id or id
end

-- The string of JSON that begins at a quote, decoded; nil when it is cut.
local function literal(body, from)
  local at = from + 1
  while true do
    local stop = find(body, '["\\]', at)
    if not stop then return nil end
    if byte(body, stop) == 34 then
      local list = urls.decode("[" .. sub(body, from, stop) .. "]")
      return list and list[1]
    end
    at = stop + 2
  end
end

local function scan(found, body, field, source)
  local from = 1
  while true do
    local _, stop = find(body, '"' .. field .. '"%s*:%s*', from)
    if not stop then return end
    from = stop + 1
    local value
    if byte(body, from) == 34 then
      value = literal(body, from)
    else
      value = match(body, "^(%d+)%s*[,}%]]", from) -- a number ends only where something follows
      if value and #value > MOST_DIGITS then value = nil end
    end
    note(found, likely(M.id(value), source))
  end
end

-- The only id that a text names, also inside a string of JSON that was cut.
local function in_text(body, fields, source)
  local found = {}
  for pass = 1, 2 do
    if pass == 2 then body = gsub(body, '\\"', '"') end
    for _, field in ipairs(fields) do scan(found, body, field, source) end
    if found.id then break end
  end
  return not found.several and found.id or nil
end

-- The task of a list in which only one is named.
local function in_list(list, body, source)
  local found = {}
  if list[1] == nil then return nil end
  for _, item in pairs(list) do note(found, likely(M.by_object(item, body), source)) end
  return not found.several and found.id or nil
end

local function field_of(object, name)
  return type(object) == "table" and object[name] or nil
end

local function record_id(data, reply, body)
  local value = field_of(data, "recordId") or type(data) == "table" and field_of(data[1], "recordId")
    or reply and field_of(reply.body, "recordId")
  return likely(M.id(value, body, "recordId")) or body and in_text(body, { "recordId" })
end

-- What the objects of an answer name.
local function named(reply, data, body, source)
  return likely(M.by_object(data, body), source) or likely(M.by_object(reply.body, reply.text), source)
    or type(data) == "table" and in_list(data, body, source) or nil
end

-- An id that stands alone, or in a text that is not complete JSON.
local function guessed(reply, data, body, source)
  local alone = (type(data) == "string" or type(data) == "number" and data > 0)
    and likely(M.id(data, body, "data"), source)
  return alone or body and in_text(body, FIELDS, source) or reply.text and in_text(reply.text, FIELDS, source) or nil
end

-- What a cut answer names.
local function in_failure(failure, source)
  local body = failure and failure.text
  if type(body) ~= "string" then return nil end
  local taskId = in_text(body, FIELDS, source)
  return taskId, not taskId and in_text(body, { "recordId" }) or nil
end

---What the answer to an order names that was not accepted.
---@param reply table|nil
---@param failure table|nil
---@param source string|nil  the order's own source, which an answer may repeat
---@param refusal boolean    the service refused it: what it says beside that is no bare id
---@return string|nil taskId, string|nil recordId  the record's is not the id to poll
function M.candidate(reply, failure, source, refusal)
  if not reply then return in_failure(failure, source) end
  local data, body = M.opened(reply.data, reply.text)
  local taskId = named(reply, data, body, source) or not refusal and guessed(reply, data, body, source) or nil
  return taskId, not taskId and record_id(data, reply, body) or nil
end

return M
