--- Runs a call that holds something (an order under way, a file, a share of the looks) so that it lets go at any end.
--- Where the caller is no job it runs as one: should a function of the user's raise in it, the job's cleanups let go;
--- should the caller be interrupted, an order that has left is still waited for. In a job an error first lets go of
--- what the call holds: the caller may catch it and go on. Lua 5.1 cannot yield across pcall, so that there nobody can.

local error, pcall = error, pcall
-- Without it an error has no trace of where it came from.
local xpcall = xpcall or function(fn, _, ...) return pcall(fn, ...) end

local jobs = require "veo.async.job"
local tracebacks = require "veo.async.traceback"
local yieldable = require "veo.async.yieldable"

local CROSSES = yieldable.CROSSES_PCALL

local function leave(scheduler, job, held, shielded, ok, value, err)
  if ok then return value, err end
  scheduler:break_shield(job, shielded)
  scheduler:let_go(held, value)
  error(value, 0)
end

---@param ctx veo.Context
---@param fn fun(...): any, any
return function(ctx, fn, ...)
  local scheduler = ctx.scheduler
  local current = scheduler.current
  if current and not CROSSES then return fn(...) end
  if current then
    return leave(scheduler, current, current.cleanups, current.shielded, xpcall(fn, tracebacks.remember, ...))
  end
  local job = scheduler:drive_job(fn, ...)
  if job:status() == "pending" then
    job:cancel()
    return nil, jobs.stuck()
  end
  local value, err = job:result()
  if job:status() == "failed" then
    if err.code == "job_failed" and err.cause ~= nil then err = err.cause end
    error(err, 0)
  end
  return value, err
end
