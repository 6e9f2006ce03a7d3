--- From a reply or a failure of veo.core to an error, or to none: which code decides, and what it means.
--- Rule of the service: a JSON object with a usable `code` in it decides; otherwise the HTTP status does.

local codes = require "veo.wire.codes"
local errors = require "veo.errors"
local text = require "veo.wire.text"

local M = {}

local tointeger = rawget(math, "tointeger") -- 5.3 and later

-- A whole number given as a number, a float or a numeric string. Long strings are no codes (and would cost a
-- backtracking pattern dearly).
local function integer(value)
  if type(value) == "string" then
    value = #value <= 24 and value:find("^%s*%-?%d+%.?0*%s*$") and tonumber(value) or nil
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

-- A task id inside a reply: documented as a string; `task_id` and whole numbers occur.
local function usable_id(value)
  if type(value) == "string" then
    if value:find("^%w+$") then return value end -- without a set: it costs three times a class
    if value:find("%S") and not value:find("%c") then return value end
    return nil
  end
  local n = integer(value)
  if n and n >= 0 and n < 9007199254740992 then return ("%.0f"):format(n) end
  return nil
end

---@param data any
---@return string|nil
function M.task_id(data)
  if type(data) ~= "table" then return nil end
  return usable_id(data.taskId) or usable_id(data.task_id)
end

local function service_text(msg)
  if type(msg) == "string" and msg:find("%S") then return text.printable(msg, 200) end
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
  fields.retry_after = source.retry_after
  fields.timed_out = source.timed_out or nil
  fields.excerpt = type(source.excerpt) == "string" and text.printable(source.excerpt, 200) or nil
  return errors.new(fields)
end

local function say(operation, meaning, code, from, source)
  local out = operation .. ": " .. meaning
  if code then out = out .. (" (%s %d"):format(from == "body" and "code" or "HTTP", code) else out = out .. " (" end
  local detail = service_text(source.msg)
  if not detail and type(source.excerpt) == "string" and source.excerpt ~= "" then
    detail = text.printable(source.excerpt, 80)
  end
  if detail then out = out .. (code and ": " or "") .. '"' .. detail .. '"' end
  return out .. ")"
end

local UNREADABLE = { malformed = "the reply is not a JSON object", too_large = "the reply is longer than 1 MiB" }
local ENDED = { cancelled = "cancelled", closed = "closed", io = "io" }

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
  msg = msg:lower()
  for i = 1, #codes.unprocessable do
    if msg:find(codes.unprocessable[i].pattern, 1, true) then return codes.unprocessable[i] end
  end
  return nil
end
M.unprocessable = unprocessable

---The error of a free call whose deciding code is not 200, or whose reply could not be had.
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@return veo.Error
function M.free_error(operation, reply, failure)
  if failure and not UNREADABLE[failure.reason] then
    local code = ENDED[failure.reason] or "network"
    return build({ code = code, message = operation .. ": " .. why(failure), cause = failure.reason },
      operation, nil, failure)
  end
  local source = reply or failure
  local code, from = M.code(source)
  local cause = failure and failure.reason or nil
  local class, meaning
  if gateway_page(reply, failure) then
    class, meaning = "unavailable", GATEWAY
  elseif code == nil or code == 200 or from == "http" and code >= 300 and code < 400 then
    class, meaning = "malformed", failure and why(failure) or "the reply is a redirect or has no usable content"
  else
    local row = codes.row(code)
    class, meaning = row.free, row.meaning
    local special = code == 422 and unprocessable(source.msg)
    if special and special.code then class, meaning = special.code, special.meaning end
    -- Only the service itself can say that a task failed; HTTP 501 of some proxy must not bury a paid task.
    if class == "failed" and from == "http" then class, meaning = "server", "an undocumented code" end
  end
  return build({ code = class, message = say(operation, meaning, code, from, source), cause = cause },
    operation, reply, failure)
end

---A reply of the service that holds no usable answer.
function M.malformed(operation, reply, what)
  return build({ code = "malformed", message = operation .. ": " .. what }, operation, reply, nil)
end

---The error and the verdict of a billable call that brought no task id.
---@param operation string
---@param reply table|nil
---@param failure table|nil
---@return veo.Error, "repeat"|"refused"|"uncertain"
function M.submit_error(operation, reply, failure)
  if failure and not UNREADABLE[failure.reason] then
    local ended = ENDED[failure.reason]
    if failure.sent == "no" then
      return build({ code = ended or "network", message = operation .. ": nothing was sent: " .. why(failure),
        cause = failure.reason }, operation, nil, failure), ended and "refused" or "repeat"
    end
    return build({ code = "uncertain", message = operation .. ": no answer, and the request may have arrived: "
      .. why(failure), cause = ended or "network" }, operation, nil, failure), "uncertain"
  end
  local source = reply or failure
  local code, from = M.code(source)
  local row = code and codes.row(code)
  local class, verdict, meaning, cause = "uncertain", "uncertain"
  if not code or code == 200 then
    meaning, cause = failure and why(failure) or "accepted, but the reply names no task", failure and failure.reason
      or "malformed"
  elseif from == "http" and code >= 300 and code < 400 then
    meaning, cause = "a redirect instead of an answer", "redirect"
  else
    class, meaning, verdict = row.submit, row.meaning, row.verdict
    if gateway_page(reply, failure) then class, meaning = "unavailable", GATEWAY end
    cause = verdict == "uncertain" and row.free or failure and failure.reason or nil
  end
  local err = build({ code = class, message = say(operation, meaning, code, from, source), cause = cause },
    operation, reply, failure)
  if class == "uncertain" and reply then err.taskId = M.task_id(reply.data) end
  return err, verdict
end

return M
