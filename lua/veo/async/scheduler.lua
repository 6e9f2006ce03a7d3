--- Runs jobs over veo.core without ever sleeping in a frame, and drives the same calls where there is no job.
---
--- Whoever waits is a *waiter*: of a job (a coroutine of ours, resumed by `step`) or of a *driver* (a plain call outside
--- of jobs, which steps the client itself until its answer is there). A waiter waits for a transfer, a time, or until
--- somebody wakes it; `waiter.why` says that it need not wait any more. A job is its own waiter, unless it has another
--- one for somebody else to know: ten thousand tables less.

local ipairs, next, pairs, setmetatable = ipairs, next, pairs, setmetatable
local huge = math.huge

local admission = require "veo.async.admission"
local errors = require "veo.errors"
local heaps = require "veo.util.heap"
local jobs = require "veo.async.job"
local recovery = require "veo.async.recovery"
local yieldable = require "veo.async.yieldable"

local M = {}
local Scheduler = {}
Scheduler.__index = Scheduler

local running = coroutine.running
local cannot_yield = yieldable.obstacle

---@param core userdata           a veo.core client
---@param now fun(): number       its clock
---@param options { pause: fun()|nil, log: fun(event: table)|nil, on_job_error: fun(err: veo.Error, job: veo.Job)|nil, observer: table|nil, timeout: number|nil, upkeep: table|nil }  the two functions raise nothing: a observer wrapped them
function M.new(core, now, options)
  return setmetatable({
    core = core,
    now = now,
    pause = options.pause,
    log = options.log,
    on_job_error = options.on_job_error,
    observer = options.observer,
    upkeep = options.upkeep, -- `beat` is called when it is `due`, whatever the jobs wait for
    timers = heaps.new(),
    changing = false,  -- several fields that belong together: an error that comes now leaves work for `mend`
    ready = {},        -- waiters of jobs to resume, from `first` to `last`; false before and behind
    first = 1,
    last = 0,
    places = admission.new(options.timeout or 60),
    drivers = setmetatable({}, { __mode = "k" }), -- set of waiters outside of jobs
    jobs = {},         -- set of jobs not ended
    count = 0,         -- how many
    unseen = 0,        -- drivers that sleep in `pause` although their answer is there
    failed = {},       -- failed jobs nobody has asked about
    current = nil,     -- the job being resumed
    stepping = false,  -- jobs are being resumed
    closed = false,
  }, Scheduler)
end

Scheduler.protect, Scheduler.recover, Scheduler.mend = recovery.protect, recovery.recover, recovery.mend
require("veo.async.cleanup")(Scheduler)
require("veo.async.critical")(Scheduler)
require("veo.async.loop")(Scheduler)

local function busy(message)
  return errors.new { code = "busy", message = message }
end

-- Waking --------------------------------------------------------------------------------------------------------------

---A waiter of a job that is to be resumed in its turn; that it stands there twice does no harm: the job is resumed for
---the first, and has no `why` at the second, or another waiter.
function Scheduler:enqueue(waiter)
  self.ready[self.last + 1] = waiter
  self.last = self.last + 1
end

---Ends a wait.
---@param why "done"|"timeout"|"cancelled"
function Scheduler:wake(waiter, why)
  if waiter.why then return end
  local was = self.changing
  self.changing = true
  waiter.why = why
  if waiter.at then self.timers:remove(waiter) end
  waiter.transfer = nil
  if waiter.job then
    local last = self.last + 1
    self.ready[last] = waiter
    self.last = last
  elseif waiter.pausing then
    self.unseen = self.unseen + 1
  end
  self.changing = was
end

-- Waiting -------------------------------------------------------------------------------------------------------------

---Nil when the caller may wait here, else the error that says why not.
---@return veo.Error|nil
function Scheduler:obstacle()
  local observer = self.observer
  if observer and observer.co and observer:is_observing() then
    return busy("a call from a function that is told of something, as a log function: make it from a job")
  end
  if self.current then
    if running() == self.current.co then
      local why = cannot_yield()
      if why then return busy(why) end
      if self.current.cancelling and not self.current.shielded then jobs.suspend() end -- it ends here
      return nil
    end
    return busy("a call from a coroutine inside a job: make it from the job itself, or spawn another job")
  end
  if self.stepping then
    return busy("a call from inside step, as from a log function: make it from a job")
  end
  local why = self.pause and yieldable.foreign_obstacle() -- pause is there to yield
  return why and busy(why) or nil
end

---Whether the caller is alone: no job to serve, no foreign loop to leave room to.
---@return boolean
function Scheduler:is_idle()
  return self.count == 0 and not self.pause and not self.stepping
end

---Whether anybody waits, for whatever.
---@return boolean
function Scheduler:is_waiting()
  return self.count > 0 or next(self.drivers) ~= nil
end

---Has a waiter woken by the end of a transfer, and by no other one's.
---@return boolean attached  not, when it has ended and was taken
function Scheduler:attach(transfer, waiter)
  waiter.transfer = transfer
  if transfer:tag(waiter) then return true end
  waiter.transfer = nil
  return false
end

---What is to be woken for the caller: the job, or a new table outside of jobs.
function Scheduler:waiter()
  local waiter = self.current or {}
  waiter.why, waiter.transfer = nil, nil
  return waiter
end

---Waits for a transfer, a time, or until `waiter` is woken. To be called only without an `obstacle`.
---@param transfer userdata|nil
---@param due number|nil       on the clock of `now`
---@param waiter table|nil     made beforehand, for something else to wake
---@return "done"|"timeout"|"cancelled"|"closed"|"stuck" why
function Scheduler:await(transfer, due, waiter)
  local job = self.current
  waiter = waiter or self:waiter()
  waiter.job = job
  if transfer and not self:attach(transfer, waiter) then return "done" end -- it ended while nobody waited for it
  waiter.due = due
  if job then
    if job.waiter.at then self.timers:remove(job.waiter) end -- an error ended its last wait before it began
    job.waiter = waiter
  end
  if due then self.timers:add(waiter) end
  if not job then return self:drive(waiter) end
  return jobs.suspend()
end

---@param due number
function Scheduler:sleep_until(due)
  return self:await(nil, due)
end

-- Jobs ----------------------------------------------------------------------------------------------------------------

---A job that runs `fn(...)` from the next step on.
---@return veo.Job
function Scheduler:spawn(fn, ...)
  local job = jobs.new(self, fn, ...)
  self.changing = true
  self.jobs[job] = true
  self.count = self.count + 1
  self:enqueue(job)
  self.changing = false
  if self.alarm ~= 0 then self:set_alarm() end
  return job
end

---Ends a job's wait early. What may not be cut goes on; a shielded job then waits for it.
function Scheduler:interrupt(job)
  local waiter = job.waiter
  if not waiter or waiter.why then return end
  local transfer = waiter.transfer
  local cut = not transfer or transfer:cancel()
  if cut or not job.shielded then
    self:wake(waiter, "cancelled")
    self:set_alarm()
  end
end

---Makes an exchange: waits for one of the places, starts it, waits for its end.
---@param due number|nil    it ends then at the latest; on the clock of `now`
---@param operation string  and what follows as for the core's `start`
---@param sent table|nil    as for the places' `exchange`
---@return table|nil reply, table|nil failure
function Scheduler:exchange(due, operation, request, options, sent)
  return self.places:exchange(self, due, operation, request, options, sent)
end

---Starts what needs no place, as the core does; nil and a failure too when a function of the user's closed the client.
---@return userdata|nil transfer, table|nil failure
function Scheduler:start(operation, request, options)
  if self.closed then return nil, { reason = "closed", sent = "no", message = "the client was closed" } end
  return self.core:start(operation, request, options)
end

-- Ending --------------------------------------------------------------------------------------------------------------

---Ends every job. A billable exchange under way first gets its last word from the closed core: it is uncertain.
function Scheduler:close()
  if self.closed then return end
  self.closed = true
  self.core:close()
  local left = {}
  for job in pairs(self.jobs) do left[#left + 1] = job end
  for _, job in ipairs(left) do
    if job.waiter and job.waiter.transfer then self:wake(job.waiter, "done") end
  end
  self.places:close(self)
  for _, job in ipairs(left) do
    if job.shielded then job.cancelling = "closed" else jobs.cancel(job, "closed") end
  end
  if not self.stepping then self:run_ready() end
  for _, job in ipairs(left) do
    job.shielded = false
    jobs.cancel(job, "closed")
  end
  jobs.report(self, huge)
end

return M
