-- Inside cqueues: plain calls from several coroutines share one client, and none blocks another. cqueues can poll
-- `client.loop`; `pause` does so wherever a call would sleep.
--
--   KIE_API_KEY=… lua5.4 examples/cqueues.lua out.mp4 TASK_ID       saves out-1.mp4, out-2.mp4, out-3.mp4
--   VEO_SIMULATE=1 lua5.4 examples/cqueues.lua out.mp4              the same against the simulator on loopback
--
-- Debian: lua-cqueues.

local cqueues = require "cqueues"
local veo = require "veo"

local path, task_id = arg[1] or "out.mp4", arg[2]
local prompts = { "The boat turns towards the harbour", "The sun goes down", "A gull lands on the mast" }

local options, simulator = {}, nil
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
  task_id = task_id or simulator.source
end
if not task_id then error("usage: cqueues.lua OUT.mp4 TASK_ID", 0) end

options.pause = function(client) cqueues.poll(client.loop) end
local client = veo.new(options)

local loop = cqueues.new()
local left, ticks = #prompts, 0

for i, prompt in ipairs(prompts) do
  loop:wrap(function()
    local params = { taskId = task_id, prompt = prompt, model = "fast" }
    local target = path:gsub("%.mp4$", "") .. "-" .. i .. ".mp4"
    local file = assert(client:extend_and_save(params, target, { overwrite = true }))
    print(("saved:   %s, %d bytes"):format(file.path, file.bytes))
    left = left - 1
  end)
end

-- Something else that wants to run all the time.
loop:wrap(function()
  while left > 0 do
    cqueues.sleep(0.1)
    ticks = ticks + 1
  end
end)

assert(loop:loop())
print("ticks:   " .. ticks)

-- A loop that goes on must forget the descriptor, where there is one, before it is closed:
-- cqueues.cancel(client.loop:pollfd()).
client:close()
if simulator then simulator:stop() end
