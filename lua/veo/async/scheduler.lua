--- Runs jobs over veo.core without ever sleeping in a frame, and drives the same calls where there is no job. Its
--- methods stand in several files, by their ideas; each of its fields is written by one of them.

local ipairs, next, pairs, setmetatable = ipairs, next, pairs, setmetatable
local huge = math.huge

local admission = require "veo.async.admission"
local cleanup = require "veo.async.cleanup"
local critical = require "veo.async.critical"
local errors = require "veo.errors"
local heaps = require "veo.util.heap"
local jobs = require "veo.async.job"
local lines = require "veo.util.line"
local loop = require "veo.async.loop"
local pending = require "veo.async.pending"
local queues = require "veo.util.queue"
local recovery = require "veo.async.recovery"
local unhandled = require "veo.async.unhandled"
local waiting = require "veo.async.waiting"
local yieldable = require "veo.async.yieldable"

local M = {}

---@class veo.Scheduler
---@field core userdata           a veo.core client
---@field now fun(): number       its clock
---@field pause nil|fun()         what a plain call does in place of sleeping
---@field log nil|fun(event: table)
---@field on_job_error nil|fun(err: veo.Error, job: veo.Job)
---@field observer table          has wrapped these two: they raise nothing, and their calls do not wait
---@field upkeep table|nil        `beat` is called when it is `due`, whatever the jobs wait for
---@field admission table         the queue before exchanges
---@field timers table            a heap of the waiters that have a time
---@field closed boolean          written here
---@field jobs table<veo.Job, true>  those that have not ended; async.pending writes it, and the next two
---@field count integer|false     how many; false: to be counted
---@field most integer            how many there were at most, since the table was made anew
---@field failed table            a queue of those nobody has asked about
---@field woken table             waiters of jobs whose wait is over, a queue; async.waiting writes it
---@field fresh table             of those that have not begun
---@field calls table<veo.Waiter, true>  those with a `call` whose wait is not over or not told; async.waiting
---@field unseen table<veo.Waiter, true>  drivers that sleep in `pause` although their answer is there; async.waiting
---@field current veo.Job|nil     the job that runs; async.waiting
---@field stepping boolean        jobs are being resumed; async.waiting
---@field strayed boolean         a job has yielded to a coroutine of the host's; async.waiting
---@field drivers table<veo.Waiter, true>  plain calls that wait; async.loop
---@field unguarded thread|nil    the coroutine that makes a turn without pcall; async.loop
---@field torn boolean            an error has come while one was made good; async.recovery
---@field alarm number|false|nil  what the core was told; false: unknown; async.loop
local Scheduler = {}
Scheduler.__index = Scheduler

for _, part in ipairs { cleanup, critical, loop, recovery, unhandled, waiting } do
  for name, method in pairs(part) do Scheduler[name] = method end
end
Scheduler.exchange, Scheduler.begin = admission.exchange, admission.begin

local running = coroutine.running
local isyieldable = coroutine.isyieldable -- luacheck: ignore 143
local cannot_yield = yieldable.obstacle

---@param core userdata
---@param now fun(): number
---@param options { observer: table, pause: fun()|nil, log: fun(event: table)|nil, on_job_error: fun(err: veo.Error, job: veo.Job)|nil, timeout: number|nil, upkeep: table|nil }  the observer has wrapped the two functions: they raise nothing
---@return veo.Scheduler
function M.new(core, now, options)
  local self = setmetatable({
    core = core,
    now = now,
    pause = options.pause,
    log = options.log,
    on_job_error = options.on_job_error,
    observer = options.observer,
    upkeep = options.upkeep,
    admission = admission.new(options.timeout or 60),
    timers = heaps.new(),
    closed = false,
    jobs = {},
    count = 0,
    most = 0,
    failed = queues.new(),
    woken = lines.new(),
    fresh = lines.new(),
    calls = {},
    unseen = setmetatable({}, { __mode = "k" }),
    current = nil,
    stepping = false,
    torn = false,
    strayed = false,
    drivers = setmetatable({}, { __mode = "k" }),
  }, Scheduler)
  -- Found at once there, and not by way of the metatable: a wait calls 25 of them.
  for name, method in pairs(Scheduler) do self[name] = method end
  return self
end

local function busy(message)
  return errors.new { code = "busy", message = message }
end

-- Whether a call may wait ---------------------------------------------------------------------------------------------

-- Of a job's own coroutine. One that is to end does so here.
local function obstacle_in_job(self, job)
  local why = not (isyieldable and isyieldable()) and cannot_yield()
  if why then return busy(why) end
  if job.cancelling and not job.shielded then self:suspend() end
  return nil
end

---Nil when the caller may wait here, else the error that says why not.
---@return veo.Error|nil
function Scheduler:obstacle()
  local observer, job = self.observer, self.current
  if observer.co and observer:is_observing() then
    return busy("a call from a log function, on_job_error or on_end: make it from a job")
  end
  if job and running() == job.co then return obstacle_in_job(self, job) end
  if self:in_turn() then
    return busy(self.current
      and "a call from a coroutine inside a job: make it from the job itself, or spawn another job"
      or "a call from inside step: make it from a job")
  end
  local why = self.pause and yieldable.pause_obstacle() -- pause is there to yield, mostly
  return why and busy(why) or nil
end

---Whether the caller is alone: no job to serve, no foreign loop to leave room to.
---@return boolean
function Scheduler:is_idle()
  return pending.count(self) == 0 and not self.pause and not self.stepping
end

---Whether anybody waits, for whatever.
---@return boolean
function Scheduler:is_waiting()
  return pending.count(self) > 0 or next(self.drivers) ~= nil
end

-- Jobs and exchanges --------------------------------------------------------------------------------------------------

---A job that runs `fn(...)` from the next step on.
---@return veo.Job
function Scheduler:spawn(fn, ...)
  local job = jobs.new(self, fn, ...)
  if self.alarm ~= 0 then self:set_alarm() end
  return job
end

---Starts what needs no place, as the core does; nil and a failure too when a function of the user's closed the client.
---@return userdata|nil transfer, table|nil failure
function Scheduler:start(operation, request, options)
  if self.closed then return nil, { reason = "closed", sent = "no", message = "the client was closed" } end
  return self.core:start(operation, request, options)
end

---Ends every job. A billable exchange under way is answered by the closed core first: it is uncertain.
function Scheduler:close()
  if self.closed then return end
  self.closed = true
  self.core:close()
  local left = {}
  for job in pairs(self.jobs) do left[#left + 1] = job end
  for _, job in ipairs(left) do
    if job.waiter and job.waiter.transfer then self:wake(job.waiter, "done") end
  end
  self.admission:close(self)
  for _, job in ipairs(left) do jobs.cancel(job, "closed") end
  while not self.stepping and self:has_ready() do self:run_ready() end
  for _, job in ipairs(left) do
    self:break_shield(job)
    jobs.cancel(job, "closed")
  end
  self:report(huge)
end

return M
