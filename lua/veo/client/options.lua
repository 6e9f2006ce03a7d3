--- The options of each call, as data, and how they are checked. An unknown or bad option is the caller's misuse, which
--- the client raises at the caller's line; nothing raises in here.

local ipairs, pairs, type = ipairs, pairs, type
local find, format, lower, match = string.find, string.format, string.lower, string.match
local concat = table.concat

local budgets = require "veo.policy.budget"
local callable = require "veo.util.callable"
local checks = require "veo.util.options"
local retry = require "veo.policy.retry"
local texts = require "veo.util.text"
local types = require "veo.wire.types"

local M = {}

-- Kinds of values ------------------------------------------------------------------------------------------------------

local MOST = checks.MOST

local function is_number(value)
  return type(value) == "number" and value >= -MOST and value <= MOST
end

local function number(least, expected)
  return { expected = expected, test = function(value) return is_number(value) and value >= least end }
end

local seconds = number(0, "seconds, 0 or more")
local positive = { expected = "seconds, more than 0", test = function(value) return is_number(value) and value > 0 end }
local count = { expected = "a whole number from 1 up",
  test = function(value) return is_number(value) and value >= 1 and value % 1 == 0 end }
-- With less a step would give a download no byte.
local frame = { expected = "seconds from 0.0001 to 1",
  test = function(value) return is_number(value) and value >= 0.0001 and value <= 1 end }
local a_day = { expected = "whole seconds from 1 to 86400",
  test = function(value) return count.test(value) and value <= 86400 end }
local natural = { expected = "a whole number from 0 up",
  test = function(value) return is_number(value) and value >= 0 and value % 1 == 0 end }
local natural_or_off = { expected = "a whole number from 0 up, or false for no limit",
  test = function(value) return value == false or natural.test(value) end }
local flag = { expected = "true or false", test = function(value) return type(value) == "boolean" end }

local function is_text(value, unwanted)
  return texts.is_line(value) and not (unwanted and find(value, unwanted)) and not texts.trimmed(value)
end

local text = { expected = "a non-empty string on one line", test = function(value) return is_text(value) end }
local word = { expected = "a non-empty string on one line without blanks",
  test = function(value) return is_text(value, "[%c%s]") end }
local header = { expected = "a non-empty string without control characters",
  test = function(value) return is_text(value, "%c") end }
local address = { expected = "an http or https address that names a host, without user, query or fragment",
  test = function(value) return types.url(value) ~= nil and not find(value, "[?#@]") end }
local PROXIES = { http = true, https = true, socks4 = true, socks4a = true, socks5 = true, socks5h = true }
local proxy = { expected = "host:port, a URL of http, https, socks4, socks4a, socks5 or socks5h, or false for none",
  test = function(value)
    if value == false then return true end
    local scheme = type(value) == "string" and match(value, "^(.-)://") or "http"
    return is_text(value, "[%c%s]") and PROXIES[lower(scheme)] == true
  end }
local rate = { expected = "a number a second, more than 0, or false for no limit",
  test = function(value) return value == false or is_number(value) and value > 0 end }

local fn = { expected = "a function", test = callable }

local function one_of(...)
  local allowed, names = {}, {}
  for i, name in ipairs { ... } do allowed[name], names[i] = true, format('"%s"', name) end
  return { expected = concat(names, " or "), test = function(value) return allowed[value] == true end }
end

-- The options ----------------------------------------------------------------------------------------------------------

-- Seconds unless said otherwise. The groups' fields may be given to veo.new and to the call itself.
M.rate = { count = count, window = positive, polls = rate }
M.wait = {
  timeout = seconds, first = seconds, interval = positive, growth = number(1, "a factor of 1 or more"),
  max_interval = positive, jitter = { expected = "a share from 0 up to 1",
    test = function(value) return is_number(value) and value >= 0 and value < 1 end },
  grace = seconds, max_errors = natural_or_off, on_progress = fn,
}
M.download = { on_progress = fn, max_bytes = count, overwrite = flag, attempts = count, stall = a_day,
  verify = flag, mkdir = flag }
M.upgrade = { timeout = seconds, interval = positive }
M.upload = { on_progress = fn, timeout = positive, deadline = seconds }
M.submit = { timeout = positive, deadline = seconds, key = text, on_duplicate = one_of("refuse", "join", "allow"),
  path = text, overwrite = flag, mkdir = flag }
M.many = { limit = count }
M.settle = { force = flag }
M.prune = { before = number(0, "epoch seconds"), days = number(0, "a number from 0 up"), dry_run = flag }
M.callback = { now = number(0, "unix seconds"), target = { expected = "the path and query that were called",
  test = function(value) return type(value) == "string" end } }
M.free = { timeout = positive, deadline = seconds }

M.new = {
  api_key = word, base_url = address, api = one_of("veo", "jobs"), timeout = positive, connect_timeout = positive,
  deadline = seconds, max_in_flight = count, ca_file = text, proxy = proxy, allow_http = flag, user_agent = header,
  frame_budget = frame, log = fn, on_job_error = fn, pause = fn, upload_url = address, max_downloads = count,
  webhook_key = { expected = "a non-empty string on one line, or false for an account that has no key",
    test = function(value) return value == false or text.test(value) end },
}

-- Money: where orders are kept, how a charge is proved, how much may be spent.
M.new.ledger = text
M.new.create = flag
M.new.evidence = flag
M.new.max_credits = budgets.limit_kind
M.new.prices = budgets.prices_kind
M.new.lease = number(3, "seconds, 3 or more")
local path = { expected = "a file name, a pattern or a function",
  test = function(value) return text.test(value) or callable(value) end }
M.spent = { since = seconds, by = one_of("day", "operation") }
M.resume = { on_result = fn, path = path, limit = count }
M.save = { key = M.submit.key, on_duplicate = M.submit.on_duplicate, timeout = positive, deadline = seconds }
M.chain = { path = text, key = text, save_hops = text, overwrite = flag, repeat_failed = flag, on_progress = fn,
  timeout = positive, deadline = seconds }

M.defaults = {
  api = "veo", timeout = 60, connect_timeout = 10, deadline = 300, max_in_flight = 100, allow_http = false,
  frame_budget = 0.0005,
  rate = { count = 20, window = 10 },
  wait = { timeout = 1200, first = 10, interval = 5, growth = 1.5, max_interval = 20, jitter = 0.15, grace = 90 },
  download = { overwrite = false, attempts = 5, stall = 60, verify = true, mkdir = false }, max_downloads = 8,
  upgrade = { timeout = 600, interval = 25 },
  upload = { deadline = 3600 },
}

-- Checking -------------------------------------------------------------------------------------------------------------

---@type fun(kinds: table, defaults: table|nil, given: table|nil): table|nil, string|nil
M.overlay = checks.overlay

---A retry policy: what is given, over the client's own.
---@param defaults veo.RetryPolicy|nil
---@param given table|nil
---@return veo.RetryPolicy|nil, string|nil problem
function M.retry(defaults, given)
  if given == nil and defaults then return defaults end
  return retry.policy(given, defaults)
end

---What veo.new and the calls take in tables of their own.
M.GROUPS = { rate = M.rate, wait = M.wait, download = M.download, upgrade = M.upgrade, upload = M.upload }

-- The group that a flat option is meant for: the call's own, or the only shared one that has it.
local function group_of(groups, name)
  local own, shared, other
  for group, kinds in pairs(groups) do
    if kinds[name] then
      if not M.GROUPS[group] then own = group else shared, other = group, shared end
    end
  end
  if own or not other then return own or shared end
  return nil, format("%s: say whose it is: wait = { %s = … } or download = { %s = … }", name, name, name)
end

-- Lays the groups that are given as tables over the defaults.
local function with_groups(groups, defaults, given)
  local out = {}
  for group, kinds in pairs(groups) do
    local problem
    out[group], problem = M.overlay(kinds, defaults[group], M.GROUPS[group] and given[group])
    if not out[group] then return nil, group .. ": " .. problem end
  end
  return out
end

---Sorts a call's options into groups. A group that veo.new has may be given as a table, or its options flat; `retry`
---belongs to every call that has it.
---@param groups table<string, table>    group → kinds
---@param defaults table<string, table>  group → defaults; `retry` → the client's policy
---@param given table|nil
---@return table<string, table>|nil out  a table a group, and `retry`
---@return string|nil problem
function M.split(groups, defaults, given)
  if given == nil then given = {} end
  if type(given) ~= "table" then return nil, "options: given " .. checks.show(given) .. ", expected a table" end
  local all, beside = {}, { retry = defaults.retry }
  for group, kinds in pairs(groups) do
    for name, kind in pairs(kinds) do all[name] = kind end
    beside[group] = M.GROUPS[group]
  end
  local problem = checks.unknown("option", given, all, beside)
  if problem then return nil, problem end
  local out
  out, problem = with_groups(groups, defaults, given)
  if not out then return nil, problem end
  for name, value in pairs(given) do
    if beside[name] == nil then
      local group
      group, problem = group_of(groups, name)
      problem = problem or checks.problem(groups[group], name, value)
      if problem then return nil, problem end
      out[group][name] = value
    end
  end
  if not defaults.retry then return out end
  out.retry, problem = M.retry(defaults.retry, given.retry)
  if not out.retry then return nil, problem end
  return out
end

local WITH_RETRY = { retry = retry.defaults }
for name, kinds in pairs(M.GROUPS) do WITH_RETRY[name] = kinds end

---Checks the options of veo.new: the flat ones and the groups.
---@param given table
---@return table|nil, string|nil problem
function M.of_client(given)
  local flat, out = {}, {}
  local problem = checks.unknown("option", given, M.new, WITH_RETRY)
  if problem then return nil, problem end
  for name, value in pairs(given) do
    if WITH_RETRY[name] then
      if type(value) ~= "table" then return nil, format("%s: given %s, expected a table", name, checks.show(value)) end
    else
      problem = checks.problem(M.new, name, value)
      if problem then return nil, problem end
      flat[name] = value
    end
  end
  for name, value in pairs(M.defaults) do out[name] = value end
  for name, value in pairs(flat) do out[name] = value end
  for group, kinds in pairs(M.GROUPS) do
    out[group], problem = M.overlay(kinds, M.defaults[group], given[group])
    if not out[group] then return nil, group .. ": " .. problem end
  end
  out.retry, problem = M.retry(nil, given.retry)
  if not out.retry then return nil, problem end
  return out
end

return M
