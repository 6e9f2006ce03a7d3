--- What a host needs to run a client: jobs, steps, and the descriptor its own loop watches.

local type = type

local callable = require "veo.util.callable"
local ended = require "veo.async.ended"
local errors = require "veo.errors"

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, begin = tools.context, tools.misuse, tools.begin

  ---Sleeps without holding other jobs up.
  ---@param seconds number
  ---@return true|nil, veo.Error|nil
  function Client:sleep(seconds)
    local ctx = context(self, "sleep")
    local fine = type(seconds) == "number" and seconds >= 0 -- which NaN is not
    local ready, busy = begin(ctx, "sleep", fine, "seconds: a number from 0 up expected")
    if not ready then return nil, busy end
    local why = ctx.scheduler:sleep_until(ctx.now() + seconds)
    if why == "timeout" then return true end
    return nil, errors.new { code = ended.code(why), message = "the sleep was " .. why }
  end

  ---Runs `fn(...)` as a job: its calls of this client yield, and go on in step or run. A call that would have to wait where
  ---Lua cannot yield, as inside gsub or sort, is `busy`. What `fn` raises is the job's error: `job:result()`, or the option
  ---`on_job_error`; where an order of the job's may be paid, it has the taskId or the ref of it.
  ---@return veo.Job
  function Client:spawn(fn, ...)
    local ctx = context(self, "spawn")
    if not callable(fn) then misuse("spawn", "a function expected, got " .. type(fn)) end
    return ctx.scheduler:spawn(fn, ...)
  end

  ---Lets exchanges and jobs go on. With 0 it never sleeps: call it once a frame.
  ---@param ms number|nil  milliseconds to sleep at most, 0 unless given
  ---@return integer|nil pending  jobs that have not ended
  ---@return veo.Error|nil err
  function Client:step(ms)
    local ctx = context(self, "step")
    if ms ~= nil and (type(ms) ~= "number" or ms ~= ms or ms < 0) then
      misuse("step", "milliseconds from 0 up expected")
    end
    return ctx.scheduler:step(ms)
  end

  ---Steps until every job has ended.
  ---@return true|nil, veo.Error|nil
  function Client:run()
    return context(self, "run").scheduler:run()
  end
end
