--- Callbacks of the service: what they say, and whether they are genuine. Needs neither the core nor a client, so that a
--- web server's Lua can use it alone.
---
--- The signature covers the taskId and a time, not the body: a verified callback proves only that something happened to
--- that task lately. Believe client:status(event.taskId), which client:callback asks for.
--- Documentation: "Webhook Verification" and "Veo 3.1 Video Callbacks" of docs.kie.ai.

local errors = require "veo.errors"
local replies = require "veo.wire.reply"
local text = require "veo.wire.text"
local urls = require "veo.wire.urls"

local M = {}

---Seconds that a signature's time may lie in the past or in the future.
M.window = 300
---Bytes of a callback's body at most; the service's have under 4 KiB.
M.max_body = 1024 * 1024

-- More callbacks than this within the window are not remembered one by one.
local REMEMBERED = 10000

local function wrong(code, message)
  return errors.new { code = code, operation = "callback", message = "callback: " .. message }
end

-- What it says -------------------------------------------------------------------------------------------------------

---@class veo.webhook.Event
---@field taskId string
---@field code integer|nil      200, or why the task failed
---@field msg string|nil
---@field says "succeeded"|"failed"  what the body claims: a hint, no more
---@field resultUrls string[]|nil
---@field originUrls string[]|nil
---@field resolution string|nil
---@field raw table             the decoded body
---@field verified boolean
---@field timestamp integer|nil  of the signature
---@field replay boolean|nil    it was handled before

---Reads a callback's body. Whether it is genuine is another question: verify answers it.
---@param body string
---@return veo.webhook.Event|nil event
---@return veo.Error|nil err  malformed
function M.parse(body)
  if type(body) ~= "string" then return nil, wrong("malformed", "a body as a string expected, got " .. type(body)) end
  if #body > M.max_body then return nil, wrong("malformed", "the body is longer than 1 MiB") end
  local raw = body:find("^%s*{") and urls.decode(body)
  if type(raw) ~= "table" then return nil, wrong("malformed", "the body is not a JSON object") end
  local data = type(raw.data) == "table" and raw.data or raw
  local taskId = replies.task_id(data)
  if not taskId then return nil, wrong("malformed", "the body names no task") end
  local info = type(data.info) == "table" and data.info or type(data.response) == "table" and data.response or data
  local code = replies.integer(raw.code)
  return {
    taskId = taskId, code = code, msg = type(raw.msg) == "string" and raw.msg or nil,
    says = code == 200 and "succeeded" or "failed",
    resultUrls = urls.list(info.resultUrls), originUrls = urls.list(info.originUrls),
    resolution = type(info.resolution) == "string" and info.resolution or nil,
    raw = raw, verified = false,
  }
end

-- Whether it is genuine ----------------------------------------------------------------------------------------------

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    local digits = {}
    for place = 4, 1, -1 do
      local digit = number % 64
      number = (number - digit) / 64
      digits[place] = ALPHABET:sub(digit + 1, digit + 1)
    end
    if not b then digits[3] = "=" end
    if not c then digits[4] = "=" end
    out[#out + 1] = table.concat(digits)
  end
  return table.concat(out)
end

---The signature of a task and a time: base64(HMAC-SHA256(key, taskId .. "." .. timestamp)).
---@param key string
---@param taskId string
---@param timestamp string|integer  unix seconds
---@return string|nil signature
---@return veo.Error|nil err  missing: luaossl is not installed
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
    local d = a:byte(i) - b:byte(i)
    difference = difference + d * d
  end
  return difference == 0
end

-- A header by its name in lower case; nil when it is missing or there are two.
local function header(headers, wanted)
  local found
  for name, value in pairs(headers) do
    if type(name) == "string" and name:lower() == wanted then
      if found ~= nil or type(value) ~= "string" then return nil end
      found = value
    end
  end
  return found and found:match("^%s*(%S+)%s*$")
end

---Whether a callback is genuine: signed with the account's key, and lately.
---@param headers table<string, string>  as the web server has them; the case of the names does not matter
---@param body string
---@param key string                     the account's webhookHmacKey
---@param options { now: integer|nil, window: number|nil }|nil  unix seconds instead of os.time(); seconds instead of 300
---@return veo.webhook.Event|nil event
---@return veo.Error|nil err  unverified, malformed, missing
function M.verify(headers, body, key, options)
  if type(headers) ~= "table" then error("verify: headers: a table expected, got " .. type(headers), 2) end
  if type(key) ~= "string" or key == "" then error("verify: key: a non-empty string expected", 2) end
  options = options or {}
  local event, err = M.parse(body)
  if not event then return nil, err end
  local stamp, given = header(headers, "x-webhook-timestamp"), header(headers, "x-webhook-signature")
  if not stamp or not given then return nil, wrong("unverified", "it is not signed, or signed twice") end
  if not stamp:find("^%d+$") or #stamp > 12 then return nil, wrong("unverified", "its timestamp is no unix time") end
  local wanted
  wanted, err = M.signature(key, event.taskId, stamp)
  if not wanted then return nil, err end
  -- The signature first: whoever has no key learns nothing of our clock.
  if not equal(wanted, given) then return nil, wrong("unverified", "its signature does not hold") end
  local age = (options.now or os.time()) - tonumber(stamp)
  if math.abs(age) > (options.window or M.window) then
    return nil, wrong("unverified", ("its signature is %s s %s; this machine's clock may be wrong"):format(
      text.printable(tostring(math.abs(age)), 20), age > 0 and "old" or "early"))
  end
  event.verified, event.timestamp = true, tonumber(stamp)
  return event
end

-- Whether it was handled before --------------------------------------------------------------------------------------

---@class veo.webhook.Memory
local Memory = {}
Memory.__index = Memory

---A memory of the callbacks that were handled. A callback is remembered only once handling it has succeeded: a crash
---before that must not make the service's next try look like a replay.
---@param options { now: (fun(): number)|nil, window: number|nil }|nil
---@return veo.webhook.Memory
function M.memory(options)
  options = options or {}
  return setmetatable({ now = options.now or os.time, window = options.window or M.window, handled = {}, count = 0 },
    Memory)
end

local function key_of(event)
  return event.timestamp and event.taskId .. "." .. event.timestamp or nil
end

---What was remembered with a callback that was handled before, or nil.
---@param event veo.webhook.Event
---@return any
function Memory:recall(event)
  local entry = self.handled[key_of(event) or false]
  return entry and entry.value
end

---@param event veo.webhook.Event  a verified one
---@param value any|nil            given back by recall; true unless given
function Memory:remember(event, value)
  local key = key_of(event)
  if not key then return end
  -- A signature is good from `window` before its time to `window` after it.
  local now = self.now()
  if self.count >= REMEMBERED then
    for old, entry in pairs(self.handled) do
      if entry.until_when < now then
        self.handled[old] = nil
        self.count = self.count - 1
      end
    end
  end
  if self.count >= REMEMBERED then return end -- handling one twice does no harm
  if not self.handled[key] then self.count = self.count + 1 end
  self.handled[key] = { value = value == nil and true or value, until_when = event.timestamp + self.window + 1 }
end

return M
