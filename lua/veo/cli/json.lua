--- The command's JSON: one line, keys in a fixed order, lists always as lists, also empty ones.

local canonical = require "veo.util.canonical_json"
local visible = require "veo.util.visible"

local M = {}

-- These come first, in this order; all others follow by their names.
local FIRST = { "ok", "exit", "event", "taskId", "state", "path", "bytes", "video_url", "ref", "key", "joined",
  "operation", "code", "message", "explain", "next" }
local RANK = {}
for i, name in ipairs(FIRST) do RANK[name] = i end

-- An empty table does not show what it is.
local LISTS = {}
for name in ("tasks uncertain hops orders prompts resultUrls fullResultUrls originUrls hasAudioList mediaIds imageUrls "
  .. "days operations rows checks files"):gmatch("%S+") do LISTS[name] = true end

local function as_json(_, code)
  if code < 65536 then return ("\\u%04x"):format(code) end
  code = code - 65536
  return ("\\u%04x\\u%04x"):format(0xD800 + math.floor(code / 1024), 0xDC00 + code % 1024)
end

local function before(a, b)
  local x, y = RANK[a] or #FIRST + 1, RANK[b] or #FIRST + 1
  if x ~= y then return x < y end
  return a < b
end

local encode

local function object_of(value)
  local names, out = {}, {}
  for name in pairs(value) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names, before)
  for i, name in ipairs(names) do out[i] = canonical.encode(name) .. ":" .. encode(value[name], name) end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode(value, name)
  if type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then return "null" end
  if type(value) ~= "table" then return canonical.encode(value) end
  if value[1] == nil and not (LISTS[name] and next(value) == nil) then return object_of(value) end
  local out = {}
  for i = 1, #value do out[i] = encode(value[i]) end
  return "[" .. table.concat(out, ",") .. "]"
end

---@param value table
---@return string  on one line, fit for a terminal too
function M.encode(value)
  return visible(encode(value), as_json)
end

return M
