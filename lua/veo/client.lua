--- The client: the face of lua-veo. It checks what the caller says and hands the work to the rooms below.

local error, getmetatable, ipairs, pairs = error, getmetatable, ipairs, pairs
local pcall, require, setmetatable, tostring, type = pcall, require, setmetatable, tostring, type
local min = math.min
local byte, find, gsub, match = string.byte, string.find, string.gsub, string.match

local lazy = require("veo.util.lazy").room
local budgets = require "veo.policy.budget"
local core = require "veo.core"
local errors = require "veo.errors"
local ledgers = lazy "veo.ledger"
local limiter = require "veo.policy.limiter"
local observers = require "veo.async.observer"
local options = require "veo.client.options"
local retry = require "veo.policy.retry"
local schedulers = require "veo.async.scheduler"
local semaphores = require "veo.async.semaphore"
local wire = require "veo.wire"

local M = {}

---@class veo.Client
local Client = { __name = "veo.client " .. core.version }
Client.__index = Client

-- What a client works with stands under a key that only this file has.
local CONTEXT = {}

-- ffmpegs at a time. The core has four threads for them and for the saving of videos, which is not to wait for them.

-- Making one -----------------------------------------------------------------------------------------------------------

-- Sixteen bits at a time are enough for jitter; the host's math.random stays untouched.
local function random()
  local a, b = byte(core.random(2), 1, 2)
  return (a * 256 + b) / 65536
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
  if not ok then return nil, (gsub(tostring(handle), "^.-:%d+: ", "")) end
  local client = setmetatable({}, Client)
  local observer = observers.new()
  local log = observer:wrap_log(all.log)
  local budget, ledger = budgets.budget(all.max_credits, all.prices, (all.max_credits or all.ledger) and log), nil
  if budget.day and not all.ledger then return nil, "max_credits: a limit a day needs a ledger" end
  if all.ledger then
    ledger, problem = ledgers.new(all.ledger, { now = core.now, log = log, timeout = all.timeout, rate = all.rate,
      lease = all.lease, create = all.create, base_url = all.base_url or core.base_url,
      api_key = all.api_key })
    if not ledger then return nil, "ledger: " .. tostring(problem) end
  end
  local pause = all.pause and function() all.pause(client) end
  client[CONTEXT] = {
    pid = core.pid(), core = handle, api = api, now = core.now, random = random, log = log, timeout = all.timeout,
    defaults = {
      submit = { timeout = all.timeout, deadline = all.deadline },
      free = { timeout = nil, deadline = all.deadline },
      patient = { timeout = nil, deadline = all.deadline, patient = true }, -- of what is a part of something longer
      wait = all.wait, download = all.download, retry = all.retry,
      upgrade = all.upgrade, upload = all.upload,
    },
    retry = all.retry,
    budget = retry.budget(all.retry.budget),
    window = limiter.window { count = all.rate.count, window = all.rate.window, now = core.now },
    polls = limiter.polls { rate = all.rate.polls, now = core.now },
    scheduler = schedulers.new(handle, core.now, { pause = pause, log = log, timeout = all.timeout, observer = observer,
      on_job_error = observer:wrap(all.on_job_error), upkeep = ledger }),
    ledger = ledger, money = budget, evidence = all.evidence,
    plain = {},    -- groups of options → their defaults
    created = {},  -- taskId → when this client created it
    upgraded = {}, -- taskId → the upgrade it got: it can no longer be extended
    charges = {},  -- what was ordered once and may be asked for again for nothing
    once = {},     -- upgrades that are tasks of their own: what was ordered → what became of it
    watches = {},  -- taskId → the waits for it
    each = {},     -- set of the loops over ends that wait now
    destinations = {}, -- name of a file → the call that is going to save there
    weak = {},     -- folders of which the log was told what their file system cannot
    saving = {},   -- taskId → how many downloads of it are under way
    resuming = {}, -- taskId → the row that a resume of this client has claimed
    -- Another service's address must not bring its key to this one's upload host.
    upload_url = all.upload_url or (not all.base_url or all.base_url == core.base_url) and api.upload_url or nil,
    webhook_key = all.webhook_key,
    downloads = semaphores.new(min(all.max_downloads, handle:room()), "a place"), -- few where descriptors are
    slots = semaphores.new(1, "a slot of the rate window"), -- one asks for them, the others come after it
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
  if not ctx then
    local class = getmetatable(client)
    local name = type(class) == "table" and class.__name
    if type(name) == "string" and find(name, "^veo%.client ") then
      error(call .. ": this is a client of another lua-veo (" .. name .. "), and this one is " .. core.version, 3)
    end
    error(call .. ": call it with a colon, as client:" .. call .. "(…)", 3)
  end
  if ctx.closed then error(call .. ": the client is closed", 3) end
  if ctx.pid ~= core.pid() then
    error(call .. ": this client was made before a fork: make a new one in this process", 3)
  end
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
  if given ~= nil then return options.split(groups, defaults_of(ctx, groups, with_retry), given) end
  -- Nobody changes a call's options, so that all plain calls can share theirs.
  local plain = ctx.plain[groups]
  if not plain then
    plain = options.split(groups, defaults_of(ctx, groups, with_retry))
    ctx.plain[groups] = plain
  end
  return plain
end

-- The methods ----------------------------------------------------------------------------------------------------------

-- A room adds its methods to the class: `return function(Client, tools) … end`. What raises does so at the caller's line
-- only when it is called straight from the method.
---@class veo.client.Tools
local tools = { context = context, misuse = misuse, split = split, task_id_of = task_id_of }
for _, room in ipairs { "tasks", "jobs", "media", "orders", "callbacks", "batch" } do
  require("veo.client." .. room)(Client, tools)
end

---Ends every job and frees everything. A billable call under way ends `uncertain`. Closing twice is harmless. In a forked
---child it abandons all: jobs, orders and connections are the parent's.
function Client:close()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return end
  ctx.closed = true
  if ctx.pid ~= core.pid() then ctx.core:close() else ctx.scheduler:close() end
  if ctx.ledger then ctx.ledger:close() end
end

Client.__close = Client.close

function Client:__tostring()
  local ctx = self[CONTEXT]
  if not ctx or ctx.closed then return "veo.client (closed)" end
  return "veo.client" .. match(tostring(ctx.core), " %(.*%)$")
end

return M
