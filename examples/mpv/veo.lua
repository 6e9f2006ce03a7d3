-- An mpv script: extends a video, shows how far it is on the screen, and plays the result when it is there. What plays
-- meanwhile never stutters: a timer steps the client, and step(0) never sleeps.
--
--   KIE_API_KEY=… mpv --script=examples/mpv/veo.lua --script-opts=veo-task=TASK_ID,veo-prompt="it rains" film.mp4
--   VEO_SIMULATE=1 mpv --script=examples/mpv/veo.lua --idle        the same against the simulator on loopback
--
-- Script options: veo-task, veo-prompt, veo-out (where the result is saved). Key x in mpv starts another extension.
-- Debian's mpv runs Lua 5.2: install lua-veo for it (make install LUA_VERSION=5.2), with lua-cjson.

local mp = require "mp"
local veo = require "veo"

local settings = { task = "", prompt = "The boat turns towards the harbour", out = "extended.mp4" }
require("mp.options").read_options(settings, "veo")

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
  if settings.task == "" then settings.task = simulator.source end
end

local client = veo.new(options)

local function say(text)
  mp.msg.info(text)
  mp.osd_message("veo: " .. text, 4)
end

local function on_progress(status, info)
  say(("%s, %.0f s"):format(status.state, info.elapsed))
end

-- Written as if nothing else ran; every call of the client yields until its answer is there. In two calls, because the
-- taskId is shown in between.
local function extend()
  local task = assert(client:extend { taskId = settings.task, prompt = settings.prompt, model = "fast" })
  say("accepted as " .. task.taskId)
  local file = assert(task:save(settings.out, { overwrite = true, wait = { on_progress = on_progress } }))
  settings.task = task.taskId -- the next one goes on from here
  return file
end

local stepper

local function start()
  if stepper then return say("one is under way") end
  if settings.task == "" then return say("no task to extend: --script-opts=veo-task=TASK_ID") end
  local job = client:spawn(extend)
  stepper = mp.add_periodic_timer(0.03, function()
    if client:step(0) > 0 then return end
    stepper:kill()
    stepper = nil
    local file, err = job:result()
    if not file then return say(err:explain()) end
    say(("saved %s, %d bytes"):format(file.path, file.bytes))
    mp.commandv("loadfile", file.path, "append-play")
  end)
end

mp.add_key_binding("x", "extend", start)
mp.register_event("shutdown", function()
  client:close()
  if simulator then simulator:stop() end
end)
start()
