--- The newer "jobs" family: createTask and recordInfo. The endpoints are called extend, generate, get_1080p, get_4k
-- and status in scripts too, so that one suite drives both families.
local cqueues = require "cqueues"
local endpoints = require "veo.simulator.endpoints"
local media = require "veo.simulator.media"
local status = require "veo.simulator.status"
local tasks = require "veo.simulator.tasks"

local refuse = endpoints.refuse

-- An upgrade is a task like any other here, and each order another one.
local function upgrade(what, id_name)
  return function(world, request, effect, body)
    local source, code, msg = endpoints.source(world, body.input[id_name])
    if not source then return refuse(code, msg) end
    local data
    code, msg, data = endpoints.submit(world, request, effect, {
      kind = what, hop = source.hop, source = source.id, prompt = source.prompt, seeds = source.seeds,
      callback = body.callBackUrl, params = body, resolution = what, upgraded = true, model = body.model,
    }, tasks.prices[what])
    if code == 200 then source.upgraded = true end
    return code, msg, data
  end
end

local function flat(body)
  local out = { callBackUrl = body.callBackUrl }
  for name, value in pairs(body.input) do out[name] = value end
  out.taskId, out.task_id = out.task_id, nil
  return out
end

-- Each model's name in scripts, and what makes its task.
local MODELS = {
  ["veo/extend"] = { "extend", function(world, request, effect, body)
    return endpoints.extend(world, request, effect, flat(body))
  end },
  ["veo-3-1"] = { "generate", function(world, request, effect, body)
    return endpoints.generate(world, request, effect, flat(body))
  end },
  ["veo/get-1080p-video"] = { "get_1080p", upgrade("1080p", "taskId") },
  ["veo/get-4k-video"] = { "get_4k", upgrade("4k", "task_id") },
}

local function create_task(world, request, effect)
  local body = request.json
  local refusal = endpoints.check(world, request, "create_task", body)
  if not refusal then refusal = endpoints.check(world, request, body.model, body.input) end
  if refusal then return refuse(422, refusal) end
  return MODELS[body.model][2](world, request, effect, body)
end

local function name_of(request)
  local model = request.json and MODELS[request.json.model]
  return model and model[1] or "extend"
end

-- waiting, queuing, then generating: by how much of the task's time has passed.
local function word_of(task, state)
  if state == "succeeded" then return "success" end
  if state == "failed" then return "fail" end
  local passed = (cqueues.monotime() - task.created) / math.max(0.001, task.done - task.created)
  return passed < 0.1 and "waiting" or passed < 0.2 and "queuing" or "generating"
end

local function record_info(world, request, effect)
  local task, code, msg, data = endpoints.visible_task(world, request, effect)
  if not task then return code, msg, data end
  return 200, "success", status.job(task, word_of, world.tasks:state(task, effect), media.links(world, task), effect)
end

endpoints.routes["POST /api/v1/jobs/createTask"] = { name = "extend", name_of = name_of, json = true,
  answer = create_task }
endpoints.routes["GET /api/v1/jobs/recordInfo"] = { name = "status", answer = record_info }
