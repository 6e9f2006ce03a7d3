-- A darktable script (4.2, Lua 5.4): extends a video in a background job of darktable's own, with its progress bar; what
-- you do in the lighttable meanwhile goes on.
--
--   KIE_API_KEY=… VEO_TASK=TASK_ID darktable --luacmd 'dofile("examples/darktable/veo.lua")'
--   VEO_SIMULATE=1 darktable --luacmd 'dofile("examples/darktable/veo.lua")'   the same against the simulator on loopback
--
-- VEO_OUT says where the result is saved, VEO_PROMPT what is to happen. Install lua-veo for Lua 5.4 (make install).

local darktable = require "darktable"
local veo = require "veo"

local path = os.getenv "VEO_OUT" or "extended.mp4"
local task_id = os.getenv "VEO_TASK"
local prompt = os.getenv "VEO_PROMPT" or "The boat turns towards the harbour"

local simulator, options = nil, {}
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
  task_id = task_id or simulator.source
end
if not task_id then error("VEO_TASK: the taskId of the video to extend", 0) end

-- darktable.control.sleep lets the rest of darktable run while a call waits.
function options.pause(client)
  local seconds = math.min(client.loop:timeout() or 0.03, 0.03)
  darktable.control.sleep(math.max(1, math.floor(seconds * 1000)))
end
local client = veo.new(options)

darktable.control.dispatch(function()
  local params = { taskId = task_id, prompt = prompt, model = "fast" }
  local file, err = client:extend_and_save(params, path, { overwrite = true })
  darktable.print_log(file and ("veo: saved %s, %d bytes"):format(file.path, file.bytes) or "veo: " .. err:explain())
  darktable.print(file and "saved " .. file.path or err.message)
  client:close()
  if simulator then simulator:stop() end
end)
