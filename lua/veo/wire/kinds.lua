--- Kinds of parameter values. Each is function(value, rule) → the value to send
--- | nil, what was given, what is expected, a suggestion. They never keep the caller's tables.

local text = require "veo.wire.text"

local M = {}

local MAX_DEPTH = 20 -- of nested tables in `extra`; also what ends a cycle

local function has_nul(s)
  return s:find("\0", 1, true) ~= nil
end

local tointeger = rawget(math, "tointeger") -- 5.3 and later; before that a whole number is just a number

local function whole(n)
  if n ~= n or n == math.huge or n == -math.huge or n % 1 ~= 0 then return nil end
  return tointeger and tointeger(n) or n
end

local function string_problem(value)
  if type(value) ~= "string" then return text.show(value) end
  if text.blank(value) then return value == "" and "an empty string" or "only blanks" end
  local bad = text.bad_utf8(value)
  if bad then return "bytes that are not UTF-8 (at byte " .. bad .. ")" end
  return nil
end

local ID_EXPECTED = "a task id: a non-empty string on one line"
-- Longer than any id, and within what the core takes.
M.ID_LENGTH = 1000

function M.id(value)
  local problem = string_problem(value)
  if problem then return nil, problem, ID_EXPECTED end
  if value:find("^%s") or value:find("%s$") then
    -- Read from a file with its line break, most likely.
    local trimmed = #value < 1000 and value:match("^%s*(.-)%s*$") or nil
    if trimmed and trimmed:find("%c") then trimmed = nil end
    return nil, text.show(value) .. " with blanks or a line break around it", ID_EXPECTED, trimmed
  end
  if value:find("%c") then return nil, text.show(value) .. " with a control character", ID_EXPECTED end
  if #value > M.ID_LENGTH then return nil, #value .. " bytes", ID_EXPECTED .. " of at most " .. M.ID_LENGTH end
  return value
end

function M.text(value)
  local problem = string_problem(value)
  if not problem and has_nul(value) then problem = "text with a NUL byte" end
  if problem then return nil, problem, "a non-empty string of UTF-8 text" end
  return value
end

function M.line(value)
  local problem = string_problem(value)
  if not problem and value:find("%c") then problem = text.show(value) .. " with a control character" end
  if problem then return nil, problem, "a non-empty string on one line" end
  return value
end

function M.integer(value, rule)
  local n = type(value) == "number" and whole(value) or nil
  if n and (not rule.min or n >= rule.min) and (not rule.max or n <= rule.max) then return n end
  local expected = "a whole number"
  if rule.min and rule.max then
    expected = ("a whole number from %d to %d"):format(rule.min, rule.max)
  elseif rule.min then
    expected = ("a whole number of at least %d"):format(rule.min)
  end
  local given = text.show(value)
  if type(value) == "string" then given = "the string " .. given end
  return nil, given, expected
end

function M.boolean(value)
  if type(value) == "boolean" then return value end
  return nil, text.show(value), "true or false"
end

-- Host and port of an http(s) URL, checked as far as a callback or a file needs it.
local function url_problem(value)
  if type(value) ~= "string" then return text.show(value) end
  if value:find("%c") then return "a URL with a control character or line break" end
  if value:find("%s") then return "a URL with a blank in it" end
  if text.bad_utf8(value) then return "a URL that is not UTF-8" end
  local authority = value:match("^[hH][tT][tT][pP][sS]?://([^/?#\\]*)")
  if not authority then return '"' .. text.bare_url(value) .. '"' end
  local host_port = authority:match("([^@]*)$")
  local host, port = host_port:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then host, port = host_port:match("^([^:%[%]]+):?(%d*)$") end
  if not host or not host:find("[%w\128-\255]") then return '"' .. text.bare_url(value) .. '" without a host' end
  if port ~= "" and tonumber(port) > 65535 then return '"' .. text.bare_url(value) .. '" with a port over 65535' end
  return nil
end

local URL_EXPECTED = "a URL that starts with http:// or https:// and names a host"

function M.url(value)
  local problem = url_problem(value)
  if problem then return nil, problem, URL_EXPECTED end
  return value
end

function M.urls(value, rule)
  local expected = ("a list of %d to %d URLs"):format(rule.min, rule.max)
  if type(value) ~= "table" then return nil, text.show(value), expected end
  local count = 0
  for index in pairs(value) do
    if whole(type(index) == "number" and index or 0.5) == nil then return nil, "a table with named fields", expected end
    count = count + 1
  end
  if count ~= #value or count < rule.min or count > rule.max then return nil, "a list of " .. count, expected end
  local copy = {}
  for i = 1, count do
    local problem = url_problem(value[i])
    if problem then return nil, "item " .. i .. ": " .. problem, URL_EXPECTED end
    copy[i] = value[i]
  end
  return copy
end

-- JSON values for fields that this library does not know yet: a deep copy, or nil and what is wrong.
---@param value any
---@param depth integer  1 at the top
---@return any copy, string|nil problem
function M.json(value, depth)
  local kind = type(value)
  if kind == "boolean" then return value end
  if kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return nil, "a number that is not finite" end
    return whole(value) or value
  end
  if kind == "string" then
    if text.bad_utf8(value) then return nil, "bytes that are not UTF-8" end
    return value
  end
  if kind ~= "table" then return nil, "a " .. kind end
  if depth >= MAX_DEPTH then return nil, "a table nested more than " .. MAX_DEPTH .. " deep" end
  local copy, list, count = {}, #value, 0
  for key, item in pairs(value) do
    local is_index = whole(type(key) == "number" and key or 0.5)
    if not (type(key) == "string" and list == 0 or is_index and key >= 1 and key <= list) then
      return nil, "a table that is neither a list nor named fields"
    end
    local kept, problem = M.json(item, depth + 1)
    if kept == nil then return nil, problem end
    copy[is_index or key] = kept
    count = count + 1
  end
  if list > 0 and count ~= list then return nil, "a list with holes" end
  return copy
end

return M
