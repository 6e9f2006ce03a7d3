-- A LÖVE scene at 60 frames a second that measures what step(0) takes of each frame while 24 tasks extend over TLS with
-- Debian's whole CA bundle, wait, and save 64 MiB twice. Run by spec/hosts/hosts.lua and by hand:
--
--   love spec/hosts/frames FOLDER            one line for each phase, and "worst" lines for the slowest frames
--
-- The processor's time is measured beside the clock's: on a busy machine a frame may be late without anybody's fault.

-- Instead of LÖVE's blue screen, which would wait for somebody.
function love.errorhandler(message)
  print(debug.traceback(message, 2))
  return function() return 1 end
end

local core = require "veo.core"
local ffi = require "ffi"
local veo = require "veo"

ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } veo_spec_time;
  int clock_gettime(int clock, veo_spec_time *time);
]]
local THREAD_CPU = 3 -- Linux's CLOCK_THREAD_CPUTIME_ID
local stamp = ffi.new "veo_spec_time"
local function cpu()
  ffi.C.clock_gettime(THREAD_CPU, stamp)
  return tonumber(stamp.seconds) + tonumber(stamp.nanoseconds) / 1e9
end

local RATE, TASKS, FILES, BYTES = 1 / 60, 24, 2, 64 * 1024 * 1024
local folder, simulator, client
local jobs, phase, phase_began = {}, "alone", 0
local events = {} -- of this frame
local samples = { alone = {}, tasks = {}, downloads = {} }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function love.load(args)
  folder = args[1]
  simulator = veo.simulator.start { tls = true, speed = 100, rate = false, render_spread = 0.3 }
  -- What a user has: the system's bundle, with the simulator's CA at its end.
  local bundle = folder .. "/bundle.pem"
  local file = assert(io.open(bundle, "wb"))
  file:write(read "/etc/ssl/certs/ca-certificates.crt", "\n", read(simulator.ca_file))
  file:close()
  client = veo.new {
    base_url = simulator.url, api_key = simulator.api_key, ca_file = bundle, rate = { count = 1000 },
    wait = { first = 0.2, interval = 0.3, max_interval = 0.5 },
    log = function(event) events[#events + 1] = event.event .. " " .. (event.operation or event.state or "") end,
  }
  local began = core.now()
  assert(client.loop:warm())
  print(("warm      %.2f ms"):format((core.now() - began) * 1000))
  phase_began = core.now()
end

local function task(i)
  local params = { taskId = simulator.source, prompt = "take " .. i, model = "fast" }
  assert(assert(client:extend(params)):save(folder .. "/take-" .. i .. ".mp4"))
end

local function big(i)
  local url = ("%s/media/blob/%d/%d.mp4"):format(simulator.media_url, BYTES, i)
  assert(client:download(url, folder .. "/big-" .. i .. ".mp4"))
end

local function is_over()
  for _, job in ipairs(jobs) do
    if job:status() == "pending" then return false end
  end
  for _, job in ipairs(jobs) do
    local _, err = job:result()
    if err then error(err) end
  end
  return true
end

local function next_phase(now)
  if phase == "alone" and now - phase_began > 2 then
    phase = "tasks"
    for i = 1, TASKS do jobs[i] = client:spawn(task, i) end
  elseif phase == "tasks" and is_over() then
    phase, jobs = "downloads", {}
    for i = 1, FILES do jobs[i] = client:spawn(big, i) end
  elseif phase == "downloads" and is_over() then
    love.event.quit()
  end
end

local next_frame, last

function love.update()
  local now = core.now()
  local frames = samples[phase]
  if #frames > 0 then frames[#frames].work = now - last end -- without the sleep
  next_frame = math.max((next_frame or now) + RATE, now)
  love.timer.sleep(next_frame - now)

  local cpu_before, before = cpu(), core.now()
  client:step(0)
  local after, cpu_after = core.now(), cpu()
  local list = samples[phase]
  list[#list + 1] = { frame = before - (last or before), work = 0, step = after - before, cpu = cpu_after - cpu_before,
    events = table.concat(events, ", ") }
  events = {}
  last = before
  next_phase(after)
end

function love.draw()
  love.graphics.print(phase .. " " .. #samples[phase], 20, 20)
end

local function line(name, field)
  local sorted = {}
  for i, sample in ipairs(samples[name]) do sorted[i] = sample[field] * 1000 end
  table.sort(sorted)
  local function at(share) return sorted[math.max(1, math.ceil(#sorted * share))] or 0 end
  print(("%-10s%-6s %5d frames: median %.3f  99 %% %.3f  99.9 %% %.3f  longest %.3f ms"):format(name, field, #sorted,
    at(0.5), at(0.99), at(0.999), at(1)))
end

local function worst(name)
  local list = samples[name]
  table.sort(list, function(a, b) return a.cpu > b.cpu end)
  for i = 1, math.min(3, #list) do
    print(("worst     %s %.3f ms: %s"):format(name, list[i].cpu * 1000, list[i].events))
  end
end

function love.quit()
  client:close()
  simulator:stop()
  for _, name in ipairs { "alone", "tasks", "downloads" } do
    for _, field in ipairs { "frame", "work", "step", "cpu" } do line(name, field) end
    if name ~= "alone" then worst(name) end
  end
end
