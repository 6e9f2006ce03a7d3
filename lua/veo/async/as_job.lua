--- Runs a call that holds something (an order under way, a file, a share of the looks) so that it lets go whatever happens.
--- Where the caller is no job it runs as one: should a function of the user's raise in it, the job's cleanups let go;
--- should the caller be interrupted, an order is still seen to its end. In a job an error first lets go of what the call
--- holds: the caller may catch it and go on. Lua 5.1 cannot yield across pcall, so that there nobody can catch it.

local error, pcall = error, pcall
-- Without it an error has no trace of where it came from.
local xpcall = xpcall or function(fn, _, ...) return pcall(fn, ...) end

local jobs = require "veo.async.job"
local tracebacks = require "veo.async.traceback"
local yieldable = require "veo.async.yieldable"

local CROSSES = yieldable.CROSSES_PCALL

local function leave(job, held, shielded, ok, value, err)
  if ok then return value, err end
  job.shielded = shielded
  jobs.let_go(job, held, value)
  error(value, 0)
end

---@param ctx table
---@param fn fun(...): any, any
return function(ctx, fn, ...)
  local scheduler = ctx.scheduler
  local current = scheduler.current
  if current and not CROSSES then return fn(...) end
  if current then return leave(current, current.cleanups, current.shielded, xpcall(fn, tracebacks.remember, ...)) end
  local job = scheduler:spawn(fn, ...)
  job.driven = not scheduler.pause -- the caller does nothing but wait: no frame can be late
  local ok, value, err = scheduler:protect(job.wait, job)
  if not ok then scheduler:recover() end
  if not ok or job:status() == "pending" then job:cancel() end
  if not ok then error(value, 0) end
  if job:status() == "failed" then
    if err.code == "job_failed" and err.cause ~= nil then err = err.cause end
    error(err, 0)
  end
  return value, err
end
