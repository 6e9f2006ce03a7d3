--- Canonical JSON for request bodies: sorted keys, whole numbers without a fraction. Two requests are the same when
--- their texts are; the hash only finds them quickly.

local ipairs, pairs, tonumber, tostring, type = ipairs, pairs, tonumber, tostring, type
local floor = math.floor
local byte, char, format = string.byte, string.char, string.format
local gsub, match, sub = string.gsub, string.match, string.sub
local concat, sort = table.concat, table.sort

local texts = require "veo.util.text"

local M = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Databases cut strings at NUL or refuse what is not UTF-8, so neither is in the text.
local function escape_control(c)
  return ESCAPES[c] or format("\\u%04x", byte(c))
end

---JSON as everybody can read it: bytes that are not UTF-8, as in some task ids, become lone surrogates. No valid text
---has those, so that two texts never become the same.
---@param json string
---@return string
function M.readable(json)
  local bad = texts.bad_utf8(json)
  if not bad then return json end
  local out, from = {}, 1
  repeat
    out[#out + 1] = sub(json, from, bad - 1)
    out[#out + 1] = format("\\udc%02x", byte(json, bad))
    from = bad + 1
    bad = texts.bad_utf8(json, from)
  until not bad
  return concat(out) .. sub(json, from)
end

-- An escape and what may be its digits: a byte that was no UTF-8, or nil for any other.
local function raw_byte(kind, digits)
  local hex = kind == "u" and match(digits, "^[dD][cC]([89a-fA-F]%x)$")
  return hex and char(tonumber(hex, 16)) or nil
end

---Takes `readable` back, also of all that `encode` makes; lua-cjson decodes such bytes as they are.
---@param json string
---@return string
function M.raw(json)
  return (gsub(json, "\\(.)(%x?%x?%x?%x?)", raw_byte))
end

local function text(s)
  return '"' .. M.readable(gsub(s, '[%c"\\]', escape_control)) .. '"'
end

local encode

local function list(t)
  local out = {}
  for i = 1, #t do out[i] = encode(t[i]) end
  return "[" .. concat(out, ",") .. "]"
end

local function object(t)
  local names, out = {}, {}
  for name in pairs(t) do names[#names + 1] = name end
  sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, name in ipairs(names) do out[i] = text(tostring(name)) .. ":" .. encode(t[name]) end
  return "{" .. concat(out, ",") .. "}"
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return text(value) end
  if kind == "number" then return texts.number(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" then return value[1] ~= nil and list(value) or object(value) end
  return "null"
end

---@param value any
---@return string
M.encode = encode

-- Two residues of a polynomial, exact in doubles on every Lua: 64 bits to look a body up by, not a cryptographic hash.
---@param s string
---@return string  16 hex digits
function M.hash(s)
  local a, b = 5381, 7919
  for i = 1, #s do
    local value = byte(s, i)
    a = (a * 257 + value) % 4294967291
    b = (b * 65599 + value) % 4294967279
  end
  local function hex(n)
    return format("%04x%04x", floor(n / 65536), n % 65536)
  end
  return hex(a) .. hex(b)
end

-- An entry of PostgreSQL's indexes is 2,704 bytes at most.
local LONG = 1000

---A task id as it can be a primary key.
---@param taskId string
---@return string
function M.name(taskId)
  if #taskId <= LONG then return taskId end
  return format("%s (%d bytes, %s)", sub(taskId, 1, 100), #taskId, M.hash(taskId))
end

return M
