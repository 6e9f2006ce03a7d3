--- What a task's status looks like: the documented form, and each of the irregular ones.
local json = require "veo.simulator.json"

local M = {}

local lists = {
  array = json.list,
  json = function(list) return json.encode(json.list(list)) end,
  bare = function(list) return json.encode("[" .. table.concat(list, ", ") .. "]") end,
  url = function(list) return json.encode(list[1]) end,
  null = function() return "null" end,
  empty = function() return "[]" end,
  absent = function() return nil end,
}

-- An object from pairs of name and JSON; a pair without JSON is left out.
local function object(pairs_of)
  local parts = {}
  for i = 1, #pairs_of do
    local pair = pairs_of[i]
    if pair[2] then parts[#parts + 1] = '"' .. pair[1] .. '":' .. pair[2] end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function flag_text(state, task, effect)
  local flag = effect.flag
  if flag == nil then
    flag = state == "generating" and 0 or state == "succeeded" and 1 or task.fail or 3
  end
  if flag == "null" then return "null" end
  if flag == "absent" then return nil end
  if effect.flag_form == "string" then return json.encode(tostring(flag)) end
  if effect.flag_form == "float" then return ("%.1f"):format(flag) end
  return json.encode(flag)
end

local times = {
  ms = function(ms) return ("%.0f"):format(ms) end,
  string = function(ms) return ('"%.0f"'):format(ms) end,
  text = function(ms) return os.date('!"%Y-%m-%d %H:%M:%S"', math.floor(ms / 1000)) end,
  iso = function(ms) return os.date('!"%Y-%m-%dT%H:%M:%S', math.floor(ms / 1000)) .. ('.%03dZ"'):format(ms % 1000) end,
  null = function() return "null" end,
  empty = function() return '""' end,
  absent = function() return nil end,
}

local function error_text(state, task, effect)
  if effect.error_form == "absent" then return nil, nil end
  if effect.error_form == "null" then return "null", "null" end
  local code = effect.error_code or task.error_code
  if state == "failed" then
    code = code or 501
    local message = effect.error_message or task.error_message or "Video extension failed"
    return json.encode(effect.error_form == "string" and tostring(code) or code), json.encode(message)
  end
  if effect.error_form == "zero" then return "0", "null" end
  if effect.error_form == "string" then return '""', '""' end
  return code and json.encode(code) or "null", '""'
end

local function list_pairs(task, effect, links)
  local encode = lists[effect.list_form or "array"]
  local urls = effect.urls or "both"
  if urls == "none" then encode = lists[effect.list_form or "null"] end
  local found = {}
  if urls == "none" then
    found[1] = { "resultUrls", encode == lists.url and "null" or encode({}) }
  else
    local extended = task.kind == "extend" and urls == "both"
    found[1] = { "resultUrls", encode({ extended and links.part or links.whole }) }
    if extended then found[2] = { "fullResultUrls", encode({ links.whole }) } end
  end
  found[#found + 1] = { "originUrls", "null" }
  return found
end

-- A result: JSON of its response and of its info, and what stands at the top, beside them.
local function result_of(task, links, effect)
  local found = list_pairs(task, effect, links)
  local place = effect.list_at or "response"
  if place ~= "response" and place ~= "info" then return nil, nil, found end
  local all = { { "taskId", json.encode(task.id) } }
  for _, pair in ipairs(found) do all[#all + 1] = pair end
  all[#all + 1] = { "resolution", json.encode(task.resolution or "720p") }
  all[#all + 1] = { "hasAudioList", "[true]" }
  all[#all + 1] = { "seeds", "[" .. task.seeds .. "]" }
  all[#all + 1] = { "mediaIds", '["CAUSJDkxMjM0"]' }
  local text = object(all)
  if place == "info" then return nil, text, {} end
  return effect.response == "string" and json.encode(text) or text, nil, {}
end

--- The data of a record-info answer.
--- @param task table
--- @param state string generating | succeeded | failed
--- @param links table whole, part: URLs
--- @param effect table
--- @return string JSON
function M.data(task, state, links, effect)
  local response, info, flat = "null", nil, {}
  if state == "succeeded" then response, info, flat = result_of(task, links, effect) end
  if effect.response == "null" then response = "null" end
  if effect.response == "absent" then response = nil end
  local time = times[effect.time_form or "ms"]
  local error_code, error_message = error_text(state, task, effect)
  local all = {
    { "taskId", json.encode(task.id) },
    { "paramJson", json.encode(json.encode(task.params or { prompt = task.prompt })) },
    { "completeTime", state == "generating" and "null" or time(task.done_at) }, { "response", response },
    { "info", info }, { "successFlag", flag_text(state, task, effect) }, { "errorCode", error_code },
    { "errorMessage", error_message }, { "createTime", time(task.created_at) }, { "fallbackFlag", "false" },
    { "creditsConsumed", effect.consumed and json.encode(effect.consumed) },
    { "extraKey", effect.extra and '{"kept":[1,2]}' or nil },
  }
  for _, pair in ipairs(flat) do all[#all + 1] = pair end
  return object(all)
end

--- The info of a callback: no whole video in it.
function M.info(task, links, effect)
  local encode = lists[effect.list_form or "array"]
  return object {
    { "resultUrls", encode { task.kind == "extend" and links.part or links.whole } }, { "originUrls", "null" },
    { "resolution", json.encode(task.resolution or "720p") },
  }
end

local job_models = { extend = "veo/extend", generate = "veo-3-1", ["1080p"] = "veo/get-1080p-video",
  ["4k"] = "veo/get-4k-video" }
local JOB_FLAGS = { generating = 0, succeeded = 1, failed = 3 }

local function job_lists(links, effect)
  local none = effect.urls == "none"
  local encode = lists[effect.list_form or none and "empty" or "array"]
  return object { { "resultUrls", encode(none and {} or { links.whole }) } }
end

-- resultJson and response: the same lists as text and as an object, or one of the two.
local function job_results(state, links, effect)
  local form = effect.response
  local result, response = '""', "null"
  if form == "null" then
    result = "null"
  elseif state == "succeeded" then
    response = job_lists(links, effect)
    result = form == "object" and response or json.encode(response)
  end
  if form == "absent" or effect.job_result == "response" then result = nil end
  if form == "absent" or effect.job_result == "json" then response = nil end
  if form == "string" and response then response = json.encode(response) end
  return result, response
end

local function job_error(task, state, effect)
  if state ~= "failed" then return '""', '""' end
  return json.encode(tostring(effect.error_code or task.error_code or 501)),
    json.encode(effect.error_message or task.error_message or "Video extension failed")
end

--- The data of the jobs family's recordInfo.
--- @param word_of fun(task: table, state: string): string
function M.job(task, word_of, state, links, effect)
  local time = times[effect.time_form or "ms"]
  local result, response = job_results(state, links, effect)
  local code, message = job_error(task, state, effect)
  local ended = state ~= "generating"
  return object {
    { "taskId", json.encode(task.id) }, { "model", json.encode(job_models[task.kind]) },
    { "state", effect.job_state ~= "absent" and json.encode(effect.job_state or word_of(task, state)) },
    { "successFlag", effect.flag and flag_text(state, task, effect) or json.encode(JOB_FLAGS[state]) },
    { "param", json.encode(json.encode(task.params or { prompt = task.prompt })) }, { "resultJson", result },
    { "response", response }, { "failCode", code }, { "failMsg", message }, { "costTime", "null" },
    { "creditsConsumed", ended and json.encode(effect.consumed or task.consumed or 0) or "null" },
    { "completeTime", ended and time(task.done_at) or "null" }, { "createTime", time(task.created_at) },
  }
end

local unknown = {
  ["404"] = { 404, "The task does not exist", "null" },
  record = { 422, "record is null", "null" },
  record_info = { 422, "recordInfo is null", "null" },
  null = { 200, "success", "null" },
  empty = { 200, "success", "{}" },
  absent = { 200, "success", nil },
}

--- How an unknown task is answered.
--- @return number code, string msg, string|nil data
function M.unknown(form)
  local answer = unknown[tostring(form or "404")] or unknown["404"]
  return answer[1], answer[2], answer[3]
end

local function record_id(task)
  return json.encode("record-of-" .. task.id)
end

-- Data that is no object with an id in it; `id` is JSON.
local accepted = {
  data_null = function() return "null" end,
  top = function(id) return 'null,"taskId":' .. id end, -- beside the data instead of in it
  bare = function(id) return id end,
  json = function(id) return json.encode('{"taskId":' .. id .. "}") end,
  list = function(id) return '[{"taskId":' .. id .. "}]" end,
  record = function(_, task) return object { { "recordId", record_id(task) } } end,
}

-- The id in it, by name and JSON; no id in any other form.
local id_pairs = {
  plain = function(id) return { "taskId", id } end,
  snake = function(id) return { "task_id", id } end,
  null = function() return { "taskId", "null" } end,
  number = function() return { "taskId", "12345" } end,
  empty = function() return { "taskId", '""' } end,
}

--- The data of an accepted submit.
function M.accepted(task, effect)
  local id, form = json.encode(task.id), effect.task_id_form or "plain"
  if accepted[form] then return accepted[form](id, task) end
  local pair = id_pairs[form] and id_pairs[form](id) or {}
  if effect.extra then return object { pair, { "recordId", '"r1"' }, { "queue", '{"place":3}' } } end
  return object { pair, { "recordId", task.jobs and record_id(task) } }
end

return M
