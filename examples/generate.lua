-- Makes a video from a picture and a prompt, extends it, and saves the whole.
--
--   KIE_API_KEY=… lua5.4 examples/generate.lua out.mp4 picture.png "a boat in the mist" "the boat turns"
--   VEO_SIMULATE=1 lua5.4 examples/generate.lua out.mp4      the same against the simulator on loopback

local veo = require "veo"

local path, picture = arg[1] or "out.mp4", arg[2]
local first, second = arg[3] or "A boat in the mist", arg[4] or "The boat turns towards the harbour"

local options, simulator
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, upload_url = simulator.upload_url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
end

local client = veo.new(options)

local params = { prompt = first, model = "veo3_fast", aspect_ratio = "16:9" }
if picture then
  local file = assert(client:upload(picture, { on_progress = function(bytes, total)
    print(("%9d of %s bytes up"):format(bytes, total or "?"))
  end }))
  params.imageUrls = { file.downloadUrl }
end

local task = assert(client:generate(params))
print("accepted:  task " .. task.taskId)
assert(task:wait()) -- the service extends only what is finished
local longer = assert(task:extend { prompt = second, model = "fast" })
print("extended:  task " .. longer.taskId)

local file = assert(longer:save(path, { overwrite = true, download = { on_progress = function(bytes, total, info)
  print(("%9d of %s bytes, %.0f KiB/s"):format(bytes, total or "?", (info.rate or 0) / 1024))
end } }))
print("saved:     " .. file.path .. ", " .. file.bytes .. " bytes")

client:close()
if simulator then simulator:stop() end
