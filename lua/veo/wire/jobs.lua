--- The newer "jobs" family under /api/v1/jobs, as data: the same calls for the user, other words on the wire.

local veo = require "veo.wire.veo"

local extend_fields = {}
for i, field in ipairs(veo.operations.extend.fields) do
  extend_fields[i] = field
  if field.name == "model" then
    extend_fields[i] = {
      name = "model", kind = "line",
      refuse = "no model: this API cannot express the tier, and another one would be billed silently",
    }
  end
end

return {
  name = "jobs",
  reader = "jobs",
  look = "status",
  upload_url = veo.upload_url,
  operations = {
    extend = {
      method = "POST", path = "/api/v1/jobs/createTask", billable = true, fields = extend_fields,
      -- Where the fields go: constants and `top` at the top, all else (also `extra`) inside `input`.
      body = { constants = { model = "veo/extend" }, top = { callBackUrl = true }, inside = "input",
        names = { taskId = "task_id" } },
    },
    status = { method = "GET", path = "/api/v1/jobs/recordInfo", fields = veo.operations.status.fields },
    credits = veo.operations.credits,
    download_url = veo.operations.download_url,
    upload_url = veo.operations.upload_url,
    upload_file = veo.operations.upload_file,
  },
}
