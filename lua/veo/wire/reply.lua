--- Turns a reply or a failure of veo.core into an error, or none: which code decides, and what it means.
--- Rule of the service: a JSON object with a usable `code` in it decides; otherwise the HTTP status does.

local rawget, tonumber, tostring, type = rawget, tonumber, tostring, type
local find, format, lower = string.find, string.format, string.lower

local codes = require "veo.wire.codes"
local errors = require "veo.errors"
local task_id = require "veo.wire.task_id"
local text = require "veo.util.text"
local transient = require "veo.util.transient"

local M = {}

local tointeger = rawget(math, "tointeger") -- 5.3 and later

-- A whole number given as an integer, a float or a numeric string. Long strings are not codes, and would make the
-- pattern backtrack for long.
local function integer(value)
  if type(value) == "string" then
    value = #value <= 24 and find(value, "^%s*%-?%d+%.?0*%s*$") and tonumber(value) or nil
  end
  if type(value) ~= "number" or value % 1 ~= 0 then return nil end
  return tointeger and tointeger(value) or value
end
M.integer = integer

---The deciding code of a reply and where it came from. A 2xx without a code in the body counts as 200.
---@return integer|nil code, "body"|"http" from
function M.code(reply)
  local code = reply.code
  if code == 200 then return 200, "body" end
  code = integer(code)
  if code then return code, "body" end
  local status = reply.http_status
  if status and status >= 200 and status < 300 then return 200, "http" end
  return status, "http"
end

---The id that an object names; `body` is the text it was decoded from, if that is there.
---@type fun(data: any, body: string|nil): string|nil
M.task_id = task_id.by_object

local function service_text(msg)
  if type(msg) == "string" and find(msg, "%S") then return text.printable(msg, 200) end
  return nil
end

-- Everything known about the exchange goes into the error; the caller adds attempts and the task id.
local function build(fields, operation, reply, failure)
  local source = reply or failure
  local msg = service_text(source.msg)
  fields.operation = operation
  fields.sent = source.sent or (reply and "yes") or "maybe"
  fields.http_status = source.http_status
  fields.service_code = fields.service_code or integer(source.code)
  fields.service_msg = msg
  fields.curl_code = source.curl_code
  fields.proxy_status = source.proxy_status
  fields.retry_after = source.retry_after
  fields.timed_out = source.timed_out or nil
  fields.excerpt = type(source.excerpt) == "string" and text.printable(source.excerpt, 200) or nil
  return errors.new(fields)
end

local function say(operation, meaning, code, from, source)
  local out = operation .. ": " .. meaning
  if code then out = out .. format(" (%s %d", from == "body" and "code" or "HTTP", code) else out = out .. " (" end
  local detail = service_text(source.msg)
  if not detail and type(source.excerpt) == "string" and source.excerpt ~= "" then
    detail = text.printable(source.excerpt, 80)
  end
  if detail then out = out .. (code and ": " or "") .. '"' .. detail .. '"' end
  return out .. ")"
end

local UNREADABLE = { malformed = "the reply is not a JSON object", too_large = "the reply is longer than 1 MiB" }
local ENDED = { cancelled = "cancelled", closed = "closed", io = "io", internal = "internal", invalid = "invalid",
  protocol = "unavailable" }

local function why(failure)
  if UNREADABLE[failure.reason] then return UNREADABLE[failure.reason] end
  local detail = type(failure.message) == "string" and text.printable(failure.message, 200) or tostring(failure.reason)
  return detail
end

-- A page of the gateway instead of an answer of the service: no JSON, or a framework's JSON with a `path` in it.
local function gateway_page(reply, failure)
  if failure then return failure.http_status == 404 end
  return reply.http_status == 404 and type(reply.body) == "table" and reply.body.path ~= nil
end

local GATEWAY = "the gateway does not know this address"

local function unprocessable(msg)
  if type(msg) ~= "string" then return nil end
  msg = lower(msg)
  for i = 1, #codes.unprocessable do
    if find(msg, codes.unprocessable[i].pattern, 1, true) then return codes.unprocessable[i] end
  end
  return nil
end
M.unprocessable = unprocessable

-- Nothing arrived that could be an answer.
local function is_unanswered(failure)
  return failure ~= nil and not UNREADABLE[failure.reason]
end

local function is_redirect(code, from)
  return from == "http" and code >= 300 and code < 400
end

-- What an answer's deciding code means for a free call: an error code, and words for it.
local function free_meaning(reply, failure, code, from)
  if gateway_page(reply, failure) then return "unavailable", GATEWAY end
  if code == nil or code == 200 or is_redirect(code, from) then
    return "malformed", failure and why(failure) or "the reply is a redirect or has no usable content"
  end
  local special = code == 422 and unprocessable((reply or failure).msg)
  if special and special.code then return special.code, special.meaning end
  local row = codes.row(code)
  -- Only the service itself can say that a task failed: HTTP 501 of some proxy must not end the wait for a paid task.
  if row.free == "failed" and from == "http" then return "server", "an undocumented code" end
  return row.free, row.meaning
end

---The error of a free call whose deciding code is not 200, or whose reply could not be had.
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@return veo.Error
function M.free_error(operation, reply, failure)
  local cause = failure and failure.reason or nil
  if is_unanswered(failure) then
    return build({ code = ENDED[cause] or "network", message = operation .. ": " .. why(failure), cause = cause },
      operation, nil, failure)
  end
  local source = reply or failure
  local code, from = M.code(source)
  local class, meaning = free_meaning(reply, failure, code, from)
  return build({ code = class, message = say(operation, meaning, code, from, source), cause = cause },
    operation, reply, failure)
end

---A reply of the service that holds no usable answer.
function M.malformed(operation, reply, what)
  return build({ code = "malformed", message = operation .. ": " .. what }, operation, reply, nil)
end

-- What an uncertain answer says that may help to find the task.
local function keep_clues(err, reply, failure, source)
  err.taskId, err.recordId = task_id.candidate(reply, failure, source, false)
  err.candidate = err.taskId and true or nil
  if err.taskId then err.message = format("%s; it may be task %s", err.message, text.printable(err.taskId)) end
end

-- A refusal that names a task: the service may have created it all the same.
local function keep_named(err, reply, failure, source)
  err.taskId = task_id.candidate(reply, failure, source, true)
  err.charged = err.taskId and "maybe" or nil
end

-- An order without an answer.
local function unanswered(operation, failure)
  local ended = ENDED[failure.reason]
  if failure.sent == "no" then
    return build({ code = ended or "network", message = operation .. ": nothing was sent: " .. why(failure),
      cause = failure.reason }, operation, nil, failure),
      (ended or transient.is_lasting(failure)) and "refused" or "repeat"
  end
  return build({ code = "uncertain", message = operation .. ": no answer, and the request may have arrived: "
    .. why(failure), cause = ended or "network" }, operation, nil, failure), "uncertain"
end

-- What an answer's deciding code means for an order: verdict, error code, words, and the cause.
local function submit_meaning(reply, failure, code, from)
  if not code or code == 200 then
    return "uncertain", "uncertain", failure and why(failure) or "accepted, but the reply names no task",
      failure and failure.reason or "malformed"
  end
  if is_redirect(code, from) then return "uncertain", "uncertain", "a redirect instead of an answer", "redirect" end
  local row = codes.row(code)
  local cause = row.verdict == "uncertain" and row.free or failure and failure.reason or nil
  if gateway_page(reply, failure) then return row.verdict, "unavailable", GATEWAY, cause end
  return row.verdict, row.submit, row.meaning, cause
end

-- The error without the clues, and the verdict.
local function judge(operation, reply, failure)
  if is_unanswered(failure) then return unanswered(operation, failure) end
  local source = reply or failure
  local code, from = M.code(source)
  local verdict, class, meaning, cause = submit_meaning(reply, failure, code, from)
  return build({ code = class, message = say(operation, meaning, code, from, source), cause = cause },
    operation, reply, failure), verdict
end

---Whether an order without an accepting answer may have been placed all the same.
---@param reply table|nil
---@param failure table|nil
---@return boolean
function M.may_have_arrived(reply, failure)
  if is_unanswered(failure) then return failure.sent ~= "no" end
  return submit_meaning(reply, failure, M.code(reply or failure)) == "uncertain"
end

---The error and the verdict of a billable call that was not accepted. If the answer names an id all the same, the error
---has it: an uncertain one as a candidate, a refusal with `charged = "maybe"`.
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@param source string|nil  the task that the order starts from
---@return veo.Error, "repeat"|"refused"|"uncertain"
function M.submit_error(operation, reply, failure, source)
  local err, verdict = judge(operation, reply, failure)
  if verdict == "uncertain" then
    keep_clues(err, reply, failure, source)
  else
    keep_named(err, reply, failure, source)
  end
  return err, verdict
end

return M
