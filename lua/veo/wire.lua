--- The service's contract, without any exchange: what may be sent, and what a reply means. Pure functions over data.
---
---   wire/veo.lua, wire/jobs.lua   endpoints and parameter rules     wire/validate.lua  how they are checked
---   wire/codes.lua                the code table                    wire/reply.lua   how a reply becomes an error
---   wire/task_id.lua              which task an answer names
---   wire/status.lua               how a record becomes a status     wire/urls.lua, wire/time.lua  irregular forms

local ipairs, next, require, tonumber, type = ipairs, next, require, tonumber, type
local find, lower = string.find, string.lower

local replies = require "veo.wire.reply"
local statuses = require "veo.wire.status"
local task_id = require "veo.wire.task_id"
local text = require "veo.util.text"
local times = require "veo.wire.time"
local transient = require "veo.util.transient"
local urls = require "veo.wire.urls"
local validate = require "veo.wire.validate"

local M = {
  veo = require "veo.wire.veo",
  jobs = require "veo.wire.jobs",
}

---A link as it can be asked for, its blanks escaped; nil for what is no http(s) URL.
---@type fun(value: any): string|nil
M.link = urls.link

---A time of the service → epoch seconds when that is certain, else nil.
---@type fun(value: any): number|nil
M.time = times.epoch

---The parameters of a call → what goes to the service, and warnings; or nil and an `invalid` error.
---@type fun(api: table, operation: string, params: table): table|nil, string[]|veo.Error
M.check = validate.check

---A task id as it may be sent → true, or nil and an `invalid` error.
---@type fun(value: any, operation: string|nil): true|nil, veo.Error|nil
M.task_id = validate.task_id

---One short printable line from any text, for messages and logs.
---@type fun(s: string, limit: integer|nil): string
M.printable = text.printable

---A URL without user, query and fragment, for messages and logs.
---@type fun(url: string): string
M.bare_url = text.bare_url

-- What had arrived when the client was closed may be the whole answer.
local function read_of_closed(failure)
  local body = failure.reason == "closed" and failure.text and urls.decode(failure.text)
  if type(body) ~= "table" or body[1] ~= nil then return nil end
  return { code = body.code, msg = body.msg, data = body.data, body = body, text = failure.text,
    excerpt = failure.excerpt, sent = "yes", complaint = failure.message }
end

-- An upgrade asked for again: 422 both while the service works on it ("processing") and when it is done, with links.
local function made_before(reply, taskId, links, source)
  local working = type(reply.msg) == "string" and find(lower(reply.msg), "processing", 1, true) ~= nil
  if not links and not (working and taskId) then return nil end
  return { taskId = taskId or source, raw = reply.body, resultUrls = links, processing = not links or nil,
    complaint = reply.complaint, made_before = not taskId or nil }
end

-- The task that an answer names without doubt.
local function task_of(spec, reply, source)
  local code, taskId = replies.code(reply), task_id.plainly(reply)
  local data = task_id.opened(reply.data)
  local links = type(data) == "table" and urls.list(data.resultUrls) or nil
  if code == 200 and taskId then
    return { taskId = taskId, raw = reply.body, resultUrls = links, complaint = reply.complaint }
  end
  local again = spec and spec.not_ready and spec.not_ready[code] and type(data) == "table"
  return again and made_before(reply, taskId, links, source) or nil
end

---Judges the answer to a billable call.
---@param api table
---@param operation string
---@param reply table|nil      as veo.core gives it
---@param failure table|nil
---@param source string|nil    the task that the order starts from
---@return { taskId: string, raw: table|nil, resultUrls: string[]|nil, processing: boolean|nil, complaint: string|nil, made_before: boolean|nil }|nil accepted  `complaint`: of the transport, behind the whole reply
---@return veo.Error|nil err
---@return "repeat"|"refused"|"uncertain"|nil verdict
function M.accepted(api, operation, reply, failure, source)
  if failure then reply = read_of_closed(failure) end
  local task = reply and task_of(api.operations[operation], reply, source)
  if task then return task end
  return nil, replies.submit_error(operation, reply, not reply and failure or nil, source)
end

local function empty(data)
  return data == nil or data == "" or type(data) == "table" and next(data) == nil or type(data) == "userdata"
end

---Judges the answer to a status call.
---@param api table
---@param reply table|nil
---@param failure table|nil
---@param taskId string|nil    the id that was asked for: named by the status or the error when the reply names none
---@return veo.Status|nil, veo.Error|nil
function M.status(api, reply, failure, taskId)
  if reply then
    local code, from = replies.code(reply)
    local data = reply.data
    if code == 200 then
      if type(data) == "table" and next(data) ~= nil and data[1] == nil then
        return statuses[api.reader](data, reply.body, taskId)
      end
      local err
      if empty(data) then
        err = replies.malformed("status", reply, "no such task (the reply holds no record)")
        err.code = "not_found"
      else
        err = replies.malformed("status", reply, "the record is " .. text.show(data) .. " instead of an object")
      end
      err.taskId = taskId
      return nil, err
    end
    if code == 501 and from == "body" then return statuses.from_code("failed", reply, taskId) end
    if code == 422 then
      local special = replies.unprocessable(reply.msg)
      if special and special.state then
        return statuses.from_code(special.state, reply, taskId, "the service says: " .. text.printable(reply.msg, 100))
      end
    end
  end
  local err = replies.free_error("status", reply, failure)
  err.taskId = err.taskId or taskId
  return nil, err
end

-- What a free call returns, by its operation's `result`.
local results = {}

function results.number(data)
  if type(data) == "number" then return data end
  return type(data) == "string" and #data < 40 and find(data, "^%-?%d+%.?%d*$") and tonumber(data) or nil
end

function results.url(data)
  local list = urls.list(data)
  return list and list[1]
end

function results.downloadUrl(data)
  if type(data) ~= "table" then return nil end
  data.downloadUrl = results.url(data.downloadUrl)
  return data.downloadUrl and data or nil
end

---Judges the answer to another free call (credits, download_url, …).
---@param api table
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@return any data            a number, a URL or `data` as it came, by the operation
---@return veo.Error|nil
function M.free(api, operation, reply, failure)
  if not reply or replies.code(reply) ~= 200 then return nil, replies.free_error(operation, reply, failure) end
  local spec = api.operations[operation]
  local read = spec and results[spec.result]
  local data = reply.data
  if read then data = read(data) end
  if data == nil then
    return nil, replies.malformed(operation, reply, "the reply holds no " .. (spec and spec.result or "data"))
  end
  return data
end

-- The link of a 1080P version: in `data` or a string of JSON there, in the one object of a list, or at the top; `data`
-- itself only when it came with success.
local function link_of(reply, code)
  local data = task_id.opened(reply.data)
  if code == 200 and type(data) == "string" then return results.url(data) end
  if type(data) == "table" and type(data[1]) == "table" then data = data[1] end
  for _, place in ipairs { data or false, reply.body or false } do
    local url = type(place) == "table" and (results.url(place.resultUrl) or results.url(place.resultUrls))
    if url then return url end
  end
  return nil
end

---Judges the answer to get_1080p: the link, or that it is not ready (400, 404 and 422 have been seen for that).
---@param api table
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@return { ready: boolean, url: string|nil, raw: table|nil, err: veo.Error|nil }|nil
---@return veo.Error|nil
---@return boolean|nil uncertain  whether it may have been ordered all the same
function M.upgrade(api, operation, reply, failure)
  local spec = api.operations[operation]
  if reply then
    local code = replies.code(reply)
    local url = link_of(reply, code)
    if url and (code == 200 or spec.not_ready[code]) then return { ready = true, url = url, raw = reply.body } end
    if code == 200 or spec.not_ready[code] then
      local err = code ~= 200 and replies.free_error(operation, reply)
        or replies.malformed(operation, reply, "the reply holds no link yet")
      -- Records that are too old and the gateway's own pages do not become ready.
      if err.code ~= "expired" and err.code ~= "unavailable" then
        return { ready = false, err = err, raw = reply.body }
      end
      return nil, err, false
    end
  end
  return nil, replies.free_error(operation, reply, failure), replies.may_have_arrived(reply, failure)
end

---Whether a free call that ended with this error may be repeated.
---@type fun(err: veo.Error): boolean
M.repeatable = transient.is

return M
