--- From the record of a task to a status: one flat table whose fields mean the same whatever form the service used.
--- This runs for every look of every wait, so it builds one table per look and no closures.

local reply = require "veo.wire.reply"
local text = require "veo.wire.text"
local urls = require "veo.wire.urls"

local M = {}

---@class veo.Status
---@field taskId string
---@field state "generating"|"succeeded"|"failed"
---@field done boolean
---@field video_url string|nil       the whole video (fullResultUrls[1], else resultUrls[1]); only when succeeded
---@field resultUrls string[]|nil    after an extension the new part
---@field fullResultUrls string[]|nil  after an extension the whole video
---@field originUrls string[]|nil
---@field resolution string|nil
---@field seeds integer[]|nil
---@field hasAudioList boolean[]|nil
---@field mediaIds string[]|nil
---@field successFlag integer|any|nil  0, 1, 2, 3, or the service's raw value when it is none of them
---@field errorCode integer|string|nil
---@field errorMessage string|nil
---@field createTime number|string|nil   raw; `wire.time` converts what is certain
---@field completeTime number|string|nil
---@field paramJson string|table|nil
---@field note string|nil            something odd about the reply, for the log
---@field raw table|nil              the decoded envelope, with everything it held

local FLAG_STATE = { [0] = "generating", "succeeded", "failed", "failed" }
local JOB_STATE = {
  waiting = "generating", queuing = "generating", queueing = "generating", generating = "generating",
  success = "succeeded", fail = "failed",
}

local function string_or_nil(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil
end

local function time_or_nil(value)
  if type(value) == "number" then return value end
  return string_or_nil(value)
end

-- errorCode 0, "0", "" and null all mean that there is none.
local function error_code(value)
  if value == nil then return nil end
  local number = reply.integer(value)
  if number then return number ~= 0 and number or nil end
  return string_or_nil(value)
end

-- A container of results: an object, or a string of JSON that holds one. A bare list counts as { resultUrls = list }.
local function container(value)
  if type(value) == "string" then
    if value:find("^%s*{") then
      value = urls.decode(value)
    else
      local list = urls.list(value)
      return list and { resultUrls = list } or nil
    end
  end
  if type(value) ~= "table" then return nil end
  if value[1] ~= nil then return { resultUrls = value } end
  return value
end

-- A list of plain values. One value alone, or a string of a JSON array, becomes a list; nulls are dropped.
local function plain_list(value)
  if type(value) == "string" then
    if value == "" then return nil end
    value = value:find("^%s*%[") and urls.decode(value) or { value }
  elseif type(value) == "number" or type(value) == "boolean" then
    value = { value }
  end
  if type(value) ~= "table" then return nil end
  local list
  for i = 1, #value do
    local item = value[i]
    local kind = type(item)
    if kind == "number" then item = reply.integer(item) or item end
    if kind == "number" or kind == "string" or kind == "boolean" then
      list = list or {}
      list[#list + 1] = item
    end
  end
  return list
end

-- Fills the result fields that are still empty from one container.
local function take_results(status, from)
  if not from then return end
  status.resultUrls = status.resultUrls or urls.list(from.resultUrls)
  status.fullResultUrls = status.fullResultUrls or urls.list(from.fullResultUrls)
  status.originUrls = status.originUrls or urls.list(from.originUrls)
  status.resolution = status.resolution or string_or_nil(from.resolution)
  status.seeds = status.seeds or plain_list(from.seeds)
  status.hasAudioList = status.hasAudioList or plain_list(from.hasAudioList)
  status.mediaIds = status.mediaIds or plain_list(from.mediaIds)
end

local function finish(status)
  status.done = status.state ~= "generating"
  if status.state == "succeeded" then
    local list = status.fullResultUrls or status.resultUrls
    status.video_url = list and list[1]
  end
  return status
end

---`data` of GET /api/v1/veo/record-info.
---@param data table
---@param envelope table|nil
---@param taskId string|nil  the id that was asked for, used when the reply names none
---@return veo.Status
function M.veo(data, envelope, taskId)
  local flag = data.successFlag
  local number = reply.integer(flag)
  local state = FLAG_STATE[number]
  local status = {
    taskId = reply.task_id(data) or taskId,
    state = state or "generating",
    done = false,
    successFlag = state and number or nil,
    errorCode = error_code(data.errorCode),
    errorMessage = string_or_nil(data.errorMessage),
    createTime = time_or_nil(data.createTime),
    completeTime = time_or_nil(data.completeTime),
    paramJson = data.paramJson,
    raw = envelope,
  }
  if not state then
    -- Never success on a guess: an unknown flag means that the task is looked at again.
    status.successFlag = flag
    status.note = flag == nil and "the reply has no successFlag; taken as still generating"
      or "successFlag is " .. text.show(flag) .. ", which is not documented; taken as still generating"
  end
  if data.response ~= nil then take_results(status, container(data.response)) end
  if data.info ~= nil then take_results(status, container(data.info)) end
  if state ~= "generating" then take_results(status, data) end
  return finish(status)
end

---`data` of GET /api/v1/jobs/recordInfo.
---@param data table
---@param envelope table|nil
---@param taskId string|nil
---@return veo.Status
function M.jobs(data, envelope, taskId)
  local word = data.state
  local state = type(word) == "string" and JOB_STATE[word:lower()] or nil
  local status = {
    taskId = reply.task_id(data) or taskId,
    state = state or "generating",
    done = false,
    errorCode = error_code(data.failCode),
    errorMessage = string_or_nil(data.failMsg),
    createTime = time_or_nil(data.createTime),
    completeTime = time_or_nil(data.completeTime),
    paramJson = data.param,
    raw = envelope,
  }
  if not state then
    status.note = word == nil and "the reply has no state; taken as still generating"
      or "state is " .. text.show(word) .. ", which is not documented; taken as still generating"
  end
  if data.resultJson ~= nil then take_results(status, container(data.resultJson)) end
  if state ~= "generating" then
    take_results(status, container(data.response))
    take_results(status, data)
  end
  return finish(status)
end

---A status that comes from the reply's code alone: code 501 (the task failed), 422 "status is not success".
---@param state "generating"|"failed"
---@return veo.Status
function M.from_code(state, answer, taskId, note)
  local data = type(answer.data) == "table" and answer.data or nil
  local failed = state == "failed"
  return {
    taskId = reply.task_id(data) or taskId,
    state = state,
    done = failed,
    errorCode = failed and (data and error_code(data.errorCode) or reply.integer(answer.code)) or nil,
    errorMessage = failed and (data and string_or_nil(data.errorMessage) or string_or_nil(answer.msg)) or nil,
    note = note,
    raw = answer.body,
  }
end

return M
