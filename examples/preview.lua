-- A contact sheet of a video by ffmpeg, after the library has saved it.
--
--   KIE_API_KEY=… lua5.4 examples/preview.lua boat.mp4 TASK_ID
--   VEO_SIMULATE=1 lua5.4 examples/preview.lua boat.mp4          the same against the simulator on loopback

local veo = require "veo"

local path, task_id = arg[1], arg[2]

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  task_id = task_id or simulator.source
end

if not path or not task_id then error("usage: preview.lua OUT.mp4 TASK_ID", 0) end

local client = veo.new(options)
local file = assert(client:task(task_id):save(path, { overwrite = true }))
client:close()
if simulator then simulator:stop() end

-- os.execute blocks its program: a frame loop starts ffmpeg by its host's own means. A shell reads the command, so the
-- name is quoted; ffmpeg needs no key.
local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
local picture = file.path .. ".png"
local done = os.execute("env -u KIE_API_KEY ffmpeg -nostdin -v error -y -protocol_whitelist file -i "
  .. quoted("file:" .. file.path) .. " -vf fps=1,scale=320:-2,tile=4x3 -frames:v 1 " .. quoted("file:" .. picture))
if done ~= true and done ~= 0 then error("ffmpeg made no picture", 0) end
print(picture)
