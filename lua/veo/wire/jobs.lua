--- The newer "jobs" family under /api/v1/jobs, as data: the same calls for the user, other words on the wire.

local ipairs = ipairs

local veo = require "veo.wire.veo"

local REFUSED = {
  model = "no model: this API cannot express the tier, and another one would be billed silently",
  index = "no index: this API has none, so only the first video can be upgraded",
}

-- The fields of the other family; those that this one cannot express are refused.
local function fields_of(operation)
  local fields = {}
  for i, field in ipairs(veo.operations[operation].fields) do
    fields[i] = REFUSED[field.name] and { name = field.name, kind = field.kind, refuse = REFUSED[field.name] } or field
  end
  return fields
end

local callback = { name = "callBackUrl", kind = "url" }

-- A task of that model. Where the fields go: the model and `top` at the top, all else (also `extra`) inside `input`.
-- `once`: a second one is never intended; here it would be another task, charged again.
local function task(model, fields, names, once)
  return {
    method = "POST", path = "/api/v1/jobs/createTask", billable = true, fields = fields, once = once,
    body = { constants = { model = model }, top = { callBackUrl = true }, inside = "input", names = names },
  }
end

local full_hd = fields_of "get_1080p"
full_hd[#full_hd + 1] = callback
local uhd = task("veo/get-4k-video", fields_of "get_4k", { taskId = "task_id" }, true)
uhd.not_ready = veo.operations.get_4k.not_ready

return {
  name = "jobs",
  reader = "jobs",
  look = "status",
  upload_url = veo.upload_url,
  operations = {
    extend = task("veo/extend", fields_of "extend", { taskId = "task_id" }),
    generate = task("veo-3-1", fields_of "generate", {}),
    get_1080p = task("veo/get-1080p-video", full_hd, {}, true),
    get_4k = uhd,
    status = { method = "GET", path = "/api/v1/jobs/recordInfo", fields = veo.operations.status.fields },
    credits = veo.operations.credits,
    download_url = veo.operations.download_url,
    upload_url = veo.operations.upload_url,
    upload_file = veo.operations.upload_file,
  },
}
