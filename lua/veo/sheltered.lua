--- Runs a call that gives the word to functions of the user's (progress, sinks) as a job, even where the caller is none:
--- should one of them raise, the job's cleanups let go of files and transfers. pcall would not do: Lua 5.1 cannot yield
--- across it.

---@param ctx table
---@param fn fun(): any, any
return function(ctx, fn)
  local scheduler = ctx.scheduler
  if scheduler.current then return fn() end
  local job = scheduler:spawn(fn)
  local value, err = job:wait()
  if job:status() == "failed" then
    if err.code == "job_failed" and err.cause ~= nil then err = err.cause end
    error(err, 0)
  end
  return value, err
end
