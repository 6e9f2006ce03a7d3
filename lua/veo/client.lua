--- The client: the face of lua-veo. It checks what the caller says and hands the work to the rooms below.

local core = require "veo.core"
local errors = require "veo.errors"
local downloads = require "veo.download"
local free = require "veo.free"
local limiter = require "veo.limiter"
local options = require "veo.options"
local retry = require "veo.retry"
local schedulers = require "veo.scheduler"
local submits = require "veo.submit"
local waits = require "veo.wait"
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

local SUBMIT = { submit = options.submit }
local FREE = { free = options.free }
local WAIT = { wait = options.wait }
local DOWNLOAD = { download = options.download }
local ALL = { submit = { deadline = options.submit.deadline }, wait = options.wait }

local function defaults_of(ctx, groups, with_retry)
  local out = {}
  for group in pairs(groups) do out[group] = ctx.defaults[group] end
  if with_retry then out.retry = ctx.defaults.retry end
  return out
end

local function split(ctx, groups, given, with_retry)
  return options.split(groups, defaults_of(ctx, groups, with_retry), given)
end

-- The calls ------------------------------------------------------------------------------------------------------------

---Extends a video. Billable: sent again by itself only when nothing of it left or the service turned it away (429, 455).
---Documentation: POST /api/v1/veo/extend.
---@param params { taskId: string, prompt: string, seeds: integer|nil, model: string|nil, watermark: string|nil, callBackUrl: string|nil, extra: table|nil }
---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds; one exchange 60, the whole call 300
---@return { taskId: string, raw: table }|nil task
---@return veo.Error|nil err  invalid, uncertain, insufficient_credits, rejected, …
function Client:extend(params, given)
  local ctx = context(self, "extend")
  if type(params) ~= "table" then misuse("extend", "a table of parameters expected, got " .. type(params)) end
  local opts, problem = split(ctx, SUBMIT, given, true)
  if not opts then misuse("extend", problem) end
  return submits.submit(ctx, "extend", params, opts)
end

---Asks for a task's state, now. Free; repeated on passing errors.
---Documentation: GET /api/v1/veo/record-info.
---@param task string|table  a taskId, or what extend returned
---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
---@return veo.Status|nil status
---@return veo.Error|nil err  not_found, expired, unauthorized, network, server, malformed, …
function Client:status(task, given)
  local ctx = context(self, "status")
  local opts = given == nil and ctx.plain_status
  if not opts then
    local problem
    opts, problem = split(ctx, FREE, given, true)
    if not opts then misuse("status", problem) end
    if given == nil then ctx.plain_status = opts end
  end
  return free.status(ctx, task_id_of(task), opts)
end

---The account's credits; may be fractional. Free.
---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
---@return number|nil credits
---@return veo.Error|nil err
function Client:credits(given)
  local ctx = context(self, "credits")
  local opts, problem = split(ctx, FREE, given, true)
  if not opts then misuse("credits", problem) end
  return free.call(ctx, "credits", {}, opts)
end

---Waits until a task has succeeded. On a timeout the task goes on; waiting again is free.
---@param task string|table  a taskId, or what extend returned
---@param given { timeout: number|nil, first: number|nil, interval: number|nil, growth: number|nil, max_interval: number|nil, jitter: number|nil, grace: number|nil, max_errors: integer|nil, on_progress: nil|fun(status: veo.Status, info: { elapsed: number, looks: integer, next: number|nil, stretched: boolean|nil }) }|nil  seconds
---@return veo.Status|nil status
---@return veo.Error|nil err  timeout, failed, no_result, not_found, … with the taskId
function Client:wait(task, given)
  local ctx = context(self, "wait")
  local opts, problem = split(ctx, WAIT, given)
  if not opts then misuse("wait", problem) end
  return waits.wait(ctx, task_id_of(task), opts.wait)
end

---extend, then wait. Options of both; `timeout` is the wait's.
---@param params table
---@param given table|nil
---@return veo.Status|nil status
---@return veo.Error|nil err
function Client:extend_and_wait(params, given)
  local ctx = context(self, "extend_and_wait")
  if type(params) ~= "table" then misuse("extend_and_wait", "a table of parameters expected, got " .. type(params)) end
  local opts, problem = split(ctx, ALL, given, true)
  if not opts then misuse("extend_and_wait", problem) end
  local task, err = submits.submit(ctx, "extend", params, opts)
  if not task then return nil, err end
  return waits.wait(ctx, task.taskId, opts.wait)
end

---Saves a finished video. Until it is whole it stands in `path .. ".part"`.
---@param source veo.Status|string  a succeeded status, or a URL
---@param path string
---@param given { on_progress: nil|fun(bytes: integer, total: integer|nil), max_bytes: integer|nil, overwrite: boolean|nil, attempts: integer|nil }|nil
---@return { path: string, bytes: integer, taskId: string|nil, requests: integer }|nil file
---@return veo.Error|nil err  exists, io, expired, not_video, network, …
function Client:download(source, path, given)
  local ctx = context(self, "download")
  if type(source) ~= "string" and type(source) ~= "table" then
    misuse("download", "a status or a URL expected, got " .. type(source))
  end
  if type(path) ~= "string" or path == "" or path:find("[%z\r\n]") then
    misuse("download", "path: a non-empty file name expected")
  end
  local opts, problem = split(ctx, DOWNLOAD, given)
  if not opts then misuse("download", problem) end
  return downloads.download(ctx, source, path, opts.download)
end

-- Running --------------------------------------------------------------------------------------------------------------

---Sleeps without holding other jobs up.
---@param seconds number
---@return true|nil, veo.Error|nil
function Client:sleep(seconds)
  local ctx = context(self, "sleep")
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    misuse("sleep", "seconds: a number from 0 up expected")
  end
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local why = ctx.scheduler:sleep_until(ctx.now() + seconds)
  if why == "timeout" then return true end
  return nil, errors.new { code = why == "closed" and "closed" or "cancelled", message = "the sleep was " .. why }
end

---Runs `fn(...)` as a job: its calls of this client yield, and go on in step or run.
---@return veo.Job
function Client:spawn(fn, ...)
  local ctx = context(self, "spawn")
  if type(fn) ~= "function" then misuse("spawn", "a function expected, got " .. type(fn)) end
  return ctx.scheduler:spawn(fn, ...)
end

---Lets exchanges and jobs go on. With 0 it never sleeps: call it once a frame.
---@param ms number|nil  milliseconds to sleep at most, 0 unless given
---@return integer|nil pending  jobs that have not ended
---@return veo.Error|nil err
function Client:step(ms)
  local ctx = context(self, "step")
  if ms ~= nil and (type(ms) ~= "number" or ms ~= ms or ms < 0) then
    misuse("step", "milliseconds from 0 up expected")
  end
  return ctx.scheduler:step(ms)
end

---Steps until every job has ended.
---@return true|nil, veo.Error|nil
function Client:run()
  return context(self, "run").scheduler:run()
end

---The one descriptor to watch for reading; nil on systems that have none. cqueues.poll(client) works as is.
---@return integer|nil
function Client:pollfd()
  return context(self, "pollfd").core:pollfd()
end

---@return "r"
function Client:events()
  return context(self, "events").core:events()
end

---Seconds until step wants to be called, or nil.
---@return number|nil
function Client:timeout()
  return context(self, "timeout").core:timeout()
end

---Connects ahead of time, and reads the CA bundle (20 ms) outside of any frame.
---@return true|nil, veo.Error|nil
function Client:warm()
  local ctx = context(self, "warm")
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local reply, failure = ctx.scheduler:exchange(nil, "warm")
  if reply then return true end
  return nil, errors.new { code = failure.reason == "network" and "network" or "malformed", operation = "warm",
    curl_code = failure.curl_code, timed_out = failure.timed_out, message = "warm: " .. failure.message }
end

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
