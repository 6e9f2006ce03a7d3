--- URL lists. The service has been seen to write them in five forms; all become a list, or nil when there is none.

local M = {}

local decode -- lua-cjson, loaded when a reply first needs it

---Decodes a string of JSON, or nil. A private instance: the shared one's settings belong to the host program.
---@param s string
---@return any
function M.decode(s)
  if not decode then
    local json = require("cjson.safe").new()
    json.decode_invalid_numbers(false)
    decode = json.decode
  end
  local value = decode(s)
  return value
end

---Whether a string is an http(s) URL that can be asked for: no blanks, no control characters.
---@param s any
---@return boolean
function M.is_url(s)
  -- One anchored pattern without a set: a set costs three times a class for every character (measured), and control
  -- characters that are not blanks are refused by libcurl.
  return type(s) == "string" and s:find("^[hH][tT][tT][pP][sS]?://[^/?#%c%s]%S*$") ~= nil
end

-- Without blanks and quotes around it. By hand, because "(.-)%s*$" is quadratic in what a server may send.
local function trim(s)
  local from = s:find("[^%s\"']")
  if not from then return "" end
  local to = #s
  while s:find("^[%s\"']", to) do to = to - 1 end
  return s:sub(from, to)
end

local find, byte = string.find, string.byte

-- A URL that needs no trimming, as nearly all are written. Plain finds cost a fifth of a pattern that looks at every
-- character, and other control characters are refused by the core.
local function is_clean(item)
  if type(item) ~= "string" then return false end
  local host = find(item, "https://", 1, true) == 1 and byte(item, 9) or find(item, "http://", 1, true) == 1
    and byte(item, 8)
  -- control characters, blanks and quotes; / ? # would mean that there is no host
  if not host or host <= 39 or host == 47 or host == 63 or host == 127 or find(item, " ", 1, true)
    or find(item, "\n", 1, true) then
    return false
  end
  local last = byte(item, -1)
  return last > 32 and last ~= 34 and last ~= 39
end

local function add(list, item)
  if type(item) ~= "string" then return list end
  if not is_clean(item) then
    item = trim(item)
    if not M.is_url(item) then return list end
  end
  list = list or {}
  list[#list + 1] = item
  return list
end

-- "[http://a, http://b]" without quotes. A comma can be part of a URL, so only one before another URL separates.
local function split(s)
  local list
  local from = 1
  while true do
    local stop, _, next_from = s:find(",%s*()[\"']?[hH][tT][tT][pP][sS]?://", from)
    list = add(list, s:sub(from, stop and stop - 1 or #s))
    if not stop then return list end
    from = next_from
  end
end

---array | string of a JSON array | "[http://…, http://…]" | one bare URL | null → list of URLs or nil.
---What is not an http(s) URL is left out; a list without any is nil. The result may be `value` itself.
---@param value any
---@return string[]|nil
function M.list(value)
  if value == nil then return nil end
  local kind = type(value)
  local list
  if kind == "table" then
    -- Nearly always: one good URL. Then the list itself does, without a copy.
    if #value == 1 and is_clean(value[1]) then return value end
    -- Nulls may have left holes, so # cannot be trusted.
    local last = 0
    for index in pairs(value) do
      if type(index) == "number" and index > last then last = index end
    end
    for i = 1, last do list = add(list, value[i]) end
  elseif kind == "string" then
    if value:find("^%s*[%[\"]") then
      local decoded = M.decode(value)
      if type(decoded) == "table" or type(decoded) == "string" and decoded ~= value then return M.list(decoded) end
      value = trim(value)
      return split(value:sub(value:find("^%[") and 2 or 1, value:find("%]$") and -2 or -1))
    end
    list = add(nil, value)
  end
  return list
end

return M
