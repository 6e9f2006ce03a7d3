-- examples/5_frames.lua at 60 frames a second: a game's or media tool's main loop. The work is a job, and step(0) once a
-- frame lets it go on without ever sleeping. What a frame's step takes at most is printed.
--
--   KIE_API_KEY=… lua5.4 examples/frame_loop.lua out.mp4 TASK_ID "the boat turns"
--   VEO_SIMULATE=1 lua5.4 examples/frame_loop.lua out.mp4      the same against the simulator on loopback
--
-- Debian: lua-socket, for what every host has of its own: a clock and a sleep until the next frame.

local socket = require "socket"
local veo = require "veo"

local path, task_id, prompt = arg[1] or "out.mp4", arg[2], arg[3] or "The boat turns towards the harbour"

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 } -- a render of five minutes takes three seconds
  task_id = task_id or simulator.source
end
if not task_id then error("usage: frame_loop.lua OUT.mp4 TASK_ID [PROMPT]", 0) end

local client = veo.new(options)
client.loop:warm() -- connects now, not in a frame
-- Lua 5.4's collector may free 50,000 objects in one step, which takes 10 ms; in finer steps no frame is late for it.
if _VERSION == "Lua 5.4" then collectgarbage("incremental", 200, 100, 10) end

local params = { taskId = task_id, prompt = prompt, model = "fast" }
local job = client:spawn(client.extend_and_save, client, params, path, { overwrite = true })

local FRAME = 1 / 60
local frames, longest, next_frame = 0, 0, socket.gettime()
while job:status() == "pending" do
  local before = socket.gettime()
  client:step(0)
  longest = math.max(longest, socket.gettime() - before)

  -- … update and draw here …

  frames, next_frame = frames + 1, next_frame + FRAME
  socket.sleep(math.max(0, next_frame - socket.gettime()))
end

local file = assert(job:result())
print(("saved:   %s, %d bytes"):format(file.path, file.bytes))
print(("frames:  %d, longest step(0) %.2f ms"):format(frames, longest * 1000))

client:close()
if simulator then simulator:stop() end
