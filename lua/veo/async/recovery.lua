--- What an error leaves that comes from anywhere: Ctrl-C raises at whatever instruction is next, a `pause` may raise, and
--- so may an allocation. A client has to go on working after it, and to see to the orders that are under way.

local ipairs, pairs, pcall = ipairs, pairs, pcall

local jobs = require "veo.async.job"
local yieldable = require "veo.async.yieldable"

local M = {}

local running = coroutine.running
local CROSSES = yieldable.CROSSES_PCALL

---Calls `fn(...)` as pcall does, for a caller that holds something which an error must not keep. In a job, whose end
---calls what `on_drop` was given, it is a plain call, and so in a coroutine that pcall would keep from yielding.
---@return boolean ok, any ...
function M.protect(scheduler, fn, ...)
  if scheduler.current or not CROSSES and running() then return true, fn(...) end
  return pcall(fn, ...)
end

---A change that was interrupted half way is made good: no wait of a job is lost by it, no place and no count.
function M.mend(scheduler)
  local timers = scheduler.timers
  timers:mend()
  local count = 0
  for job in pairs(scheduler.jobs) do
    local waiter = job.waiter
    count = count + 1
    if waiter and waiter.why then
      scheduler:enqueue(waiter)
    elseif waiter and waiter.due and not timers:has(waiter) then
      timers:add(waiter)
    end
  end
  scheduler.count = count
  scheduler.places:mend(scheduler)
  scheduler.changing = false
end

---After an error within a turn: ends that were under way are made good, and jobs whose wait is over are still to have
---their turn.
function M.recover(scheduler)
  scheduler.stepping, scheduler.current = false, nil
  M.mend(scheduler)
  local count, left = 0, {}
  for job in pairs(scheduler.jobs) do left[#left + 1] = job end -- a job that failed may leave another one
  for _, job in ipairs(left) do
    if not jobs.finished(job) then
      local waiter = job.waiter
      if waiter.transfer and not waiter.transfer:tag(waiter) then scheduler:wake(waiter, "done") end
    end
  end
  for _ in pairs(scheduler.jobs) do count = count + 1 end
  scheduler.count = count
  scheduler.alarm = false -- whatever the core was told
  scheduler:set_alarm()
end

return M
