--- What a request must look like, as strict as the contract: data, and one function that looks.
local json = require "veo.simulator.json"

local M = {}

local function text(value) return type(value) == "string", "a string" end

local function filled(value)
  return type(value) == "string" and value:find("%S") ~= nil, "a string that is not empty"
end

local function seed(value)
  local whole = type(value) == "number" and value % 1 == 0
  return whole and value >= 10000 and value <= 99999, "an integer from 10000 to 99999"
end

local function url(value)
  return type(value) == "string" and value:find("^https?://[^%s/][^%s%c]*$") ~= nil, "an http or https URL"
end

local function index(value) return type(value) == "number" and value % 1 == 0 and value >= 0, "an integer from 0" end

local function flag(value) return type(value) == "boolean", "true or false" end

local function one_of(...)
  local set, list = {}, table.concat({ ... }, ", ")
  for _, name in ipairs { ... } do set[name] = true end
  return function(value) return set[value] == true, "one of " .. list end
end

local function images(value)
  if type(value) ~= "table" or #value < 1 or #value > 3 then return false, "a list of 1 to 3 URLs" end
  for _, item in ipairs(value) do
    if not url(item) then return false, "a list of 1 to 3 URLs" end
  end
  return true
end

local function length(value) return value == 4 or value == 6 or value == 8, "4, 6 or 8" end

local function object(value) return type(value) == "table", "an object" end

M.fields = {
  extend = {
    taskId = filled, prompt = filled, seeds = seed, model = one_of("fast", "quality", "lite"), watermark = text,
    callBackUrl = url, required = { "taskId", "prompt" },
  },
  generate = {
    prompt = filled, imageUrls = images, model = one_of("veo3", "veo3_fast", "veo3_lite"),
    generationType = one_of("TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"),
    aspect_ratio = one_of("16:9", "9:16", "Auto"), aspectRatio = one_of("16:9", "9:16", "Auto"),
    resolution = one_of("720p", "1080p", "4k"), duration = length, seeds = seed, watermark = text,
    enableTranslation = flag, callBackUrl = url, required = { "prompt" },
  },
  get_4k = { taskId = filled, index = index, callBackUrl = url, required = { "taskId" } },
  download_url = { url = url, required = { "url" } },
  upload_url = { fileUrl = url, uploadPath = filled, fileName = filled, required = { "fileUrl", "uploadPath" } },
  create_task = {
    model = one_of("veo-3-1", "veo/extend", "veo/get-1080p-video", "veo/get-4k-video"), callBackUrl = url,
    input = object, required = { "model", "input" },
  },
  -- What `input` holds, by the model.
  ["veo/extend"] = {
    task_id = filled, prompt = filled, seeds = seed, watermark = text, required = { "task_id", "prompt" },
  },
  ["veo/get-1080p-video"] = { taskId = filled, required = { "taskId" } },
  ["veo/get-4k-video"] = { task_id = filled, required = { "task_id" } },
}
M.fields["veo-3-1"] = {}
for name, check in pairs(M.fields.generate) do
  if name ~= "model" and name ~= "aspectRatio" and name ~= "callBackUrl" then M.fields["veo-3-1"][name] = check end
end

--- Looks at a JSON body.
--- @param name string key of M.fields
--- @param body table
--- @param violation fun(text: string) told what the service would let pass but a good client never sends
--- @return string|nil refusal the service's message
function M.body(name, body, violation)
  local fields = M.fields[name]
  local refusal
  local function refuse(message)
    violation(message)
    refusal = refusal or message
  end
  for _, field in ipairs(fields.required) do
    if body[field] == nil or body[field] == json.null then refuse(field .. " is required") end
  end
  for field, value in pairs(body) do
    local check = field ~= "required" and fields[field]
    if not check then
      violation(("unknown field %q"):format(tostring(field)))
    elseif value ~= json.null then
      local good, expected = check(value)
      if not good then refuse(("%s must be %s"):format(field, expected)) end
    else
      violation(field .. " is null")
    end
  end
  return refusal
end

--- Looks at what every API call must carry.
--- @return table|nil refusal { http =, body = } or { code =, msg = }
function M.headers(request, api_key, violation)
  local headers = request.headers
  if not headers["user-agent"] or headers["user-agent"] == "" then
    violation "no User-Agent"
    return { http = 403, body = "error code: 1010", content_type = "text/plain; charset=UTF-8" }
  end
  if not (headers.accept or ""):find("application/json", 1, true) then violation "no Accept: application/json" end
  if headers.expect then violation "an Expect header" end
  if not headers.authorization then
    violation "no Authorization"
    return { code = 401, msg = "You do not have access permissions" }
  elseif headers.authorization ~= "Bearer " .. api_key then
    return { code = 401, msg = "You do not have access permissions" }
  end
end

return M
