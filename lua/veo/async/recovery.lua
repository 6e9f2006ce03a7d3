--- What an error leaves that comes from anywhere: Ctrl-C raises at whatever instruction is next, a `pause` may raise,
--- and so may an allocation. A client has to go on working after it, and to read the answers to its orders. Methods of
--- the scheduler.
---
--- All repair is here. Elsewhere an error in between does no harm; where that depends on the order of assignments, the
--- function says so.

local ipairs, pairs = ipairs, pairs

local jobs = require "veo.async.job"

local M = {}

local function sleep_on(timers, waiter)
  if waiter and waiter.due and not waiter.why and not timers:has(waiter) then timers:add(waiter) end
end

local function sleep_on_all(self)
  for job in pairs(self.jobs) do sleep_on(self.timers, job.waiter) end
  for waiter in pairs(self.drivers) do sleep_on(self.timers, waiter) end
end

---A change of the timers that was interrupted half way is made good: no wait is lost by it.
function M:mend_timers()
  if self.timers:mend() then sleep_on_all(self) end
end

-- A wait that may have ended without its waiter being told.
local function go_on(self, waiter)
  if waiter.why then
    self:enqueue(waiter)
  elseif waiter.transfer and not waiter.transfer:tag(waiter) then
    self:wake(waiter, "done")
  elseif waiter.call and not waiter.transfer and not waiter.operation and not self.timers:has(waiter) then
    self:wake(waiter, "done") -- nothing was begun for it
  end
end

---After an error outside of the jobs: ends that were under way are made good, and jobs whose wait is over are still to
---have their turn.
function M:recover()
  self.torn = true -- should an error come in here too, the next turn begins with this
  self:leave_turn()
  self.timers:mend()
  sleep_on_all(self)
  self.admission:mend(self)
  local left = {}
  for job in pairs(self.jobs) do left[#left + 1] = job end -- a job that failed may leave another one behind
  for _, job in ipairs(left) do
    if not jobs.finished(job) then go_on(self, job.waiter) end
  end
  for waiter in pairs(self.drivers) do go_on(self, waiter) end
  for waiter in pairs(self.calls) do go_on(self, waiter) end
  self:set_alarm()
  self.torn = false
end

return M
