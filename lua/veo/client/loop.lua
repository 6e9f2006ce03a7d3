--- What an event loop needs of a client: one descriptor to watch, until when, and a step. cqueues.poll(client.loop) works
--- as it is.

local error, getmetatable, setmetatable = error, getmetatable, setmetatable

local errors = require "veo.errors"

---@type veo.Loop
local Loop = {}
Loop.__index = Loop

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, begin = tools.context, tools.begin

  function tools.loop(client)
    return setmetatable({ client = client }, Loop)
  end

  local function loop_context(self, call)
    if getmetatable(self) ~= Loop then error(call .. ": call it with a colon, as client.loop:" .. call .. "(…)", 3) end
    local ctx = context(self.client, call, 4)
    return ctx
  end

  function Loop:pollfd()
    return loop_context(self, "pollfd").core:pollfd()
  end

  function Loop:events()
    return loop_context(self, "events").core:events()
  end

  function Loop:timeout()
    local ctx = loop_context(self, "timeout")
    return ctx.core:timeout(ctx.scheduler:is_waiting())
  end

  function Loop:warm()
    local ctx = loop_context(self, "warm")
    local ready, busy = begin(ctx, "warm", true)
    if not ready then return nil, busy end
    local reply, failure = ctx.scheduler:exchange(nil, "warm")
    if reply then return true end
    return nil, errors.new { code = failure.reason == "network" and "network" or "malformed", operation = "warm",
      curl_code = failure.curl_code, timed_out = failure.timed_out, message = "warm: " .. failure.message }
  end

  function Loop:step(ms)
    loop_context(self, "step")
    return self.client:step(ms)
  end

  function Loop:run()
    loop_context(self, "run")
    return self.client:run()
  end
end
