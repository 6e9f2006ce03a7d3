--- Kinds of parameter values. Each is function(value, rule) → the value to send
--- | nil, what was given, what is expected, a suggestion. They never keep the caller's tables.

local pairs, rawget, tonumber, type = pairs, rawget, tonumber, type
local huge = math.huge
local find, format, match = string.find, string.format, string.match

local text = require "veo.util.text"

local M = {}

local MAX_DEPTH = 20 -- of nested tables in `extra`
local MAX_VALUES = 100000 -- in it: a table that stands in many places is sent as many times

local function has_nul(s)
  return find(s, "\0", 1, true) ~= nil
end

local tointeger = rawget(math, "tointeger") -- 5.3 and later; before that a whole number is just a number

local function whole(n)
  if n ~= n or n == huge or n == -huge or n % 1 ~= 0 then return nil end
  return tointeger and tointeger(n) or n
end

local math_type = rawget(math, "type") -- likewise
local EXACT = 2 ^ 53 -- from here on a number without a fraction may be another one than was written

-- Why JSON, or this Lua, cannot carry a number exactly.
local function number_problem(n)
  if n ~= n or n == huge or n == -huge then return "a number that is not finite" end
  if math_type and math_type(n) == "integer" or n % 1 ~= 0 or n > -EXACT and n < EXACT then return nil end
  return "a whole number of 2^53 or more, whose last digits are lost" .. (math_type and " in a float" or "")
    .. " (a string keeps them)"
end

local AROUND = " with blanks or a line break around it"
local ID_EXPECTED = "a task id: a non-empty string on one line"
-- Ids are opaque: any bytes on one line, as long as a reply can be (1 MiB), may be the id of a paid task.
M.ID_LENGTH = 2 ^ 20

function M.id(value)
  -- The usual form first: every poll of a task comes through here.
  if type(value) == "string" and #value <= M.ID_LENGTH
    and (find(value, "^%w+$") or find(value, "^[%w_-]+$")) then return value end
  local problem = text.blank_problem(value)
  if problem then return nil, problem, ID_EXPECTED end
  if find(value, "^%s") or find(value, "%s$") then
    -- Most likely read from a file, with its line break.
    local trimmed = #value < 1000 and match(value, "^%s*(.-)%s*$") or nil
    if trimmed and find(trimmed, "%c") then trimmed = nil end
    return nil, text.show(value) .. AROUND, ID_EXPECTED, trimmed
  end
  if find(value, "%c") then return nil, text.show(value) .. " with a control character", ID_EXPECTED end
  if #value > M.ID_LENGTH then return nil, #value .. " bytes", ID_EXPECTED .. " of at most 1 MiB" end
  return value
end

function M.text(value)
  local problem = text.problem(value)
  if not problem and has_nul(value) then problem = "text with a NUL byte" end
  if problem then return nil, problem, "a non-empty string of UTF-8 text" end
  return value
end

function M.line(value)
  local problem, trimmed = text.problem(value), nil
  if not problem then trimmed = text.trimmed(value) end
  if trimmed then problem = text.show(value) .. AROUND end
  if not problem and find(value, "%c") then problem = text.show(value) .. " with a control character" end
  if problem then return nil, problem, "a non-empty string on one line", trimmed end
  return value
end

function M.integer(value, rule)
  local n = type(value) == "number" and not number_problem(value) and whole(value) or nil
  if n and (not rule.min or n >= rule.min) and (not rule.max or n <= rule.max) then return n end
  local expected = "a whole number"
  if rule.min and rule.max then
    expected = format("a whole number from %d to %d", rule.min, rule.max)
  elseif rule.min then
    expected = format("a whole number of at least %d", rule.min)
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
  if find(value, "%c") then return "a URL with a control character or line break" end
  if find(value, "%s") then return "a URL with a blank in it" end
  if text.bad_utf8(value) then return "a URL that is not UTF-8" end
  local authority = match(value, "^[hH][tT][tT][pP][sS]?://([^/?#\\]*)")
  if not authority then return '"' .. text.bare_url(value) .. '"' end
  local host_port = match(authority, "([^@]*)$")
  local host, port = match(host_port, "^(%[[%x:.]+%]):?(%d*)$")
  if not host then host, port = match(host_port, "^([^:%[%]]+):?(%d*)$") end
  if not host or not find(host, "[%w\128-\255]") then return '"' .. text.bare_url(value) .. '" without a host' end
  if port ~= "" and tonumber(port) > 65535 then return '"' .. text.bare_url(value) .. '" with a port over 65535' end
  return nil
end

local URL_EXPECTED = "a URL that starts with http:// or https:// and names a host"

function M.url(value)
  local problem = url_problem(value)
  local trimmed = problem and type(value) == "string" and text.trimmed(value)
  if trimmed and not url_problem(trimmed) then return nil, "a URL" .. AROUND, URL_EXPECTED, trimmed end
  if problem then return nil, problem, URL_EXPECTED end
  return value
end

function M.urls(value, rule)
  local expected = format("a list of %d to %d URLs", rule.min, rule.max)
  if type(value) ~= "table" then return nil, text.show(value), expected end
  local count = 0
  for index in pairs(value) do
    if whole(type(index) == "number" and index or 0.5) == nil then return nil, "a table with named fields", expected end
    count = count + 1
  end
  if count ~= #value or count < rule.min or count > rule.max then return nil, "a list of " .. count, expected end
  local copy = {}
  for i = 1, count do
    local kept, problem, _, trimmed = M.url(value[i])
    if not kept then return nil, "item " .. i .. ": " .. problem, URL_EXPECTED, trimmed end
    copy[i] = kept
  end
  return copy
end

-- Values for fields that this library does not know yet ---------------------------------------------------------------

-- What is no table: the value to send, or nil and what is wrong.
local SCALARS = {
  boolean = function(value) return value end,
  number = function(value)
    local problem = number_problem(value)
    if problem then return nil, problem end
    return whole(value) or value
  end,
  string = function(value)
    if text.bad_utf8(value) then return nil, "bytes that are not UTF-8" end
    return value
  end,
}

-- Why a key cannot stand in a table of that length (0: named fields).
local function key_problem(key, length)
  if type(key) == "string" and length == 0 then return text.bad_utf8(key) and "a name that is not UTF-8" or nil end
  if type(key) == "number" and key % 1 == 0 and key >= 1 and key <= length then return nil end
  return "a table that is neither a list nor named fields"
end

local function place_of(key)
  return type(key) == "number" and format("[%d]", key) or "." .. text.printable(key, 40)
end

-- A deep copy, or nil, what is wrong, and where in it.
local function copied(value, depth, walk)
  local scalar = SCALARS[type(value)]
  if scalar then
    local copy, problem = scalar(value)
    return copy, problem, ""
  end
  if type(value) ~= "table" then return nil, "a " .. type(value), "" end
  if walk[value] then return nil, "a table that holds itself", "" end
  if depth >= MAX_DEPTH then return nil, "a table nested more than " .. MAX_DEPTH .. " deep", "" end
  walk[value] = true
  local copy, length, count = {}, #value, 0
  for key, item in pairs(value) do
    local wrong = key_problem(key, length)
    if wrong then return nil, wrong, "" end
    walk.left = walk.left - 1
    if walk.left < 0 then return nil, "more than " .. MAX_VALUES .. " values", "" end
    local kept, problem, at = copied(item, depth + 1, walk)
    if kept == nil then return nil, problem, place_of(key) .. at end
    copy[key] = kept
    count = count + 1
  end
  if length > 0 and count ~= length then return nil, "a list with holes", "" end
  walk[value] = nil
  return copy
end

---A value as JSON can carry it exactly: a deep copy, or nil, what is wrong, and where in it (`.name[3]`, "" for all of it).
---@param value any
---@return any copy, string|nil problem, string|nil at
function M.json(value)
  return copied(value, 1, { left = MAX_VALUES })
end

return M
