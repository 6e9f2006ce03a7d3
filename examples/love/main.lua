-- A LÖVE 11 scene at 60 frames a second that extends a video meanwhile: progress, two graphs of where the time of each
-- frame goes, and a screenshot beside the saved video.
--
--   KIE_API_KEY=… love examples/love out.mp4 TASK_ID "the boat turns"
--   VEO_SIMULATE=1 love examples/love out.mp4      the same against the simulator on loopback; quits when it is done
--
-- LÖVE runs LuaJIT: install lua-veo for it (make install LUA_VERSION=jit), with Debian's lua-cjson.

local scene = require "scene"
local veo = require "veo"

local RATE = 1 / 60
local simulating = os.getenv "VEO_SIMULATE"

local client, simulator, job, path
local view = { phase = "extending", began = 0, elapsed = 0, frames = {}, steps = {} }

-- The whole work, written as if nothing else ran. Every call of the client yields until its answer is there. In three
-- calls, because the scene shows which of them it is at; extend_and_save is all of them.
local function work(params)
  local task = assert(client:extend(params))
  view.phase, view.task = "rendering", task.taskId
  local status = assert(task:wait { on_progress = function(_, info) view.looks = info.looks end })
  view.phase = "saving"
  return assert(status:save(path, {
    overwrite = true,
    download = { on_progress = function(bytes, total) view.bytes, view.total = bytes, total end },
  }))
end

function love.load(args)
  path = args[1] or "out.mp4"
  local params = { taskId = args[2], prompt = args[3] or "The boat turns towards the harbour", model = "fast" }
  local options
  if simulating then
    simulator = veo.simulator.start { speed = 60 }
    options = { base_url = simulator.url, api_key = simulator.api_key }
    options.wait = { first = 0.3, interval = 0.5, max_interval = 0.5 }
    params.taskId = params.taskId or simulator.source
  end
  if not params.taskId then error("usage: love examples/love OUT.mp4 TASK_ID [PROMPT]", 0) end
  client = veo.new(options)
  client.loop:warm() -- the one call that may take longer than a frame: it connects and reads the CA bundle
  job = client:spawn(work, params)
  view.prompt, view.began = params.prompt, love.timer.getTime()
end

-- Saves what is on the screen beside the video.
local function screenshot(then_do)
  love.graphics.captureScreenshot(function(image)
    local file = assert(io.open((path:gsub("%.mp4$", "")) .. ".png", "wb"))
    file:write(image:encode("png"):getString())
    file:close()
    then_do()
  end)
end

-- What is said at the end.
local function report()
  for _, graph in ipairs { { "frames", view.frames }, { "step(0)", view.steps } } do
    local sorted = {}
    for i, value in ipairs(graph[2]) do sorted[i] = value end
    table.sort(sorted)
    local function at(share) return sorted[math.max(1, math.ceil(#sorted * share))] * 1000 end
    print(("%-8s %d, median %.2f ms, 99 %% %.2f ms, 99.9 %% %.2f ms, longest %.2f ms"):format(graph[1], #sorted,
      at(0.5), at(0.99), at(0.999), at(1)))
  end
end

local function finish()
  local file, err = job:result()
  view.phase = file and "saved" or "failed"
  view.message = file and ("%s, %d bytes"):format(file.path, file.bytes) or err:explain()
  print((file and "saved:   " or "failed:  ") .. view.message)
  report()
  view.finished = love.timer.getTime()
end

local next_frame

function love.update(dt)
  local now = love.timer.getTime()
  if view.frame_began then table.insert(view.frames, now - view.frame_began) end -- its work, without the sleep

  -- Where the display does not hold frames back, this does.
  next_frame = math.max((next_frame or now) + RATE, now)
  love.timer.sleep(next_frame - now)

  local before = love.timer.getTime()
  client:step(0) -- all there is to do in a frame
  local after = love.timer.getTime()

  view.elapsed = after - view.began
  view.frame_began = before
  table.insert(view.steps, after - before)

  if job:status() ~= "pending" and not view.finished then finish() end
  if simulating and view.finished and after - view.finished > 1 and not view.leaving then
    view.leaving = true
    screenshot(function() love.event.quit(view.phase == "saved" and 0 or 1) end)
  end
end

function love.draw()
  scene.draw(view)
end

function love.keypressed(key)
  if key == "escape" then love.event.quit() end
  if key == "s" then screenshot(function() end) end
end

function love.quit()
  client:close() -- a transfer under way is cut; a paid call under way stays the service's: wait for its taskId later
  if simulator then simulator:stop() end
end
