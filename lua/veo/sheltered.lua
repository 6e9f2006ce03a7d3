--- Runs a call that holds something (an order under way, a file, a share of the looks) as a job, even where the caller is
--- none: should a function of the user's raise in it, the job's cleanups let go; should the caller be interrupted, an
--- order is still seen to its end. pcall alone would not do: Lua 5.1 cannot yield across it.

---@param ctx table
---@param fn fun(...): any, any
return function(ctx, fn, ...)
  local scheduler = ctx.scheduler
  if scheduler.current then return fn(...) end
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
