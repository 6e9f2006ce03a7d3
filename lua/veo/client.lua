--- The client: the face of lua-veo. It checks what the caller says and hands the work to the rooms below. Its methods
--- are documented in lua/veo/meta/client.lua, their options in meta/options.lua, what they return in meta/results.lua.

local error, getmetatable, ipairs, pairs = error, getmetatable, ipairs, pairs
local next, require, setmetatable, tostring, type = next, require, setmetatable, tostring, type
local running = coroutine.running
local find, format, match = string.find, string.format, string.match

local contexts = require "veo.client.context"
local core = require "veo.core"
local errors = require "veo.errors"
local options = require "veo.client.options"
local texts = require "veo.util.text"

local pid = core.pid

local M = {}

---@type veo.Client
local Client = { __name = "veo.client " .. core.version }
Client.__index = Client

-- What a client works with stands under a key that only this file has.
local CONTEXT = {}
-- Stands for the main coroutine, which has no name in Lua 5.1.
local MAIN = {}

-- Checking -------------------------------------------------------------------------------------------------------------

-- Raises at the line that called the method that calls this.
local function misuse(call, problem)
  error(call .. ": " .. problem, 3)
end

-- `level`: where the caller's line is, as for `error`. `closed_too`: a closed client will do.
local function context(client, call, level, closed_too)
  local ctx = getmetatable(client) == Client and client[CONTEXT]
  if not ctx then
    level = level or 3
    local class = getmetatable(client)
    local name = type(class) == "table" and class.__name
    if type(name) == "string" and find(name, "^veo%.client ") then
      error(call .. ": this is a client of another lua-veo (" .. name .. "), and this one is " .. core.version, level)
    end
    error(call .. ": call it with a colon, as client:" .. call .. "(…)", level)
  end
  if ctx.closed and not closed_too then error(call .. ": the client is closed", level or 3) end
  if ctx.pid ~= pid() then
    error(call .. ": this client was made before a fork: make a new one in this process", level or 3)
  end
  ctx.before = false
  if next(ctx.failed) then
    local co = running() or MAIN
    ctx.before, ctx.failed[co] = ctx.failed[co], nil
  end
  return ctx
end

-- Passes on what a call returns. Its failure is remembered up to the next call of the same coroutine, where a nil may be
-- all that is left of it, as in client:download(client:wait(task), path).
local function noted(ctx, result, ...)
  if result == nil then ctx.failed[running() or MAIN] = (...) end
  return result, ...
end

-- What is wrong with an argument. An error in its place, or beside a nil there, is raised as itself: that of the call
-- whose results were handed on, as in client:wait(client:extend { … }).
local function unexpected(ctx, what, value, beside)
  if errors.is(value) then errors.raise(value) end
  if value == nil and errors.is(beside) then errors.raise(beside) end
  local before = value == nil and ctx.before
  return format("%s expected, got %s%s", what, type(value),
    before and "; the call before this one failed: " .. tostring(before) or "")
end

-- A taskId, or that of a task or status. An order of the ledger may have none, which is not the caller's fault.
local function task_id_of(ctx, call, value, beside)
  local id = value
  if type(value) == "table" and not errors.is(value) then
    id = value.taskId
    if id == nil and type(value.ref) == "string" then return nil end
  end
  if type(id) == "string" then return id end
  error(call .. ": " .. unexpected(ctx, "a taskId, or a table that has one,", value, beside), 3)
end

-- Nil, or why a video cannot be saved to a target, whatever it is for.
local function unusable_target(target)
  if type(target) == "function" then return nil end
  local unusable = texts.path_problem(target)
  if unusable and type(target) ~= "string" then unusable = "a non-empty file name, or a function, expected" end
  return unusable and "path: " .. unusable
end

local function is_field(ctx, operation, name)
  for _, rule in ipairs(ctx.api.operations[operation].fields) do
    if rule.name == name then return true end
  end
  return name == "extra"
end

-- An option among the parameters.
local function misplaced(ctx, operation, params, more)
  for name in pairs(params) do
    local kind = options.submit[name] or options.GROUPS[name] or name == "retry"
      or more and (more.wait[name] or more.download[name])
    if kind and not is_field(ctx, operation, name) then
      return errors.new { code = "invalid", operation = operation, field = name, sent = "no",
        expected = "it among the options", message = format("%s: %s is an option: give it in the second table",
          operation, name) }
    end
  end
end

-- A parameter among the options.
local function parameter_among(ctx, operation, given)
  for name in pairs(type(given) == "table" and given or {}) do
    if is_field(ctx, operation, name) then return format("%s is a parameter: give it in the first table", name) end
  end
end

local function defaults_of(ctx, groups, with_retry)
  local out = {}
  for group in pairs(groups) do out[group] = ctx.defaults[group] end
  if with_retry then out.retry = ctx.defaults.retry end
  return out
end

-- `operation`: of a call that takes a table of parameters before its options.
local function split(ctx, groups, given, with_retry, operation)
  if given ~= nil then
    local out, problem = options.split(groups, defaults_of(ctx, groups, with_retry), given)
    if not out and operation then problem = parameter_among(ctx, operation, given) or problem end
    return out, problem
  end
  -- Nobody changes a call's options, so that all plain calls can share theirs.
  local plain = ctx.plain[groups]
  if not plain then
    plain = options.split(groups, defaults_of(ctx, groups, with_retry))
    ctx.plain[groups] = plain
  end
  return plain
end

-- Begins a call that waits, with its options or what is wrong with them, which raises like `misuse`. Nil and an error
-- where it cannot wait.
local function begin(ctx, call, opts, problem)
  if not opts then error(call .. ": " .. problem, 3) end
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return noted(ctx, nil, obstacle) end
  return opts
end

-- The methods ----------------------------------------------------------------------------------------------------------

-- A room adds its methods to the class: `return function(Client, tools) … end`. What raises does so at the caller's line
-- only when it is called straight from the method.
---@class veo.client.Tools
-- An order's path is looked at with the client's own options of download, where it has none.
local function of_path(ctx, submit)
  local own = ctx.defaults.download
  if not submit.path then return submit end
  if submit.overwrite == nil then submit.overwrite = own.overwrite end
  if submit.mkdir == nil then submit.mkdir = own.mkdir end
  return submit
end

local tools = { context = context, misuse = misuse, split = split, begin = begin, task_id_of = task_id_of,
  of_path = of_path, noted = noted, unexpected = unexpected,
  unusable_target = unusable_target, misplaced = misplaced }
for _, room in ipairs { "handles", "loop", "tasks", "jobs", "media", "orders", "callbacks", "batch", "stats", "check",
  "gone" } do
  require("veo.client." .. room)(Client, tools)
end

function Client:close()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return end
  ctx.closed = true
  if ctx.pid ~= pid() then ctx.core:close() else ctx.scheduler:close() end
  if ctx.ledger then ctx.ledger:close() end
end

Client.__close = Client.close

function Client:__tostring()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return "veo.client (closed)" end
  return "veo.client" .. match(tostring(ctx.core), " %(.*%)$")
end

---@param given table
---@return veo.Client|nil, string|nil problem
function M.new(given)
  local all, problem = options.of_client(given)
  if not all then return nil, problem end
  local client = setmetatable({}, Client)
  client[CONTEXT], problem = contexts.new(all, client)
  if problem then return nil, problem end
  client.loop = tools.loop(client)
  return client
end

return M
