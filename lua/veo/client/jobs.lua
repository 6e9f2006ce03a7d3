--- What a host needs to run a client: jobs, steps, and the descriptor its own loop watches.

local type = type

local callable = require "veo.util.callable"
local ended = require "veo.async.ended"
local errors = require "veo.errors"

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, begin = tools.context, tools.misuse, tools.begin

  function Client:sleep(seconds)
    local ctx = context(self, "sleep")
    local fine = type(seconds) == "number" and seconds >= 0 -- which NaN is not
    local ready, busy = begin(ctx, "sleep", fine, "seconds: a number from 0 up expected")
    if not ready then return nil, busy end
    local why = ctx.scheduler:sleep_until(ctx.now() + seconds)
    if why == "timeout" then return true end
    return nil, errors.new { code = ended.code(why), message = "the sleep was " .. why }
  end

  function Client:spawn(fn, ...)
    local ctx = context(self, "spawn")
    if not callable(fn) then misuse("spawn", "a function expected, got " .. type(fn)) end
    return ctx.scheduler:spawn(fn, ...)
  end

  function Client:step(ms)
    local ctx = context(self, "step")
    if ms ~= nil and (type(ms) ~= "number" or ms ~= ms or ms < 0) then
      misuse("step", "milliseconds from 0 up expected")
    end
    return ctx.scheduler:step(ms)
  end

  function Client:run()
    return context(self, "run").scheduler:run()
  end
end
