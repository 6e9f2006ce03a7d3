--- Parameter rules: the check that turns a caller's parameters into the body or the query of a request. A rule is data:
--- { name, kind, required, min, max, known, about, refuse }; the rules are in their API's file, the kinds of values in
--- wire/types.lua.

local pairs, setmetatable, tostring, type = pairs, setmetatable, tostring, type
local format = string.format
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

-- Values that mean "absent": nil, and lua-cjson's null.
local function absent(value)
  return value == nil or type(value) == "userdata" and urls.is_null(value)
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

local function unknown_field(operation, params, by_name, names)
  local key = options.stray(params, by_name, BESIDE)
  local shown = type(key) == "string" and text.printable(key, 40) or "[" .. text.show(key) .. "]"
  local suggestion = suggest.nearest(key, names)
  local expected = #names > 0 and "one of " .. concat(names, ", ") or "no fields"
  local message = operation .. " has no field " .. shown
  if suggestion then
    message = message .. "; did you mean " .. suggestion .. "?"
  else
    message = message .. "; expected " .. expected .. ", or extra = { … } for a field newer than this library"
  end
  -- The value is not shown: keys and passwords turn up in mistaken fields.
  return invalid(operation, shown, "a " .. type(params[key]), expected, suggestion, message)
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

-- One parameter by its rule: the value to send, nil when there is none; or nil and the error.
local function value_of(operation, rule, value, warnings)
  if absent(value) then
    if not rule.required then return nil end
    return nil, invalid(operation, rule.name, "nothing", (rule.about or "a value") .. " (required)")
  end
  if rule.refuse then return nil, invalid(operation, rule.name, text.show(value), rule.refuse) end
  local kept, given, expected, suggestion = types[rule.kind](value, rule)
  if kept == nil then
    if rule.about then expected = expected .. " (" .. rule.about .. ")" end
    return nil, invalid(operation, rule.name, given, expected, suggestion)
  end
  if rule.known and not known_value(rule.known, kept) then
    warnings[#warnings + 1] = known_warning(operation, rule, kept)
  end
  return kept
end

-- The parameters by their rules, as a fresh flat table; or nil and the error.
local function fields_of(operation, rules, params, warnings)
  if type(params) ~= "table" then
    return nil, invalid(operation, "params", text.show(params), "a table of parameters")
  end
  local names, by_name = names_of(rules)
  for key in pairs(params) do
    if not by_name[key] and not BESIDE[key] then return nil, unknown_field(operation, params, by_name, names) end
  end
  local out = {}
  for i = 1, #rules do
    local value, err = value_of(operation, rules[i], params[rules[i].name], warnings)
    if err then return nil, err end
    out[rules[i].name] = value
  end
  local merged, err = merge_extra(operation, params.extra, by_name, out)
  if not merged then return nil, err end
  return out
end

local function operation_of(api, operation)
  local spec = api.operations[operation]
  if not spec then
    return nil, invalid(operation, "api", api.name, "an API that has the call " .. operation, nil,
      format("the API \"%s\" has no call %s", api.name, operation))
  end
  return spec
end

-- Lays flat fields out as the body that an operation wants.
local function layout(operation, body, flat)
  for name, alias in pairs(body.names) do
    if flat[alias] ~= nil then
      return nil, invalid(operation, "extra." .. alias, "a field that " .. operation .. " knows",
        name .. " beside extra", name)
    end
  end
  local out, inner = {}, {}
  for name, value in pairs(body.constants) do out[name] = value end
  out[body.inside] = inner
  for name, value in pairs(flat) do
    local target = body.top[name] and out or inner
    target[body.names[name] or name] = value
  end
  return out
end

-- The fields of a GET, which go into its query.
local function in_query(operation, flat)
  for name, value in pairs(flat) do
    if type(value) == "table" then
      return nil, invalid(operation, "extra." .. name, "a table",
        "text, a number, true or false: this call has no body")
    end
    if type(value) == "number" and name ~= "index" then flat[name] = text.number(value) end
    if type(value) == "boolean" then flat[name] = tostring(value) end
  end
  return flat
end

---Checks the parameters of a call. Nothing of `params` is kept.
---@param api table            wire.veo or wire.jobs
---@param operation string     "extend", "status", …
---@param params table
---@return table|nil body      for a GET: the query's fields
---@return string[]|veo.Error  warnings (the request is sent all the same), or the error
function M.check(api, operation, params)
  local warnings = {}
  local spec, err = operation_of(api, operation)
  local fields
  if spec then fields, err = fields_of(operation, spec.fields, params, warnings) end
  if fields and spec.body then fields, err = layout(operation, spec.body, fields) end
  if fields and spec.method == "GET" then fields, err = in_query(operation, fields) end
  if not fields then return nil, err end
  return fields, warnings
end

---A task id as it may be sent.
---@param value any
---@param operation string|nil
---@return true|nil, veo.Error|nil
function M.task_id(value, operation)
  local kept, given, expected, suggestion = types.id(value)
  if kept then return true end
  return nil, invalid(operation or "status", "taskId", given, expected, suggestion)
end

return M
