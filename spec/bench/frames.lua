-- frames.lua [TASKS [cold] [waits] [incremental|generational]]: how long step(0) takes in a host that calls it once a
-- frame, while so many tasks are submitted and waited for and downloads of 64 MiB end, or while there are only waits; over
-- TLS and HTTP/2 on loopback (orders take HTTP/1.1) with the system's CA bundle and a test CA. The collector goes in fine
-- steps, or as Lua has it in a program that embeds it, or as the command lua5.4 has it.
local core = require "veo.core"
local native = require "native"
local simulator = require "spec.support.h2"
local veo = require "veo"

local count = tonumber(arg[1]) or 1000
local given = {}
for _, word in ipairs(arg) do given[word] = true end
local warm = not given.cold

-- A collector's step of Lua 5.4 may free 50,000 objects at once, 10 ms; a host that draws frames asks for finer ones.
local collector = given.incremental and "incremental" or given.generational and "generational" or "fine"
if _VERSION >= "Lua 5.4" then
  if collector == "fine" then collectgarbage("incremental", 200, 20, 10) else collectgarbage(collector) end
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local sim = simulator.start { speed = 100, rate = false, credits = 1e6, deterministic = true }
local bundle = os.tmpname()
local out = assert(io.open(bundle, "wb"))
out:write(read("/etc/ssl/certs/ca-certificates.crt"), read(sim.ca_file))
out:close()

local client = veo.new { base_url = sim.url, api_key = sim.api_key, ca_file = bundle,
  rate = { count = 1000000, window = 1, polls = 200 }, wait = { first = 0.5, interval = 0.5, max_interval = 1 } }
if warm then assert(client.loop:warm()) end

-- By the wall and by this thread's CPU: on a shared machine the wall also counts what others did meanwhile, and the
-- process's CPU the threads that write files to the disk.
local wall, cpu = {}, {}
local began = core.now()
local function frame()
  local before, clock = core.now(), native.cpu()
  local pending = client:step(0)
  cpu[#cpu + 1], wall[#wall + 1] = native.cpu() - clock, core.now() - before
  -- What is left of a frame belongs to the host; a millisecond stands for it here.
  repeat until core.now() - before > 0.001
  return pending
end

local done, saved, downloads = 0, {}, given.waits and 0 or 4
for i = 1, count do
  local task = given.waits and sim:add { render = 100 }.taskId -- a second
  client:spawn(function()
    assert(client:wait(task or assert(client:extend { taskId = sim.source, prompt = "shot " .. i })))
    done = done + 1
  end)
end
for i = 1, downloads do
  client:spawn(function()
    client:sleep(1 + i)
    local path = os.tmpname()
    os.remove(path)
    assert(client:download(sim.media_url .. "/media/blob/67108864/" .. i .. ".mp4", path))
    saved[#saved + 1] = path -- removing 64 MiB takes 20 ms, which is not ours
  end)
end
while frame() > 0 do end
client:close()
sim:stop()
os.remove(bundle)
for _, path in ipairs(saved) do os.remove(path) end
assert(done == count and #saved == downloads, "done " .. done .. ", saved " .. #saved)

local function distribution(steps)
  table.sort(steps)
  local function at(share) return steps[math.max(1, math.ceil(#steps * share))] * 1000 end
  return ("median %.3f, 99 %% %.3f, 99.9 %% %.3f, worst %.3f"):format(at(0.5), at(0.99), at(0.999), at(1))
end

print(("%d %s and %d downloads of 64 MiB over TLS, %s, %s collector: %d steps in %.1f s; milliseconds of a step(0)")
  :format(count, given.waits and "waits" or "tasks", downloads, warm and "warm" or "cold", collector, #wall,
    core.now() - began))
print("  wall  " .. distribution(wall))
print("  CPU   " .. distribution(cpu))
