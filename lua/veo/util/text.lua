--- Text in messages and on the wire: short, printable, valid UTF-8, and without secrets.

local rawget, tostring, type = rawget, tostring, type
local byte, find, format = string.byte, string.find, string.format
local gsub, match, sub = string.gsub, string.match, string.sub

local visible = require "veo.util.visible"

local M = {}

-- Lead byte → number of continuation bytes and the bounds of the first one (RFC 3629: no overlong, no surrogates).
local function sequence(lead)
  if lead >= 0xC2 and lead <= 0xDF then return 1, 0x80, 0xBF end
  if lead == 0xE0 then return 2, 0xA0, 0xBF end
  if lead == 0xED then return 2, 0x80, 0x9F end
  if lead >= 0xE1 and lead <= 0xEF then return 2, 0x80, 0xBF end
  if lead == 0xF0 then return 3, 0x90, 0xBF end
  if lead >= 0xF1 and lead <= 0xF3 then return 3, 0x80, 0xBF end
  if lead == 0xF4 then return 3, 0x80, 0x8F end
  return nil
end

---Position of the first byte that is not valid UTF-8, or nil when all of it is.
---@param s string
---@param from integer|nil  where to begin
---@return integer|nil
function M.bad_utf8(s, from)
  local at = find(s, "[\128-\255]", from)
  while at do
    local count, low, high = sequence(byte(s, at))
    if not count then return at end
    for i = 1, count do
      local b = byte(s, at + i)
      if not b or b < low or b > high then return at end
      low, high = 0x80, 0xBF
    end
    at = find(s, "[\128-\255]", at + count + 1)
  end
  return nil
end

-- White space that is not ASCII: no-break space, U+2000–U+200F (zero width too), line separators, U+3000, BOM.
local WIDE_BLANKS = { "\194\160", "\226\128[\128-\143\168\169\175]", "\227\128\128", "\239\187\191" }

---Whether a string has no visible character.
---@param s string
---@return boolean
function M.blank(s)
  if find(s, "[%w%p]") then return false end
  for i = 1, #WIDE_BLANKS do s = gsub(s, WIDE_BLANKS[i], "") end
  return not find(s, "%S")
end

---A string without the blanks around it, as they come from a file or a page; nil when it has none.
---@param s string
---@return string|nil
function M.trimmed(s)
  local out = s
  repeat
    local before = #out
    out = gsub(out, "^[ \t-\r]+", "")
    local last = find(out, "[^ \t-\r][ \t-\r]*$")
    out = last and sub(out, 1, last) or ""
    for i = 1, #WIDE_BLANKS do out = gsub(gsub(out, "^" .. WIDE_BLANKS[i], ""), WIDE_BLANKS[i] .. "$", "") end
  until #out == before
  return out ~= s and out or nil
end

---Whether a value is a text on one line, without NUL: what can be a name, a header, an argument.
---@param value any
---@return boolean
function M.is_line(value)
  return type(value) == "string" and value ~= "" and not find(value, "[%z\r\n]")
end

---Nil, or why a value cannot be a file name.
---@param value any
---@return string|nil
function M.path_problem(value)
  if not M.is_line(value) then return "a non-empty file name expected" end
  return M.trimmed(value) and "a file name without blanks around it expected" or nil
end

local function escape(c) return format("\\x%02X", byte(c)) end

---One short printable line from any text. What looks like a bearer token or belongs to a signed link is hidden.
---@param s string
---@param limit integer|nil  bytes kept, 60 by default
---@return string
function M.printable(s, limit)
  limit = limit or 60
  local cut = #s > limit
  if cut then
    s = sub(s, 1, limit)
    -- Drop a character that the cut went through.
    local tail = match(s, "()[\194-\244][\128-\191]*$")
    if tail and M.bad_utf8(sub(s, tail)) then s = sub(s, 1, tail - 1) end
  end
  s = gsub(s, "([Bb][Ee][Aa][Rr][Ee][Rr]%s+)%S+", "%1(hidden)")
  if find(s, "://", 1, true) then -- a page that repeats a signed link
    s = gsub(s, "(%a[%w+.-]*://)[^%s\"'<>/?#@]*@", "%1(hidden)@")
    s = gsub(s, "(%a[%w+.-]*://[^%s\"'<>?#]*[?#])[^%s\"'<>]+", "%1(hidden)")
  end
  s = visible(s)
  if M.bad_utf8(s) then s = gsub(s, "[\128-\255]", escape) end
  return cut and s .. "..." or s
end

---Whether a text is a link, and not a task's id.
---@param s string
---@return boolean
function M.is_link(s)
  return find(s, "[:/]/") ~= nil
end

---A URL fit for a message: no user, no query, no fragment (signed links carry secrets in them).
---@param url string
---@return string
function M.bare_url(url)
  local query = find(url, "[?#]")
  local bare = query and sub(url, 1, query - 1) .. sub(url, query, query) .. "(hidden)" or url
  bare = gsub(bare, "^(%a[%w+.-]*://)[^/]*@", "%1(hidden)@")
  return M.printable(bare, 100)
end

---A database's address, or a text that contains it, without its password, also one with characters that a URI must
---escape.
---@param where string
---@return string
function M.without_password(where)
  return (gsub(gsub(where, "(%a+://[^:@/%s]*):[^%s\"]*@", "%1@"), "password=[^&%s\"]*", "password=…"))
end

---Nil, or what a value is that has no visible character.
---@param value any
---@return string|nil
function M.blank_problem(value)
  if type(value) ~= "string" then return M.show(value) end
  if M.blank(value) then return value == "" and "an empty string" or "only blanks" end
  return nil
end

---Nil, or why a value is not a text: it has no visible character, or is not UTF-8.
---@param value any
---@return string|nil
function M.problem(value)
  local problem = M.blank_problem(value)
  local bad = not problem and M.bad_utf8(value)
  return problem or bad and "bytes that are not UTF-8 (at byte " .. bad .. ")" or nil
end

local math_type = rawget(math, "type") -- 5.3 and later
local EXACT = 2 ^ 53

---A number with all its digits, and a decimal point whatever the host's locale.
---@param n number
---@return string
function M.number(n)
  if math_type and math_type(n) == "integer" then return format("%d", n) end
  if n % 1 == 0 and n > -EXACT and n < EXACT then return format("%.0f", n) end
  return (gsub(format("%.17g", n), ",", "."))
end

---Names a value for a message: kind and, where that is harmless, the value.
---@param value any
---@param limit integer|nil
---@return string
function M.show(value, limit)
  local kind = type(value)
  if value == nil then return "nothing" end
  if kind == "string" then return '"' .. M.printable(value, limit or 40) .. '"' end
  if kind == "number" then return value == value and format("%.14g", value) or "NaN" end
  if kind == "boolean" then return tostring(value) end
  return "a " .. kind
end

return M
