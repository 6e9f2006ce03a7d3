--- The newer "jobs" family: createTask and recordInfo. The endpoints are called extend and status in scripts too, so
-- that one suite drives both families.
local cqueues = require "cqueues"
local endpoints = require "veo.simulator.endpoints"
local media = require "veo.simulator.media"
local status = require "veo.simulator.status"

local refuse = endpoints.refuse

local function create_task(world, request, effect)
  local body = request.json
  local refusal = endpoints.check(world, request, "create_task", body)
  if not refusal then refusal = endpoints.check(world, request, "jobs_input", body.input) end
  if refusal then return refuse(422, refusal) end
  local input = body.input
  return endpoints.extend(world, request, effect, {
    taskId = input.task_id, prompt = input.prompt, seeds = input.seeds, watermark = input.watermark,
    callBackUrl = body.callBackUrl,
  })
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

endpoints.routes["POST /api/v1/jobs/createTask"] = { name = "extend", json = true, answer = create_task }
endpoints.routes["GET /api/v1/jobs/recordInfo"] = { name = "status", answer = record_info }
