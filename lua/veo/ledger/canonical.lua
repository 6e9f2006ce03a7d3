--- One spelling for every request body: JSON with sorted keys, whole numbers without a fraction. Two requests are the
--- same when their spelling is; the hash only finds them quickly, the text itself is compared.

local M = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Databases cut strings at NUL or refuse what is not UTF-8, so neither is in the text.
local function escape_control(c)
  return ESCAPES[c] or ("\\u%04x"):format(c:byte())
end

-- Length of the UTF-8 sequence that a byte begins; nil for one that begins none.
local function length(byte)
  return byte >= 0xC2 and byte <= 0xDF and 2 or byte >= 0xE0 and byte <= 0xEF and 3
    or byte >= 0xF0 and byte <= 0xF4 and 4 or nil
end

-- Bytes that are no UTF-8 become lone surrogates, which no valid text holds, so two bodies never meet in one spelling.
local function escape_high(run)
  local out, at = {}, 1
  while at <= #run do
    local byte, second = run:byte(at, at + 1)
    local n = length(byte)
    local valid = n and #run >= at + n - 1 and not run:sub(at + 1, at + n - 1):find("[^\128-\191]")
      and not (byte == 0xE0 and second < 0xA0) and not (byte == 0xED and second > 0x9F)
      and not (byte == 0xF0 and second < 0x90) and not (byte == 0xF4 and second > 0x8F)
    if valid then
      out[#out + 1] = run:sub(at, at + n - 1)
    else
      out[#out + 1] = ("\\udc%02x"):format(byte)
    end
    at = at + (valid and n or 1)
  end
  return table.concat(out)
end

---Whether a string can be kept as text everywhere: PostgreSQL takes UTF-8 only.
---@param s string
---@return boolean
function M.is_text(s)
  return (s:gsub("[\128-\255]+", escape_high)) == s
end

local function text(s)
  return '"' .. s:gsub('[%c"\\]', escape_control):gsub("[\128-\255]+", escape_high) .. '"'
end

local function number(n)
  if n % 1 == 0 and n > -2 ^ 53 and n < 2 ^ 53 then return ("%.0f"):format(n) end
  return ("%.17g"):format(n)
end

local encode

local function list(t)
  local out = {}
  for i = 1, #t do out[i] = encode(t[i]) end
  return "[" .. table.concat(out, ",") .. "]"
end

local function object(t)
  local names, out = {}, {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, name in ipairs(names) do out[i] = text(tostring(name)) .. ":" .. encode(t[name]) end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return text(value) end
  if kind == "number" then return number(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" then return value[1] ~= nil and list(value) or object(value) end
  return "null"
end

---@param value any
---@return string
M.encode = encode

-- Two residues of a polynomial, exact in doubles on every Lua: 64 bits to look a body up by, no proof of anything.
---@param s string
---@return string  16 hex digits
function M.hash(s)
  local a, b = 5381, 7919
  for i = 1, #s do
    local byte = s:byte(i)
    a = (a * 257 + byte) % 4294967291
    b = (b * 65599 + byte) % 4294967279
  end
  local function hex(n)
    return ("%04x%04x"):format(math.floor(n / 65536), n % 65536)
  end
  return hex(a) .. hex(b)
end

return M
