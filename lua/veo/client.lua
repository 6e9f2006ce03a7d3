--- The client: the face of lua-veo. It checks what the caller says and hands the work to the rooms below.

local core = require "veo.core"
local errors = require "veo.errors"
local limiter = require "veo.limiter"
local options = require "veo.options"
local retry = require "veo.retry"
local schedulers = require "veo.scheduler"
local wire = require "veo.wire"

local M = {}

---@class veo.Client
local Client = { __name = "veo.client" }
Client.__index = Client

-- What a client works with stands under a key that only this file has.
local CONTEXT = {}

-- Making one -----------------------------------------------------------------------------------------------------------

-- Sixteen bits at a time are enough for jitter; the host's math.random stays untouched.
local function random()
  local a, b = core.random(2):byte(1, 2)
  return (a * 256 + b) / 65536
end

-- A logger that cannot harm the call it tells of.
local function safe_log(log)
  if not log then return nil end
  return function(event)
    event.time = os.time()
    pcall(log, event)
  end
end

---@param given table
---@return veo.Client|nil, string|nil problem
function M.new(given)
  local all, problem = options.of_client(given)
  if not all then return nil, problem end
  local api = wire[all.api]
  local ok, handle = pcall(core.new, {
    base_url = all.base_url, api_key = all.api_key, user_agent = all.user_agent, ca_file = all.ca_file,
    proxy = all.proxy, allow_http = all.allow_http, timeout = all.timeout, connect_timeout = all.connect_timeout,
    max_in_flight = all.max_in_flight, extend_path = api.operations.extend.path,
    status_path = api.operations.status.path,
  })
  if not ok then return nil, (tostring(handle):gsub("^.-:%d+: ", "")) end
  local client = setmetatable({}, Client)
  local log = safe_log(all.log)
  local pause = all.pause and function() all.pause(client) end
  client[CONTEXT] = {
    core = handle, api = api, now = core.now, random = random, log = log, timeout = all.timeout,
    defaults = {
      submit = { timeout = all.timeout, deadline = all.deadline },
      free = { timeout = nil, deadline = all.deadline },
      wait = all.wait, download = all.download, retry = all.retry,
    },
    retry = all.retry,
    budget = retry.budget(all.retry.budget),
    window = limiter.window { count = all.rate.count, window = all.rate.window, now = core.now },
    polls = limiter.polls { rate = all.rate.polls, now = core.now },
    scheduler = schedulers.new(handle, core.now, { pause = pause, log = log }),
    created = {},  -- taskId → when this client created it
    watching = 0,  -- waits in progress
  }
  return client
end

-- Checking -------------------------------------------------------------------------------------------------------------

-- Raises at the line of whoever called the method that calls this.
local function misuse(call, problem)
  error(call .. ": " .. problem, 3)
end

local function context(client, call)
  local ctx = getmetatable(client) == Client and client[CONTEXT]
  if not ctx then error(call .. ": call it with a colon, as client:" .. call .. "(…)", 3) end
  if ctx.closed then error(call .. ": the client is closed", 3) end
  return ctx
end

-- A taskId, or the table of a task or status that has one.
local function task_id_of(value)
  if type(value) == "table" and not errors.is(value) then return value.taskId end
  return value
end

local function defaults_of(ctx, groups, with_retry)
  local out = {}
  for group in pairs(groups) do out[group] = ctx.defaults[group] end
  if with_retry then out.retry = ctx.defaults.retry end
  return out
end

local function split(ctx, groups, given, with_retry)
  return options.split(groups, defaults_of(ctx, groups, with_retry), given)
end

-- The methods ----------------------------------------------------------------------------------------------------------

-- A room adds its methods to the class: `return function(Client, tools) … end`. What raises does so at the caller's line
-- only when it is called straight from the method.
---@class veo.client.Tools
local tools = { context = context, misuse = misuse, split = split, task_id_of = task_id_of }
for _, room in ipairs { "calls", "running" } do require("veo.client." .. room)(Client, tools) end

---Ends every job and frees everything. A billable call under way ends `uncertain`. Closing twice is harmless.
function Client:close()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return end
  ctx.closed = true
  ctx.scheduler:close()
end

Client.__close = Client.close

function Client:__tostring()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return "veo.client (closed)" end
  return "veo.client" .. tostring(ctx.core):match(" %(.*%)$")
end

return M
