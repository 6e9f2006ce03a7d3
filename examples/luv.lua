-- Inside libuv (luv, or Neovim's vim.loop): the work is a job, and a poll handle on the client's one descriptor steps it
-- whenever something is to be done. No timer is needed: the descriptor also becomes readable when a wait is over. Where
-- there is no such descriptor (macOS, BSD), a timer steps.
--
--   KIE_API_KEY=… lua5.4 examples/luv.lua out.mp4 TASK_ID "the boat turns"
--   VEO_SIMULATE=1 lua5.4 examples/luv.lua out.mp4      the same against the simulator on loopback
--
-- Debian: lua-luv.

local uv = require "luv"
local veo = require "veo"

local path, task_id, prompt = arg[1] or "out.mp4", arg[2], arg[3] or "The boat turns towards the harbour"

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 } -- a render of five minutes takes three seconds
  task_id = task_id or simulator.source
end
if not task_id then error("usage: luv.lua OUT.mp4 TASK_ID [PROMPT]", 0) end

local client = veo.new(options)
local params = { taskId = task_id, prompt = prompt, model = "fast" }
local job = client:spawn(client.extend_and_save, client, params, path, { overwrite = true })

-- Something else that wants to run all the time.
local ticks, ticker = 0, uv.new_timer()
ticker:start(100, 100, function() ticks = ticks + 1 end)

-- luv ends the whole program when a callback raises: step hands the errors of jobs to whoever asks for their result.
local fd = client.loop:pollfd()
local watcher = fd and uv.new_poll(fd) or uv.new_timer()
local function step()
  if client:step(0) > 0 then return end
  watcher:close()
  ticker:close()
end
if fd then watcher:start("r", step) else watcher:start(0, 20, step) end
uv.run()

local file = assert(job:result())
print(("saved:   %s, %d bytes"):format(file.path, file.bytes))
print("ticks:   " .. ticks)

client:close() -- after the poll handle: libuv must not watch a closed descriptor
if simulator then simulator:stop() end
