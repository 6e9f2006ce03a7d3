--- URL lists. The service has been seen to write them in five forms; all become a list, or nil when there is none.

local pairs, require, type = pairs, require, type
local byte, find, format = string.byte, string.find, string.format
local gsub, match, sub = string.gsub, string.match, string.sub

local M = {}

local json -- lua-cjson, loaded when a reply first needs it

-- A private instance: the shared one's settings belong to the host program.
local function cjson()
  if not json then
    json = require("cjson.safe").new()
    json.decode_invalid_numbers(false)
  end
  return json
end

-- Each half of a surrogate pair that stands alone as U+FFFD: lua-cjson refuses all of a text that has one. Pairs and
-- escaped backslashes are replaced meanwhile by bytes that no JSON string contains.
local function mended(s)
  s = gsub(s, "\\\\", "\1")
  s = gsub(s, "\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", "\2%1\2%2")
  s = gsub(gsub(s, "\\u[dD][89a-fA-F]%x%x", "\\ufffd"), "\2", "\\u")
  return (gsub(s, "\1", "\\\\"))
end

---Decodes a string of JSON, or nil.
---@param s string
---@return any
function M.decode(s)
  if sub(s, 1, 3) == "\239\187\191" then s = sub(s, 4) end -- a byte order mark, which JSON does not allow
  local value = cjson().decode(s)
  if value == nil and find(s, "\\u[dD][89a-fA-F]") then value = cjson().decode(mended(s)) end
  return value
end

---Whether a value is what lua-cjson writes null with.
---@param value any
---@return boolean
function M.is_null(value)
  return type(value) == "userdata" and value == cjson().null
end

local function hexed(blank)
  return format("%%%02X", byte(blank))
end

---A link as it can be requested: blanks in its path or query are escaped. Nil for what is not an http(s) URL.
---@param s any
---@return string|nil
function M.link(s)
  -- A set costs three times a class for every character (measured); control characters are refused by libcurl.
  if type(s) ~= "string" or not find(s, "^[hH][tT][tT][pP][sS]?://[^/?#%c%s]") then return nil end
  local blank = find(s, "%s")
  if not blank then return s end
  if not find(sub(s, 1, blank - 1), "^[^:]*://[^/?#]*[/?#]") then return nil end -- in the host
  s = gsub(s, "[ \t]", hexed)
  return not find(s, "%s") and s or nil
end

-- Without the blanks and quotes around it. By hand, because "(.-)%s*$" takes quadratic time.
local function trim(s, tail)
  local from = find(s, "[^%s\"']")
  if not from then return "" end
  local to = #s
  while find(s, tail or "^[%s\"']", to) do to = to - 1 end
  return sub(s, from, to)
end

-- A URL that needs no trimming, which is the usual case. Plain finds cost a fifth of a pattern over every character;
-- the core refuses other control characters.
local function is_clean(item)
  if type(item) ~= "string" then return false end
  local host = find(item, "https://", 1, true) == 1 and byte(item, 9) or find(item, "http://", 1, true) == 1
    and byte(item, 8)
  -- control characters, blanks and quotes; / ? # would mean that there is no host
  if not host or host <= 39 or host == 47 or host == 63 or host == 127 or find(item, " ", 1, true)
    or find(item, "\n", 1, true) or find(item, "\t", 1, true) then
    return false
  end
  local last = byte(item, -1)
  return last > 32 and last ~= 34 and last ~= 39
end

local function put(list, item, tail)
  item = M.link(trim(item, tail))
  if not item then return list end
  list = list or {}
  list[#list + 1] = item
  return list
end

-- The links in a text: each begins after a blank, with `commas` also after a comma, which can otherwise be a part of a
-- URL. The search is for "http", because "%s*" in front of it takes quadratic time.
local function split(list, s, commas)
  local before = commas and "^[%s,]" or "^%s"
  local from, at = 1, 1
  while true do
    local start, stop = find(s, "[hH][tT][tT][pP][sS]?://", at)
    if not start then return put(list, sub(s, from)) end
    if start > from + 1 then
      local last = find(s, "^[\"']", start - 1) and start - 2 or start - 1
      if find(s, before, last) then
        list = put(list, sub(s, from, last), "^[%s\"',]")
        from = start
      end
    end
    at = stop + 1
  end
end

local function add(list, item)
  if type(item) ~= "string" then return list end
  if not is_clean(item) then
    item = trim(item)
    return M.link(match(item, "^%S*")) and split(list, item) or list
  end
  list = list or {}
  list[#list + 1] = item
  return list
end

local function in_table(value)
  -- The usual case is one good URL: the list itself is returned, without a copy.
  if #value == 1 and is_clean(value[1]) then return value end
  -- Nulls may have left holes, so # cannot be trusted.
  local list, last = nil, 0
  for index in pairs(value) do
    if type(index) == "number" and index > last then last = index end
  end
  for i = 1, last do list = add(list, value[i]) end
  return list
end

local function in_string(value)
  if not find(value, "^%s*[%[\"]") then return add(nil, value) end
  local decoded = M.decode(value)
  if type(decoded) == "table" or type(decoded) == "string" and decoded ~= value then return M.list(decoded) end
  value = trim(value)
  return split(nil, sub(value, find(value, "^%[") and 2 or 1, find(value, "%]$") and -2 or -1), true)
end

---array | string of a JSON array | "[http://…, http://…]" | one bare URL | null → list of URLs or nil.
---What is not an http(s) URL is left out; a list without any is nil. The result may be `value` itself.
---@param value any
---@return string[]|nil
function M.list(value)
  local kind = type(value)
  if kind == "table" then return in_table(value) end
  if kind == "string" then return in_string(value) end
  return nil
end

return M
