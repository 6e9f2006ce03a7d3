--- A wait, from its beginning to the moment at which its job goes on. Methods of the scheduler.
---
--- Whoever waits is a *waiter*: of a job (a coroutine of ours, resumed by `step`) or of a *driver* (a plain call
--- outside of jobs, which steps the client itself until its answer is there). A waiter waits for a transfer, a time, or
--- until somebody wakes it; `waiter.why` says that it need not wait any more. A job is its own waiter, unless it has
--- another one for somebody else to know: ten thousand tables less. A waiter may have a `call`, which is called in its turn
--- and has no coroutine: of a job, it says whether the job is to go on, which many looks of a wait have it not; or it is
--- nobody's.

local jobs = require "veo.async.job"
local lines = require "veo.util.line"
local yieldable = require "veo.async.yieldable"

local max = math.max
local push = lines.push

local M = {}

---@class veo.Waiter
---@field job veo.Job|nil         nil: a driver's; written here, as the next three
---@field transfer userdata|false|nil  the exchange whose end wakes it. False and nil are the same, here and in `why`: a
---                               field that holds false is read and written for a third of what an absent one costs
---@field due number|nil          the time that wakes it
---@field why string|false|nil    what ended the wait
---@field at integer|nil          its place among the timers; util.heap writes it
---@field call nil|fun(waiter: veo.Waiter): any  what is called once its wait is over; who made it
---@field admitted number|nil     when room for its exchange became free; async.admission
---@field operation string|nil    what is to be started for it, while it is queued; async.admission, and the next three
---@field limit number|nil        until when
---@field request any
---@field settings table|nil      the options of the exchange
---@field started userdata|nil    the exchange that was started for it; async.admission
---@field failure table|nil       why none could be; async.admission
---@field tries integer|nil       how often a look was begun again; task.query
---@field pausing boolean|nil     it sleeps in `pause`; async.loop
---@field for_job veo.Job|nil     the job that a plain call runs as; async.loop

local running, status, start, yield = coroutine.running, coroutine.status, coroutine.resume, coroutine.yield
local TRIAL = yieldable.TRIAL
-- What a job of ours yields, and before its waiter's function was called; any other yield is somebody else's.
local YIELD, FOLLOW = {}, {}
local DONE = jobs.DONE
-- Why a job goes on that has not begun.
local SPAWNED = "spawned"
-- New jobs get this of a step that may not sleep, whatever those take that go on (seconds).
local FOR_FRESH = 0.00025

-- Waking --------------------------------------------------------------------------------------------------------------

---Has the waiter's job resumed in its turn. That it stands there twice does no harm: the job is resumed for the first,
---and has no `why` at the second, or another waiter.
---@param waiter veo.Waiter
function M:enqueue(waiter)
  push(self.woken, waiter)
end

---A new job waits for nothing but its turn, behind those that go on: a thousand that are spawned at once hold up no
---answer that has come.
---@param job veo.Job
function M:await_first_turn(job)
  job.job, job.waiter, job.why = job, job, SPAWNED
  push(self.fresh, job)
end

---Whether a job is to be resumed.
---@return boolean
function M:has_ready()
  local woken, fresh = self.woken, self.fresh
  return woken.head <= woken.tail or fresh.head <= fresh.tail
end

---Ends a wait. The order matters, for an error may come in between: without `why` the waiter is passed over in its
---turn, and what is left behind `why` is replaced by its next wait.
---@param waiter veo.Waiter
---@param why "done"|"timeout"|"cancelled"|"closed"
function M:wake(waiter, why)
  if waiter.why then return end
  if waiter.job or waiter.call then
    local woken = self.woken
    local last = woken.tail + 1
    woken[last] = waiter
    woken.tail = last
  elseif waiter.pausing then
    self.unseen[waiter] = true
  end
  waiter.why = why
  if waiter.at then self.timers:remove(waiter) end
  waiter.transfer = false
end

---From here on the waiter's function is called when its wait is over; again, should an error interrupt it. It has no
---coroutine and must not wait. The order matters, for an error may come in between.
---@param waiter veo.Waiter
---@param transfer userdata|nil
function M:expect_call(waiter, transfer)
  if not waiter.job then self.calls[waiter] = true end
  waiter.why, waiter.transfer = false, transfer or false
  if waiter.due then waiter.due = nil end
end

---@param waiter veo.Waiter
---@return boolean
function M:expects_call(waiter)
  return self.calls[waiter] == true
end

---Its function has done all there was to do.
---@param waiter veo.Waiter
function M:called(waiter)
  self.calls[waiter] = nil
end

---A driver that slept in `pause` has come back to what ended its wait.
---@param waiter veo.Waiter
function M:seen(waiter)
  self.unseen[waiter] = nil
end

-- Waiting -------------------------------------------------------------------------------------------------------------

---From here on the waiter waits for this transfer, which was started with it as its tag, and for no other one.
---@param waiter veo.Waiter
---@param transfer userdata|nil
function M:expect(waiter, transfer)
  waiter.why, waiter.transfer = false, transfer or false
end

---Has a waiter woken by the end of a transfer that is under way.
---@return boolean attached  not, when it has ended and was taken
local function attach(transfer, waiter)
  waiter.transfer = transfer
  if transfer:tag(waiter) then return true end
  waiter.transfer = false
  return false
end

---Waits for a transfer, a time, or until `waiter` is woken. To be called only without an `obstacle`.
---@param transfer userdata|nil
---@param due number|nil          on the clock of `now`
---@param waiter veo.Waiter|nil   made beforehand, for something else to wake
---@return "done"|"timeout"|"cancelled"|"closed"|"stuck" why
function M:await(transfer, due, waiter)
  local job = self.current
  if not waiter then
    waiter = job or {}
    waiter.why, waiter.transfer = false, false
  end
  waiter.job = job
  if transfer and not attach(transfer, waiter) then return "done" end -- it ended while nobody waited for it
  waiter.due = due
  if job then
    if job.waiter.at then self.timers:remove(job.waiter) end -- an error ended its last wait before it began
    job.waiter = waiter
  end
  if due then self.timers:add(waiter) end
  if not job then return self:drive(waiter) end
  return yield(YIELD)
end

---The current job waits with a waiter that has a `call`, which is called at once, and then in its turn until it says
---that the job is to go on. Meanwhile it `sleep`s, or begins a look. It is called outside of the coroutine, whose frames
---are made for it alone (12 of them are 3,000 instructions, measured). Should an error come before it was called,
---`recover` finds that nothing was begun.
---@param waiter veo.Waiter
---@return string|nil why  what ended the wait
function M:follow(waiter)
  local job = self.current
  waiter.job = job
  if job.waiter.at then self.timers:remove(job.waiter) end
  job.waiter = waiter
  return yield(FOLLOW)
end

---Has a waiter's function called at that time.
---@param waiter veo.Waiter
---@param due number
function M:sleep(waiter, due)
  waiter.due = due -- first: should an error come in between, it is called again, or sleeps all the same
  waiter.why, waiter.transfer = false, false
  self.timers:add(waiter)
end

---@param due number
function M:sleep_until(due)
  return self:await(nil, due)
end

---Leaves the current job until its waiter is woken; one that is cancelled ends here.
function M:suspend()
  return yield(YIELD)
end

---Ends a job's wait early. What may not be cut goes on; a job in a critical section then waits for it.
---@param job veo.Job
function M:interrupt(job)
  local waiter = job.waiter
  if not waiter or waiter.why then return end
  local transfer = waiter.transfer
  local cut = not transfer or transfer:cancel()
  if cut or not job.shielded then
    self:wake(waiter, "cancelled")
    self:set_alarm()
  end
end

---A job that has ended waits for nothing.
---@param job veo.Job
function M:forget(job)
  local waiter = job.waiter
  if waiter and waiter.at then self.timers:remove(waiter) end
  job.waiter = nil
end

-- Going on ------------------------------------------------------------------------------------------------------------

local go_on

local function resume(self, job, value)
  if job.state ~= "pending" then return end -- a function of the user's has ended it meanwhile
  self.current, self.stepping = job, true
  if self.strayed then job.away = nil end
  return go_on(self, job, start(job.co, value))
end

-- The same with all that somebody else gives it whom it had yielded to.
local function resume_with(self, job, ...)
  if job.state ~= "pending" then return end
  self.current, self.stepping = job, true
  job.away = nil
  return go_on(self, job, start(job.co, ...))
end

-- The job waits with a function that was not called yet.
local function begin(self, job)
  local waiter = job.waiter
  if waiter:call() then return resume(self, job, waiter.why) end
end

-- What the coroutine yielded or ended with. Yields that are not ours are passed on, with all values, to the coroutine
-- that runs us, where there is one: cqueues says in the second value what it waits for.
function go_on(self, job, ok, first, ...)
  if ok and first == TRIAL then return go_on(self, job, start(job.co)) end
  self.current = nil
  if not ok or first == YIELD or first == FOLLOW or first == DONE then
    if jobs.gave_back(job, ok, first) and first == FOLLOW then return begin(self, job) end
    return
  end
  local here, main = running()
  if not here or main or yieldable.foreign_obstacle() then
    return jobs.gave_back(job, false, "the job yielded outside of this client's calls, but step runs in the main "
      .. "program, or where Lua cannot yield: call step from the coroutine that should take it")
  end
  self.stepping = false -- the host's other coroutines may call and step meanwhile
  self.strayed = true
  job.away = here -- goes on by it, and by nobody else
  return resume_with(self, job, yield(first, ...))
end

-- Whether it is with somebody else.
local function is_away(job)
  return job.away and status(job.away) == "suspended"
end

-- The job of this waiter goes on, if it is there and its wait is over.
local function take_turn(self, job, waiter)
  local why = waiter.why
  if not why or job.waiter ~= waiter or self.strayed and is_away(job) then return end
  if waiter ~= job then
    local call = waiter.call
    if not call or call(waiter) then return resume(self, job, waiter.why) end
  elseif why ~= SPAWNED then
    return resume(self, job, why)
  elseif self.jobs[job] then -- else an error came before it was there
    return resume(self, job, job)
  end
end

-- Resumes those who stand in a queue now, until `stop`; who comes meanwhile has the next turn, so that exchanges go on
-- in between.
local function serve(self, queue, stop)
  local now, last = self.now, queue.tail
  while queue.head <= last do
    local head = queue.head
    local waiter = queue[head]
    queue[head] = false
    queue.head = head + 1
    local job = waiter and waiter.job
    if job then
      take_turn(self, job, waiter)
    elseif waiter and waiter.why and self.calls[waiter] then
      waiter:call()
    end
    if stop and now() >= stop then break end
  end
end

---Resumes the jobs whose wait is over, then new ones, in order; after `stop` one of the first, and a few of the others.
---@param stop number|nil
function M:run_ready(stop)
  self.stepping = true
  serve(self, self.woken, stop)
  serve(self, self.fresh, stop and max(stop, self.now() + FOR_FRESH))
  self.woken, self.fresh = lines.close_up(self.woken), lines.close_up(self.fresh)
  self.stepping = false
end

---An error has left a turn: no job runs.
function M:leave_turn()
  self.current, self.stepping = nil, false
end

return M
