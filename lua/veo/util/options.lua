--- Options: names with values, checked against what each of them may be. A kind has `expected`, the words for a message,
--- and `test`, a function that says whether a value is one; of a table also `within`, which says what is wrong with its
--- names, or nil. Nothing raises in here: callers do, at the right level.

local pairs, tostring, type = pairs, tostring, type
local format = string.format
local sort = table.sort

local suggest = require "veo.util.suggest"
local text = require "veo.util.text"

local M = {}

---The largest number that an option may be: beyond it not every whole number is exact, and the core takes none.
M.MOST = 2 ^ 53

---A value as a message may show it; never the content of a string, which may be a key.
---@param value any
---@return string
function M.show(value)
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  if value == "" then return "an empty string" end
  return "a " .. type(value)
    .. (type(value) == "string" and text.trimmed(value) and " with blanks or a line break around it" or "")
end

---The key of a table that is not known. Of several it is the one that sorts first, so that the same mistake always
---gives the same message.
---@param given table
---@param known table<string, any>     the names that there are
---@param more table<string, any>|nil  others
---@return any key  nil when all are known
function M.stray(given, known, more)
  local found, first
  for name in pairs(given) do
    if known[name] == nil and (not more or more[name] == nil) then
      local shown = tostring(name)
      if not first or shown < first then found, first = name, shown end
    end
  end
  return found
end

local function names_of(known, more)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  for name in pairs(more or {}) do names[#names + 1] = name end
  sort(names)
  return names
end

---Nil, or what is wrong with a table that has a name which is not known: "unknown option prot (did you mean port?)".
---@param what string                  what the names are of: "option", "filter", …
---@param given table
---@param known table<string, any>     the names that there are
---@param more table<string, any>|nil  others
---@return string|nil problem
function M.unknown(what, given, known, more)
  local name = M.stray(given, known, more)
  if name == nil then return nil end
  local meant = suggest.nearest(name, names_of(known, more))
  return format("unknown %s %s%s", what, type(name) == "string" and text.printable(name) or M.show(name),
    meant and " (did you mean " .. meant .. "?)" or "")
end

---Nil, or what is wrong with a value.
---@param kinds table<string, table>  name → kind
---@param name string                 a known one
---@param value any
---@return string|nil problem
function M.problem(kinds, name, value)
  local kind = kinds[name]
  local why = kind.within and type(value) == "table" and kind.within(value)
  if why then return name .. ": " .. why end
  if kind.test(value) then return nil end
  return format("%s: given %s, expected %s%s", name, M.show(value), kind.expected,
    type(value) == "number" and value > M.MOST and ", of at most 2^53" or "")
end

---Checks a table of options and lays it over its defaults.
---@param kinds table<string, table>  name → kind
---@param defaults table|nil
---@param given table|nil
---@return table|nil options   a fresh table
---@return string|nil problem
function M.overlay(kinds, defaults, given)
  local out = {}
  for name, value in pairs(defaults or {}) do out[name] = value end
  if given == nil then return out end
  if type(given) ~= "table" then return nil, "options: given " .. M.show(given) .. ", expected a table" end
  local problem = M.unknown("option", given, kinds)
  if problem then return nil, problem end
  for name, value in pairs(given) do
    problem = M.problem(kinds, name, value)
    if problem then return nil, problem end
    out[name] = value
  end
  return out
end

return M
