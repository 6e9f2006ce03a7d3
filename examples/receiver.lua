-- One program submits, receives the callback, and saves: client and receiver share one cqueues loop. Polling goes on
-- slowly beside it, for the callback that never comes.
--
--   KIE_API_KEY=… KIE_WEBHOOK_KEY=… lua5.4 examples/receiver.lua out.mp4 TASK_ID https://example.com/veo/callback
--                                            (a web server forwards that address to port 8080 of this machine)
--   VEO_SIMULATE=1 lua5.4 examples/receiver.lua out.mp4      the same against the simulator on loopback
--
-- Debian: lua-cqueues lua-luaossl.

local veo = require "veo"

local path, task_id, public_url = arg[1] or "out.mp4", arg[2], arg[3]

local options, simulator = {}, nil
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100, webhook_key = "whsec-example" }
  options = { base_url = simulator.url, api_key = simulator.api_key, webhook_key = "whsec-example" }
  task_id = task_id or simulator.source
end
if not task_id then error("usage: receiver.lua OUT.mp4 TASK_ID PUBLIC_URL", 0) end

-- A look a minute is enough where callbacks come.
options.wait = { first = 60, interval = 60, max_interval = 120 }
local client = veo.new(options)
local receiver = assert(veo.receiver.new { client = client, port = simulator and 0 or 8080, url = public_url,
  on_status = function(status) print("callback:  task " .. status.taskId .. " " .. status.state) end })
print("listening: " .. receiver.url)

local job = client:spawn(function()
  local task = assert(client:extend { taskId = task_id, prompt = "The boat turns", callBackUrl = receiver.url })
  print("accepted:  task " .. task.taskId)
  local file = assert(task:save(path, { overwrite = true }))
  print("saved:     " .. file.path .. ", " .. file.bytes .. " bytes")
  return file
end)

assert(receiver:run())
assert(job:result())
receiver:close()
client:close()
if simulator then simulator:stop() end
