--- What a spec may ask of the simulator: rules, given as a script or written into a request.
--
-- A rule is a table: what it waits for, and what happens then.
--   on       endpoint name (see effects.lua), list of names, "METHOD /path", or "*" (absent: any endpoint)
--   task     only requests that name this taskId
--   match    Lua pattern, looked for in "METHOD /path?query" and in the body
--   nth      only the nth request (from 1) that got as far as this rule and fitted it
--   skip     let that many fitting requests pass first
--   times    how often it applies; without it: always
--   each     true: nth, skip and times are counted for each path and taskId by itself
-- The first rule that fits decides; the rest of its fields are the effect (see effects.lua).
--
-- The same in a request: "[sim code=429 retry-after=2 times=1]" in a prompt acts on that submit,
-- "[sim:status flag=3]" in a prompt on the status calls of the task it makes ("media", "callback" alike), and a
-- taskId such as "sim.flag-2.list_form-bare" on the call that carries it.
local checks = require "veo.util.options"
local effects = require "veo.simulator.effects"
local gzip = require "veo.simulator.gzip"
local suggest = require "veo.util.suggest"
local texts = require "veo.util.text"

local M = {}

local ON = { on = true }
for name in pairs(effects.conditions) do ON[name] = true end

local function shown(value)
  return type(value) == "string" and '"' .. texts.printable(value, 60) .. '"' or checks.show(value)
end

local function meant_by(value, names)
  local meant = type(value) == "string" and suggest.nearest(value, names)
  return meant and (" (did you mean %s?)"):format(meant) or ""
end

local is_endpoint = {}
for _, name in ipairs(effects.endpoints) do is_endpoint[name] = true end

-- What `on` names, as a set, or nil for every endpoint; and what is wrong with it.
local function names(on)
  if on == nil or on == "*" then return nil end
  local set = {}
  for _, name in ipairs(type(on) == "table" and on or { on }) do
    if not is_endpoint[name] and not (type(name) == "string" and name:find("^%u+ /")) then
      return nil, ("on: there is no endpoint %s%s; there are %s, \"METHOD /path\" and \"*\""):format(shown(name),
        meant_by(name, effects.endpoints), table.concat(effects.endpoints, ", "))
    end
    set[name] = true
  end
  if next(set) == nil then return nil, "on: it names no endpoint" end
  return set
end

-- Nil, or what is wrong with the value of a field.
local function problem_with(name, value)
  local kind = effects.known[name] or effects.conditions[name]
  if kind.test(value) then return nil end
  return ("%s: given %s%s, expected %s"):format(name, shown(value),
    kind.names and meant_by(value, kind.names) or "", kind.expected)
end

--- Checks a rule and makes it ready.
--- @return table|nil rule, string|nil why
function M.rule(given)
  if type(given) ~= "table" then return nil, "a rule must be a table, got " .. type(given) end
  local why = checks.unknown("field", given, ON, effects.known)
  if why then return nil, why .. " in a rule" end
  local rule = { effect = {}, counts = {} }
  rule.on, why = names(given.on)
  if why then return nil, why end
  for key, value in pairs(given) do
    if key ~= "on" then
      why = problem_with(key, value)
      if why then return nil, why end
      local part = effects.conditions[key] and rule or rule.effect
      part[key] = value
    end
  end
  local obstacle = effects.packs(rule.effect) and gzip.obstacle()
  if obstacle then return nil, obstacle end
  return rule
end

--- @param list table[] rules as given
--- @return table|nil rules, string|nil why
function M.rules(list)
  local rules = {}
  for index, given in ipairs(list or {}) do
    local rule, why = M.rule(given)
    if not rule then return nil, why .. " (rule " .. index .. ")" end
    rules[index] = rule
  end
  return rules
end

local function fits(rule, request)
  if rule.on and not (rule.on[request.endpoint] or rule.on[request.method .. " " .. request.path]) then return false end
  if rule.task and rule.task ~= request.task_id then return false end
  if rule.match and not ((request.method .. " " .. request.target):find(rule.match)
    or (request.body and request.body:find(rule.match))) then
    return false
  end
  return true
end

local function count_of(rule, request)
  local key = rule.each and request.path .. " " .. (request.task_id or "") or "all"
  local count = rule.counts[key]
  if not count then
    count = { seen = 0, used = 0 }
    rule.counts[key] = count
  end
  return count
end

--- The effect of the first rule that fits, or nil. Counts the rule as used.
function M.find(rules, request)
  for index = 1, #rules do
    local rule = rules[index]
    local count = fits(rule, request) and count_of(rule, request)
    if count and not (rule.times and count.used >= rule.times) then
      count.seen = count.seen + 1
      if (not rule.nth or count.seen == rule.nth) and not (rule.skip and count.seen <= rule.skip) then
        count.used = count.used + 1
        return rule.effect
      end
    end
  end
end

local words = { ["true"] = true, ["false"] = false }

local function value_of(text)
  if words[text] ~= nil then return words[text] end
  return tonumber(text) or text
end

--- The rules written into a prompt. `self` is the endpoint that a plain "[sim …]" means.
--- @return table rules, string|nil why one of them is none
function M.from_prompt(prompt, self)
  local rules, at, why = {}, 1, nil
  while true do
    -- In two steps, and words from their beginnings only: one pattern is quadratic in what anybody may have sent.
    local from, to, target = prompt:find("%[sim:?([%w_]*)", at)
    local stop = from and prompt:find("]", to + 1, true)
    if not stop then return rules, why end
    local text = prompt:sub(to + 1, stop - 1)
    at = stop + 1
    local given = { on = target == "" and self or target }
    -- quoted values first, they may hold blanks; a quoted number stays a string
    text = text:gsub('%f[%w_-]([%w_-]+)="([^"]*)"', function(key, value)
      given[(key:gsub("-", "_"))] = value
      return ""
    end)
    for token in text:gmatch("%S+") do
      local key, value = token:match("^([%w_-]+)=(.*)$")
      given[((key or token):gsub("-", "_"))] = key and value_of(value) or not key
    end
    local rule, wrong = M.rule(given)
    rules[#rules + 1] = rule
    why = why or wrong
  end
end

--- The rule written into a taskId: "sim.code-404", "sim.flag-2.error_code-501"; nil for any other id.
function M.from_task_id(task_id)
  if type(task_id) ~= "string" or task_id:sub(1, 4) ~= "sim." then return nil end
  local given = {}
  for part in task_id:sub(5):gmatch("[^.]+") do
    local key, value = part:match("^([%w_]+)%-(.*)$")
    if key then given[key] = value_of(value) else given[part] = true end
  end
  return M.rule(given)
end

return M
