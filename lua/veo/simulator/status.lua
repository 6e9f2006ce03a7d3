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

--- The data of a record-info answer.
--- @param task table
--- @param state string generating | succeeded | failed
--- @param links table whole, part: URLs
--- @param effect table
--- @return string JSON
function M.data(task, state, links, effect)
  local response, info, flat = "null", nil, {}
  if state == "succeeded" then
    local found = list_pairs(task, effect, links)
    local rest = {
      { "resolution", json.encode(task.resolution or "720p") }, { "hasAudioList", "[true]" },
      { "seeds", "[" .. task.seeds .. "]" }, { "mediaIds", '["CAUSJDkxMjM0"]' },
    }
    local held = { { "taskId", json.encode(task.id) } }
    local place = effect.list_at or "response"
    local full = { held[1] }
    for _, pair in ipairs(found) do full[#full + 1] = pair end
    for _, pair in ipairs(rest) do
      full[#full + 1] = pair
      held[#held + 1] = pair
    end
    if place == "response" then
      response = object(full)
    elseif place == "info" then
      response, info = nil, object(full)
    else
      response, flat = nil, found
    end
    if effect.response == "string" and response then response = json.encode(response) end
  end
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

--- The data of the jobs family's recordInfo.
--- @param word_of fun(task: table, state: string): string
function M.job(task, word_of, state, links, effect)
  local time = times[effect.time_form or "ms"]
  local result, plain = '""', "null"
  if state == "succeeded" and effect.response ~= "null" then
    local encode = lists[effect.list_form or (effect.urls == "none" and "empty") or "array"]
    plain = object { { "resultUrls", encode(effect.urls == "none" and {} or { links.whole }) } }
    result = effect.response == "object" and plain or json.encode(plain)
  elseif effect.response == "null" then
    result = "null"
  end
  if effect.response == "absent" then result = nil end
  if effect.job_result == "response" then result = nil end
  if effect.job_result == "json" or effect.response == "absent" then plain = nil end
  local code, message = '""', '""'
  if state == "failed" then
    code = json.encode(tostring(effect.error_code or task.error_code or 501))
    message = json.encode(effect.error_message or task.error_message or "Video extension failed")
  end
  return object {
    { "taskId", json.encode(task.id) }, { "model", json.encode(job_models[task.kind]) },
    { "state", effect.job_state ~= "absent" and json.encode(effect.job_state or word_of(task, state)) },
    { "successFlag", effect.flag and flag_text(state, task, effect) or json.encode(JOB_FLAGS[state]) },
    { "param", json.encode(json.encode(task.params or { prompt = task.prompt })) }, { "resultJson", result },
    { "response", effect.response == "string" and plain and json.encode(plain) or plain },
    { "failCode", code }, { "failMsg", message }, { "costTime", "null" },
    { "creditsConsumed", state ~= "generating" and json.encode(effect.consumed or task.consumed or 0) or "null" },
    { "completeTime", state == "generating" and "null" or time(task.done_at) }, { "createTime", time(task.created_at) },
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

--- The data of an accepted submit.
function M.accepted(task, effect)
  local id, form = json.encode(task.id), effect.task_id_form or "plain"
  if form == "data_null" then return "null" end
  if form == "top" then return 'null,"taskId":' .. id end -- beside the data instead of in it
  if form == "bare" then return id end
  if form == "json" then return json.encode('{"taskId":' .. id .. "}") end
  if form == "list" then return '[{"taskId":' .. id .. "}]" end
  if form == "record" then return '{"recordId":' .. json.encode("record-of-" .. task.id) .. "}" end
  local field = form == "plain" and '"taskId":' .. id or form == "snake" and '"task_id":' .. id
    or form == "null" and '"taskId":null' or form == "number" and '"taskId":12345' or form == "empty" and '"taskId":""'
    or ""
  local extra = effect.extra and '"recordId":"r1","queue":{"place":3}'
    or task.jobs and '"recordId":' .. json.encode("record-of-" .. task.id) or ""
  return "{" .. field .. (field ~= "" and extra ~= "" and "," or "") .. extra .. "}"
end

return M
