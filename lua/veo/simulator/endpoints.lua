--- The endpoints around extension: extend, its status, the balance.
local callbacks = require "veo.simulator.callbacks"
local checks = require "veo.simulator.checks"
local forms = require "veo.simulator.forms"
local media = require "veo.simulator.media"
local script = require "veo.simulator.script"
local status = require "veo.simulator.status"
local tasks = require "veo.simulator.tasks"

local M = { routes = {} }

local function refuse(code, msg) return code, msg or forms.messages[code], "null" end
M.refuse = refuse

--- Checks a body by its table of fields.
--- @return string|nil refusal
function M.check(world, request, name, body)
  return checks.body(name, body, function(text) world:violation(request, text) end)
end

--- Looks at the source of an extension or upgrade.
--- @return table|nil task, integer|nil code, string|nil msg
function M.source(world, id)
  local source = world.tasks:get(id)
  if not source or not world.tasks:is_visible(source) then return nil, 404, "The original task does not exist" end
  local state = world.tasks:state(source)
  if state ~= "succeeded" then return nil, 422, "record status is not success" end
  return source
end

--- Makes a task and takes its price, or says why not.
--- @param task table see tasks.add
--- @param price number
--- @return integer code, string msg, string data
function M.submit(world, request, effect, task, price)
  if not world:within_rate() then return refuse(429) end
  if not world.tasks:charge(price) then return refuse(402) end
  local id = effect.task_id and tostring(effect.task_id)
  task.id = id and not world.tasks.by_id[id] and id or nil
  task.jobs = request.path:find("/jobs/", 1, true) ~= nil
  task.render, task.visible = task.render or effect.render, task.visible or effect.visible
  task.fail, task.error_code, task.error_message = effect.fail, effect.error_code, effect.error_message
  if request.prompt then task.rules = script.from_prompt(request.prompt, request.endpoint) end
  task = world.tasks:add(task)
  world.tasks:record_charge(task, price, request.endpoint, request)
  if task.callback then callbacks.schedule(world, task) end
  return 200, "success", status.accepted(task, effect)
end

--- The part that both families share.
--- @param body table taskId, prompt, seeds, model, watermark, callBackUrl
function M.extend(world, request, effect, body)
  local source, code, msg = M.source(world, body.taskId)
  if not source then return refuse(code, msg) end
  if source.upgraded then return refuse(422, "Videos generated after 1080P generation cannot be extended") end
  return M.submit(world, request, effect, {
    kind = "extend", hop = source.hop + 1, source = source.id, prompt = body.prompt, seeds = body.seeds,
    model = body.model or "fast", watermark = body.watermark, callback = body.callBackUrl, params = body,
  }, tasks.prices[body.model or "fast"])
end

local function extend(world, request, effect)
  local refusal = M.check(world, request, "extend", request.json)
  if refusal then return refuse(422, refusal) end
  return M.extend(world, request, effect, request.json)
end

local tiers = { veo3 = "quality", veo3_fast = "fast", veo3_lite = "lite" }

--- The part that both families share.
function M.generate(world, request, effect, body)
  local model = body.model or "veo3_fast"
  local resolution = body.resolution or "720p"
  return M.submit(world, request, effect, {
    kind = "generate", hop = 0, prompt = body.prompt, seeds = body.seeds, model = model, watermark = body.watermark,
    callback = body.callBackUrl, params = body, resolution = resolution, upgraded = resolution ~= "720p",
  }, tasks.prices[tiers[model]])
end

local function generate(world, request, effect)
  local refusal = M.check(world, request, "generate", request.json)
  if refusal then return refuse(422, refusal) end
  return M.generate(world, request, effect, request.json)
end

--- A task for a status call, or how its absence is told.
--- @return table|nil task, integer|nil code, string|nil msg, string|nil data
function M.visible_task(world, request, effect)
  local id = request.query.taskId
  if not id or id == "" then
    world:violation(request, "taskId is missing")
    return nil, refuse(422, "taskId is required")
  end
  local task = world.tasks:get(id)
  if effect.unknown or not task or not world.tasks:is_visible(task) then
    return nil, status.unknown(effect.unknown or world.options.unknown)
  end
  return task
end

local function record_info(world, request, effect)
  local task, code, msg, data = M.visible_task(world, request, effect)
  if not task then return code, msg, data end
  local state = world.tasks:state(task, effect)
  if effect.flag and not effect.state then
    local flag = tonumber(effect.flag)
    state = (flag == 2 or flag == 3) and "failed" or flag == 0 and "generating" or state
  end
  if next(effect) then return 200, "success", status.data(task, state, media.links(world, task), effect) end
  if task.told_state ~= state then
    task.told_state, task.told = state, status.data(task, state, media.links(world, task), effect)
  end
  return 200, "success", task.told
end

local function credit(world)
  return 200, "success", ("%.14g"):format(world.tasks.credits)
end

M.routes["POST /api/v1/veo/extend"] = { name = "extend", json = true, answer = extend }
M.routes["POST /api/v1/veo/generate"] = { name = "generate", json = true, answer = generate }
M.routes["GET /api/v1/veo/record-info"] = { name = "status", answer = record_info }
M.routes["GET /api/v1/chat/credit"] = { name = "credits", answer = credit }

return M
