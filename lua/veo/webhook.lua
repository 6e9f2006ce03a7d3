--- Callbacks of the service: what they say, and whether they are genuine. Needs neither the core nor a client, so that a
--- web server's Lua can use it alone.
---
--- The signature covers the taskId and a time, not the body: a verified callback proves only that something happened to
--- that task lately. Believe client:status(event.taskId), which client:callback asks for.
--- Documentation: "Webhook Verification" and "Veo 3.1 Video Callbacks" of docs.kie.ai.

local error, pairs, pcall, require = error, pairs, pcall, require
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local abs = math.abs
local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub
local lower, match, sub = string.lower, string.match, string.sub
local concat = table.concat
local time = os and os.time

local errors = require "veo.errors"
local checks = require "veo.util.options"
local replies = require "veo.wire.reply"
local task_id = require "veo.wire.task_id"
local text = require "veo.util.text"
local ttl_cache = require "veo.util.ttl_cache"
local urls = require "veo.wire.urls"

---@type veo.webhook
local M = {}

---Seconds that a signature's time may lie in the past or in the future.
M.window = 300
---Bytes of a callback's body at most; the service's have under 4 KiB.
M.max_body = 1024 * 1024

-- A callback has two dozen values; more commas and brackets than this make none. Whoever has no key may send a body, and
-- decoding 64 KiB of empty lists takes 5 ms, and the collector as long again.
local MOST_VALUES = 4096

-- Of more callbacks than this the oldest are forgotten early: handling one twice does no harm.
local REMEMBERED = 20000

local OPTIONS = { now = true, window = true }

local function wrong(code, message)
  return errors.new { code = code, operation = "callback", message = "callback: " .. message }
end

-- What it says -------------------------------------------------------------------------------------------------------

-- Plain finds: one pattern for all three takes as long as decoding does.
local function is_small(body)
  local left = MOST_VALUES
  for i = 1, 3 do
    local at = 0
    repeat
      at, left = find(body, sub("[{,", i, i), at + 1, true), left - 1
      if left < 0 then return false end
    until not at
  end
  return true
end

-- The object that a body is, or nil and why it is none.
local function object_of(body)
  if type(body) ~= "string" then return nil, "a body as a string expected, got " .. type(body) end
  if #body > M.max_body then return nil, "the body is longer than 1 MiB" end
  local is_object = is_small(body) and (find(body, "^%s*{") or find(body, "^\239\187\191%s*{"))
  local raw = is_object and urls.decode(body)
  if type(raw) ~= "table" then return nil, "the body is not a JSON object" end
  return raw
end

-- Where a task's results stand.
local function results_of(data)
  if type(data.info) == "table" then return data.info end
  return type(data.response) == "table" and data.response or data
end

function M.parse(body)
  local raw, why = object_of(body)
  if not raw then return nil, wrong("malformed", why) end
  local data, text_of_data = task_id.opened(raw.data, body)
  if type(data) ~= "table" then data, text_of_data = raw, body end
  local taskId = replies.task_id(data, text_of_data) or replies.task_id(raw, body)
  if not taskId then return nil, wrong("malformed", "the body names no task") end
  local results, code = results_of(data), replies.integer(raw.code)
  return {
    taskId = taskId, code = code, msg = type(raw.msg) == "string" and raw.msg or nil,
    says = code == 200 and "succeeded" or "failed",
    resultUrls = urls.list(results.resultUrls), originUrls = urls.list(results.originUrls),
    resolution = type(results.resolution) == "string" and results.resolution or nil,
    raw = raw, verified = false,
  }
end

-- Whether it is genuine ----------------------------------------------------------------------------------------------

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = byte(bytes, i, i + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    local digits = {}
    for place = 4, 1, -1 do
      local digit = number % 64
      number = (number - digit) / 64
      digits[place] = sub(ALPHABET, digit + 1, digit + 1)
    end
    if not b then digits[3] = "=" end
    if not c then digits[4] = "=" end
    out[#out + 1] = concat(digits)
  end
  return concat(out)
end

function M.signature(key, taskId, timestamp)
  local found, hmac = pcall(require, "openssl.hmac")
  if not found then
    return nil, wrong("missing", "checking signatures needs luaossl: luarocks install luaossl, or on Debian "
      .. "apt-get install lua-luaossl")
  end
  return base64(hmac.new(key, "sha256"):final(taskId .. "." .. timestamp))
end

-- Takes as long whatever the first difference is. (XOR is not in every Lua; squares never cancel out.)
local function equal(a, b)
  if #a ~= #b then return false end
  local difference = 0
  for i = 1, #a do
    local d = byte(a, i) - byte(b, i)
    difference = difference + d * d
  end
  return difference == 0
end

-- A header's one value as text: servers hand out a string, a number or a list of one.
local function one(value)
  if type(value) == "table" and value[2] == nil then value = value[1] end
  if type(value) == "number" then return text.number(value) end
  return type(value) == "string" and value or nil
end

-- As CGI and WSGI spell them: HTTP_X_WEBHOOK_TIMESTAMP.
local function plain(name)
  return (gsub(gsub(lower(name), "^http[_-]", ""), "_", "-"))
end

-- A header by its name in lower case; nil when it is missing or there are two. lua-http's headers are an object whose
-- each() goes through them.
local function header(headers, wanted)
  local found, count = nil, 0
  local function look(name, value)
    if type(name) ~= "string" or plain(name) ~= wanted then return end
    count, found = count + 1, one(value)
  end
  if type(headers.each) == "function" then
    for name, value in headers:each() do look(name, value) end
  else
    for name, value in pairs(headers) do look(name, value) end
  end
  return count == 1 and found and match(found, "^%s*(%S+)%s*$") or nil
end

-- The time that a signature which holds was made for; nil, and what is wrong.
local function signed_at(headers, taskId, key)
  local stamp, given = header(headers, "x-webhook-timestamp"), header(headers, "x-webhook-signature")
  if not stamp or not given then return nil, wrong("unverified", "it is not signed, or signed twice") end
  if not find(stamp, "^%d+$") or #stamp > 12 then
    return nil, wrong("unverified", "its timestamp is not a Unix time")
  end
  local wanted, err = M.signature(key, taskId, stamp)
  if not wanted then return nil, err end
  if not equal(wanted, given) then return nil, wrong("unverified", "its signature is not valid") end
  return tonumber(stamp)
end

function M.verify(headers, body, key, options)
  if type(headers) ~= "table" then error("verify: headers: a table expected, got " .. type(headers), 2) end
  if type(key) ~= "string" or key == "" then error("verify: key: a non-empty string expected", 2) end
  options = options or {}
  local unknown = checks.unknown("option", options, OPTIONS)
  if unknown then error("verify: " .. unknown, 2) end
  local event, err = M.parse(body)
  if not event then return nil, err end
  if not (options.now or time) then
    return nil, wrong("missing", "how old a callback is takes os.time, which this Lua does not have: give `now`")
  end
  -- The signature first: whoever has no key learns nothing of our clock.
  local stamp
  stamp, err = signed_at(headers, event.taskId, key)
  if not stamp then return nil, err end
  local age = (options.now or time()) - stamp
  if abs(age) > (options.window or M.window) then
    return nil, wrong("unverified", format("its signature is %s s %s; this machine's clock may be wrong",
      text.printable(tostring(abs(age)), 20), age > 0 and "old" or "early"))
  end
  event.verified, event.timestamp = true, stamp
  return event
end

-- Whether it was handled before --------------------------------------------------------------------------------------

---@type veo.webhook.Memory
local Memory = {}
Memory.__index = Memory

function M.memory(options)
  options = options or {}
  local unknown = checks.unknown("option", options, OPTIONS)
  if unknown then error("memory: " .. unknown, 2) end
  if not (options.now or time) then error("memory: now: needed where there is no os.time", 2) end
  -- A signature is good from `window` before its time to `window` after it.
  local seconds = 2 * (options.window or M.window) + 1
  return setmetatable({ handled = ttl_cache.new(options.now or time, seconds, REMEMBERED) }, Memory)
end

local function key_of(event)
  return event.timestamp and event.taskId .. "." .. event.timestamp or nil
end

function Memory:recall(event)
  local key = key_of(event)
  return key and self.handled:get(key)
end

function Memory:remember(event, value)
  local key = key_of(event)
  if key then self.handled:set(key, value == nil and true or value) end
end

return M
