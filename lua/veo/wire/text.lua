--- Text in messages and on the wire: short, printable, valid UTF-8, and without secrets.

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
---@return integer|nil
function M.bad_utf8(s)
  local at = s:find("[\128-\255]")
  while at do
    local count, low, high = sequence(s:byte(at))
    if not count then return at end
    for i = 1, count do
      local b = s:byte(at + i)
      if not b or b < low or b > high then return at end
      low, high = 0x80, 0xBF
    end
    at = s:find("[\128-\255]", at + count + 1)
  end
  return nil
end

-- White space that is not ASCII: no-break space, U+2000–U+200F (zero width too), line separators, U+3000, BOM.
local WIDE_BLANKS = { "\194\160", "\226\128[\128-\143\168\169\175]", "\227\128\128", "\239\187\191" }

---Whether a string holds nothing that anyone could see.
---@param s string
---@return boolean
function M.blank(s)
  if s:find("[%w%p]") then return false end
  for i = 1, #WIDE_BLANKS do s = s:gsub(WIDE_BLANKS[i], "") end
  return not s:find("%S")
end

local function escape(c)
  if c == "\n" then return "\\n" end
  if c == "\r" then return "\\r" end
  if c == "\t" then return "\\t" end
  return ("\\x%02X"):format(c:byte())
end

---One short printable line from any text. What looks like a bearer token or belongs to a signed link is hidden.
---@param s string
---@param limit integer|nil  bytes kept, 60 by default
---@return string
function M.printable(s, limit)
  limit = limit or 60
  local cut = #s > limit
  if cut then
    s = s:sub(1, limit)
    -- Drop a character that the cut went through.
    local tail = s:match("()[\194-\244][\128-\191]*$")
    if tail and M.bad_utf8(s:sub(tail)) then s = s:sub(1, tail - 1) end
  end
  s = s:gsub("([Bb][Ee][Aa][Rr][Ee][Rr]%s+)%S+", "%1(hidden)")
  if s:find("://", 1, true) then -- a page that repeats a signed link
    s = s:gsub("(%a[%w+.-]*://)[^%s\"'<>/?#@]*@", "%1(hidden)@")
    s = s:gsub("(%a[%w+.-]*://[^%s\"'<>?#]*[?#])[^%s\"'<>]+", "%1(hidden)")
  end
  s = s:gsub("%c", escape)
  if M.bad_utf8(s) then s = s:gsub("[\128-\255]", escape) end
  return cut and s .. "..." or s
end

---A URL fit for a message: no user, no query, no fragment (signed links carry secrets in them).
---@param url string
---@return string
function M.bare_url(url)
  local query = url:find("[?#]")
  local bare = query and url:sub(1, query - 1) .. url:sub(query, query) .. "(hidden)" or url
  bare = bare:gsub("^(%a[%w+.-]*://)[^/]*@", "%1(hidden)@")
  return M.printable(bare, 100)
end

---Names a value for a message: kind and, where that is harmless, the value.
---@param value any
---@param limit integer|nil
---@return string
function M.show(value, limit)
  local kind = type(value)
  if value == nil then return "nothing" end
  if kind == "string" then return '"' .. M.printable(value, limit or 40) .. '"' end
  if kind == "number" then return value == value and ("%.14g"):format(value) or "NaN" end
  if kind == "boolean" then return tostring(value) end
  return "a " .. kind
end

return M
