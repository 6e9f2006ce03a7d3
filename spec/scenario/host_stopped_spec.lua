-- A process that is stopped (Ctrl-Z, a debugger, a suspended laptop) at each phase of an order: what the order's caller
-- gets, what the server charged, and whether the client works behind it.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local socket = require "socket"

-- A 30th of the default, and so are the seconds that the process is stopped: 1, 10, 70 and 150. How late an end is
-- judged that came meanwhile (0.25 s and more) is not scaled, so all are that much longer.
local TIMEOUT = 2
local AWAY = { 1, 10, 70, 150 }

-- How many requests of a kind the server has seen.
local function seen(sim, method, path)
  local count = 0
  for _, request in ipairs(sim:requests { method = method }) do
    if request.path:find(path) then count = count + 1 end
  end
  return count
end

-- What the server does, and when the phase is reached; without it the process stops itself.
local phases = {
  ["it was connecting"] = { script = function() return {} end },
  ["its order was sent, and answered meanwhile"] = { method = "POST", path = "extend",
    script = function() return { { on = "extend", delay = 0.05, times = 1 } } end },
  ["its order was sent, and answered afterwards"] = { method = "POST", path = "extend",
    script = function(away) return { { on = "extend", delay = away + 0.1, times = 1 } } end },
  ["it asked for the task"] = { method = "GET", path = "record%-info",
    script = function() return { { on = "status", delay = 0.05, times = 1 } } end },
  ["it was downloading"] = { method = "GET", path = "%.mp4$",
    script = function() return { { on = "media", drip = 300000, times = 1 } } end },
}

local CHILD = [[
local simulated = { url = %q, api_key = %q, source = %q, folder = %q }
local client = require "veo".new { base_url = simulated.url, api_key = simulated.api_key, timeout = %g,
  ledger = simulated.folder .. "/renders.db", download = { stall = 3 },
  wait = { first = 0.01, interval = 0.02, max_interval = 0.05 } }
local job = client:spawn(function()
  local task = assert(client:extend { taskId = simulated.source, prompt = "on" })
  local status = assert(client:wait(task))
  return assert(client:download(status, simulated.folder .. "/video.mp4")).path
end)
if %s then
  client:step(0)
  os.execute "kill -STOP $PPID"
end
client:run()
local path, err = job:result()
if not path then print(err) os.exit(1) end
assert(client:extend { taskId = simulated.source, prompt = "again" })
local states = {}
for i, row in ipairs(client:tasks()) do states[i] = row.state end
table.sort(states)
print(table.concat(states, " "))
]]

describe("a process that is stopped", function()
  local function start(phase, away)
    local one = { folder = helper.folder() }
    one.sim = simulator.start { speed = 1000, render = 100, rate = false, script = phase.script(away) }
    helper.write(one.folder .. "/run.lua",
      CHILD:format(one.sim.url, one.sim.api_key, one.sim.source, one.folder, TIMEOUT, tostring(not phase.method)))
    one.pipe = io.popen(("echo $$; exec %s %s/run.lua 2>&1"):format(helper.lua(), one.folder))
    one.pid = one.pipe:read "*l"
    return one
  end

  -- Or has ended before the signal came: on a busy machine the server may tell late.
  local function is_stopped(one)
    local stat = helper.read("/proc/" .. one.pid .. "/stat")
    return stat == nil or stat:match("%) [TZ] ") ~= nil
  end

  for _, seconds in ipairs(AWAY) do
    local away = seconds / 30 + 0.25
    it(("for %d s of its time-outs of 60 s gets all of its order, whatever its phase"):format(seconds), function()
      local all = {}
      finally(function()
        for _, one in pairs(all) do one.sim:stop() end
        helper.sweep()
      end)
      for name, phase in pairs(phases) do
        local one = start(phase, away)
        all[name] = one
        if phase.method then
          while seen(one.sim, phase.method, phase.path) == 0 do socket.sleep(0.005) end
          os.execute("kill -STOP " .. one.pid)
        end
        while not is_stopped(one) do socket.sleep(0.005) end
        one.till = helper.now() + away
      end
      for _, one in pairs(all) do
        socket.sleep(math.max(one.till - helper.now(), 0))
        os.execute("kill -CONT " .. one.pid)
      end
      for name, one in pairs(all) do
        assert.equal("accepted saved", one.pipe:read "*l", name)
        one.pipe:close()
        assert.equal(2, #select(2, one.sim:charges()), name)
        assert.equal(2, seen(one.sim, "POST", "extend"), name)
        assert.equal("ftyp", helper.read(one.folder .. "/video.mp4"):sub(5, 8), name)
      end
    end)
  end
end)
