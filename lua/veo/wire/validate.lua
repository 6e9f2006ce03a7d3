--- Parameter rules: the check that turns a caller's parameters into the fields of a request.
--- A rule is data: { name, kind, required, min, max, known, about, refuse }; the rules themselves stand with their API,
--- the kinds of values in wire/types.lua.

local pairs, setmetatable, tostring, type = pairs, setmetatable, tostring, type
local find, format = string.find, string.format
local concat = table.concat

local errors = require "veo.errors"
local options = require "veo.util.options"
local suggest = require "veo.util.suggest"
local text = require "veo.util.text"
local types = require "veo.wire.types"
local urls = require "veo.wire.urls"

local M = {}

---@class veo.wire.Field
---@field name string       as the user writes it, which is as the service documents it
---@field kind string       a function of wire/types.lua
---@field required boolean|nil
---@field min number|nil    for integers the bounds, for lists the number of items
---@field max number|nil
---@field known any[]|nil   values documented today; another one is sent with a warning
---@field about string|nil  what the field is, for messages
---@field refuse string|nil why the field cannot be used with this API

local function invalid(operation, field, given, expected, suggestion, message)
  if not message then
    message = format("%s: %s: given %s, expected %s", operation, field, given, expected)
    if suggestion then message = message .. "; did you mean " .. text.show(suggestion) .. "?" end
  end
  return errors.new {
    code = "invalid", message = message, operation = operation, field = field,
    given = given, expected = expected, suggestion = suggestion, sent = "no",
  }
end
M.invalid = invalid

-- Values that mean "absent": nil, and lua-cjson's null.
local function absent(value)
  return value == nil or urls.is_null(value)
end

-- Rule lists are static, so what is derived from one is kept.
local derived = setmetatable({}, { __mode = "k" })

local function names_of(rules)
  local kept = derived[rules]
  if not kept then
    kept = { names = {}, by_name = {} }
    for i = 1, #rules do
      kept.names[i] = rules[i].name
      kept.by_name[rules[i].name] = rules[i]
    end
    derived[rules] = kept
  end
  return kept.names, kept.by_name
end

local BESIDE = { extra = true }

local function unknown_field(operation, key, value, names)
  local shown = type(key) == "string" and text.printable(key, 40) or "[" .. text.show(key) .. "]"
  local suggestion = suggest.nearest(key, names)
  local expected = #names > 0 and "one of " .. concat(names, ", ") or "no fields"
  local message = operation .. " has no field " .. shown
  if suggestion then
    message = message .. "; did you mean " .. suggestion .. "?"
  else
    message = message .. "; expected " .. expected .. ", or extra = { … } for a field newer than this library"
  end
  -- The value stays out: a mistaken field is where keys and passwords turn up.
  return invalid(operation, shown, "a " .. type(value), expected, suggestion, message)
end

local function merge_extra(operation, extra, by_name, out)
  if absent(extra) then return true end
  local expected = "a table of named fields"
  if type(extra) ~= "table" then return nil, invalid(operation, "extra", text.show(extra), expected) end
  for key, value in pairs(extra) do
    if type(key) ~= "string" or key == "" then
      return nil, invalid(operation, "extra", "the key " .. text.show(key), expected)
    end
    local name = "extra." .. text.printable(key, 40)
    if by_name[key] then
      return nil, invalid(operation, name, "a field that " .. operation .. " knows", "it beside extra, not in it", key)
    end
    if text.bad_utf8(key) then return nil, invalid(operation, name, "a name that is not UTF-8", expected) end
    if not absent(value) then
      local copy, problem, at = types.json(value)
      if copy == nil then return nil, invalid(operation, name .. at, problem, "a value that JSON can hold") end
      out[key] = copy
    end
  end
  return true
end

local function known_value(list, value)
  for i = 1, #list do
    if list[i] == value then return true end
  end
  return false
end

local function known_warning(operation, rule, value)
  local shown = {}
  for i = 1, #rule.known do shown[i] = tostring(rule.known[i]) end
  local meant = suggest.nearest(tostring(value), shown)
  return format("%s: %s: %s is not among the documented values (%s); sent as it is%s", operation, rule.name,
    text.show(value), concat(shown, ", "), meant and "; did you mean " .. text.show(meant) .. "?" or "")
end

---Checks parameters against rules. Nothing of `params` is kept: the result is a fresh flat table.
---@param operation string           for messages
---@param rules veo.wire.Field[]
---@param params table
---@return table|nil fields, string[]|veo.Error warnings_or_error
function M.check(operation, rules, params)
  if type(params) ~= "table" then
    return nil, invalid(operation, "params", text.show(params), "a table of parameters")
  end
  local names, by_name = names_of(rules)
  local unknown = options.stray(params, by_name, BESIDE)
  if unknown ~= nil then return nil, unknown_field(operation, unknown, params[unknown], names) end
  local out, warnings = {}, {}
  for i = 1, #rules do
    local rule = rules[i]
    local value = params[rule.name]
    if absent(value) then
      if rule.required then
        local expected = (rule.about or "a value") .. " (required)"
        return nil, invalid(operation, rule.name, "nothing", expected)
      end
    elseif rule.refuse then
      return nil, invalid(operation, rule.name, text.show(value), rule.refuse)
    else
      local kept, given, expected, suggestion = types[rule.kind](value, rule)
      if kept == nil then
        if rule.about then expected = expected .. " (" .. rule.about .. ")" end
        return nil, invalid(operation, rule.name, given, expected, suggestion)
      end
      if rule.known and not known_value(rule.known, kept) then
        warnings[#warnings + 1] = known_warning(operation, rule, kept)
      end
      out[rule.name] = kept
    end
  end
  local merged, err = merge_extra(operation, params.extra, by_name, out)
  if not merged then return nil, err end
  return out, warnings
end

---Checks one task id, quickly: every look at a task passes here.
---@param value any
---@param operation string|nil
---@return true|nil, veo.Error|nil
function M.task_id(value, operation)
  if type(value) == "string" and #value <= types.ID_LENGTH
    and (find(value, "^%w+$") or find(value, "^[%w_-]+$")) then return true end
  local kept, given, expected, suggestion = types.id(value)
  if kept then return true end
  return nil, invalid(operation or "status", "taskId", given, expected, suggestion)
end

return M
