--- When descriptors run out, a file is opened again and again, with backoff, for as long as the call has time. Other
--- calls close theirs meanwhile.

local max = math.max

local retry = require "veo.policy.retry"

local M = {}

-- ENFILE and EMFILE, which are the same numbers on all systems.
local ERRNO = { [23] = true, [24] = true }
-- The least pause (seconds): a `base` of 0 would spin.
local LEAST = 0.02

---@param failure table  of the core, or an error made of one
---@return boolean
function M.is(failure)
  return ERRNO[failure.errno] == true
end

---Calls `fn` until it no longer fails for want of a descriptor.
---@param ctx table
---@param fn fun(): any, table|nil  a value, or nil and a failure or an error
---@return any value
---@return table|nil failure
function M.patiently(ctx, fn)
  local tries, due = 0, ctx.now() + ctx.defaults.free.deadline
  while true do
    local value, failure = fn()
    if value or not failure or not M.is(failure) then return value, failure end
    tries = tries + 1
    local at = ctx.now() + max(retry.delay(ctx.retry, tries, ctx.random), LEAST)
    if at > due then return nil, failure end
    ctx.tally:retried()
    if ctx.log then ctx.log { event = "retry", attempt = tries, delay = at - ctx.now(), message = failure.message } end
    if ctx.scheduler:sleep_until(at) ~= "timeout" then return nil, failure end
  end
end

return M
