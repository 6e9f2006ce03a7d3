--- From the record of a task to a status: one flat table whose fields mean the same whatever form the service used.
--- A record exactly as documented is read by veo.core's `look` instead, with the same result.

local rawget, tonumber, type = rawget, tonumber, type
local huge = math.huge
local find, lower = string.find, string.lower

local reply = require "veo.wire.reply"
local text = require "veo.util.text"
local urls = require "veo.wire.urls"

local M = {}

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

-- Credits, as a number or a numeric string.
local function amount(value)
  if type(value) == "string" and find(value, "^%d+%.?%d*$") then value = tonumber(value) end
  if type(value) == "number" and value >= 0 and value < huge then return value end
  return nil
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
  if value == nil then return nil end
  if type(value) == "string" then
    if find(value, "^%s*{") then
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

local math_type = rawget(math, "type") or type -- absent before 5.3, where no number says that it is whole
local PLAIN = { number = true, string = true, boolean = true }

-- One value alone, or a string of a JSON array, as a list.
local function as_list(value)
  if type(value) == "string" then
    if value == "" then return nil end
    local decoded = find(value, "^%s*%[") and urls.decode(value)
    if decoded then return decoded end
  end
  return PLAIN[type(value)] and { value } or nil
end

-- A list of plain values; nulls and whatever else is in it are dropped.
local function plain_list(value)
  if type(value) ~= "table" then value = as_list(value) end
  if not value then return nil end
  local count, only = #value, value[1]
  -- Nearly always; then the list itself does, without a copy.
  if count == 1 and (only == true or only == false or math_type(only) == "integer") then return value end
  local list = {}
  for i = 1, count do
    local item = value[i]
    if type(item) == "number" then item = reply.integer(item) or item end -- a decoded string has floats
    if PLAIN[type(item)] then list[#list + 1] = item end
  end
  return list[1] ~= nil and list or nil
end

-- The links in a container, and below what it says of the video, where no container before it had them. Field by field,
-- with a check for nil before any call: this is half the cost of reading a finished record.
local function links_in(from, new, whole, origin)
  local value = from.resultUrls
  if value ~= nil and not new then new = urls.list(value) end
  value = from.fullResultUrls
  if value ~= nil and not whole then whole = urls.list(value) end
  value = from.originUrls
  if value ~= nil and not origin then origin = urls.list(value) end
  return new, whole, origin
end

local function video_in(from, resolution, seeds, audio, media)
  local value = from.resolution
  if value ~= nil and not resolution then resolution = string_or_nil(value) end
  value = from.seeds
  if value ~= nil and not seeds then seeds = plain_list(value) end
  value = from.hasAudioList
  if value ~= nil and not audio then audio = plain_list(value) end
  value = from.mediaIds
  if value ~= nil and not media then media = plain_list(value) end
  return resolution, seeds, audio, media
end

-- The seven result fields, from the containers in order of trust, and from the record itself when they name no whole
-- video.
local function results(response, info, data)
  local new, whole, origin, resolution, seeds, audio, media
  for tier = 1, 3 do
    local from = tier == 1 and response or tier == 2 and info or tier == 3 and not whole and data
    if from then
      new, whole, origin = links_in(from, new, whole, origin)
      resolution, seeds, audio, media = video_in(from, resolution, seeds, audio, media)
    end
  end
  return new, whole, origin, resolution, seeds, audio, media
end

-- The record's own id; the usual one is the id that was asked for and needs no second look.
local function id_of(data, taskId)
  if taskId ~= nil and data.taskId == taskId then return taskId end
  return reply.task_id(data) or taskId
end

-- All fields in one constructor, so that the table is made in its final size.
local function finished(state, flag, data, envelope, taskId, code, message, param, response, info)
  local new, whole, origin, resolution, seeds, audio, media = results(response, info, data)
  local list = state == "succeeded" and (whole or new) or nil
  return {
    taskId = id_of(data, taskId),
    state = state,
    done = state ~= "generating",
    video_url = list and list[1],
    resultUrls = new,
    fullResultUrls = whole,
    originUrls = origin,
    resolution = resolution,
    seeds = seeds,
    hasAudioList = audio,
    mediaIds = media,
    successFlag = flag,
    errorCode = code ~= nil and error_code(code) or nil,
    errorMessage = message ~= nil and string_or_nil(message) or nil,
    createTime = time_or_nil(data.createTime),
    completeTime = time_or_nil(data.completeTime),
    paramJson = param,
    creditsConsumed = data.creditsConsumed ~= nil and amount(data.creditsConsumed) or nil,
    raw = envelope,
  }
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
  local response, info = data.response, data.info
  if number == 0 and response == nil and info == nil then
    return {
      taskId = id_of(data, taskId),
      state = "generating",
      done = false,
      successFlag = 0,
      errorCode = error_code(data.errorCode),
      errorMessage = string_or_nil(data.errorMessage),
      createTime = time_or_nil(data.createTime),
      completeTime = time_or_nil(data.completeTime),
      paramJson = data.paramJson,
      creditsConsumed = data.creditsConsumed ~= nil and amount(data.creditsConsumed) or nil,
      raw = envelope,
    }
  end
  local status = finished(state or "generating", state and number or flag, data, envelope, taskId, data.errorCode,
    data.errorMessage, data.paramJson, container(response), container(info))
  if not state then
    -- An unknown flag is never taken for success: the task is polled again.
    status.note = flag == nil and "the reply has no successFlag; taken as still generating"
      or "successFlag is " .. text.show(flag) .. ", which is not documented; taken as still generating"
  end
  return status
end

---`data` of GET /api/v1/jobs/recordInfo.
---@param data table
---@param envelope table|nil
---@param taskId string|nil
---@return veo.Status
function M.jobs(data, envelope, taskId)
  local word, flag = data.state, data.successFlag
  local number = reply.integer(flag)
  local state = type(word) == "string" and JOB_STATE[lower(word)] or nil
  if word == nil or word == "" then state = FLAG_STATE[number] end
  local status = finished(state or "generating", FLAG_STATE[number] and number or flag, data, envelope, taskId,
    data.failCode, data.failMsg, data.param, container(data.response), container(data.resultJson))
  if not state then
    status.note = word == nil and "the reply has no state; taken as still generating"
      or "state is " .. text.show(word) .. ", which is not documented; taken as still generating"
  end
  return status
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
