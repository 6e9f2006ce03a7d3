-- examples/1_one.lua with progress: extends a video, shows how the wait and the download go, saves the result. `make demo`
-- runs it.
--
--   KIE_API_KEY=… lua5.4 examples/extend.lua out.mp4 TASK_ID "the boat turns"
--   VEO_SIMULATE=1 lua5.4 examples/extend.lua out.mp4        the same against the simulator on loopback

local veo = require "veo"

local path, task_id, prompt = arg[1] or "out.mp4", arg[2], arg[3] or "The boat turns towards the harbour"

local simulator, options
if os.getenv "VEO_SIMULATE" then
  -- The whole service on loopback; a render of five minutes takes three seconds.
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
  task_id = task_id or simulator.source
  print("simulator: " .. simulator.url)
end
if not task_id then error("usage: extend.lua OUT.mp4 TASK_ID [PROMPT]", 0) end

local client = veo.new(options)

-- In two calls, because the taskId is shown in between; extend_and_save is both.
local task = assert(client:extend { taskId = task_id, prompt = prompt, model = "fast" })
print("accepted:  task " .. task.taskId)

local file = assert(task:save(path, {
  overwrite = true,
  wait = { on_progress = function(status, info)
    print(("%6.1f s   %s%s"):format(info.elapsed, status.state,
      info.next and (", looking again in %.1f s"):format(info.next) or ""))
  end },
  download = { on_progress = function(bytes, total) print(("%9d of %s bytes"):format(bytes, total or "?")) end },
}))
print("saved:     " .. file.path .. ", " .. file.bytes .. " bytes")

client:close()
if simulator then simulator:stop() end
