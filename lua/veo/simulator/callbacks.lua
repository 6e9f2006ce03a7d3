--- Callbacks: a POST to the task's callBackUrl when it ends, signed when the account has a key, tried three times.
-- Documented: an answer within 15 s, three tries. Both waits shrink with the speed, the answer's not under 0.5 s.
-- Nothing leaves loopback: a callBackUrl elsewhere is noted as not sent.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local http = require "veo.simulator.http"
local http1 = require "veo.util.http1"
local json = require "veo.simulator.json"
local media = require "veo.simulator.media"
local script = require "veo.simulator.script"
local status = require "veo.simulator.status"

local M = {}

local TRIES, ANSWER_WITHIN = 3, 15
local BOUNDS = { head = 65536, headers = 100, chunks = 0 } -- of the answer's head
local NONE = {}
local loopback = { ["127.0.0.1"] = true, localhost = true }

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local text = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local index = math.floor(number / 64 ^ place) % 64 + 1
      local missing = place == 0 and not c or place == 1 and not b
      text[#text + 1] = missing and "=" or alphabet:sub(index, index)
    end
  end
  return table.concat(text)
end

--- base64(HMAC-SHA256(key, taskId .. "." .. timestamp))
function M.signature(key, task_id, timestamp)
  return base64(require("openssl.hmac").new(key, "sha256"):final(task_id .. "." .. timestamp))
end

--- The body of a callback.
function M.body(world, task, effect)
  local state = world.tasks:state(task, effect)
  local succeeded = state == "succeeded"
  local code = effect.code or (succeeded and 200 or task.error_code or 501)
  local id_name = effect.snake and "task_id" or "taskId"
  local info = ""
  if succeeded and not effect.no_info then info = ',"info":' .. status.info(task, media.links(world, task), effect) end
  local message = succeeded and "Veo3.1 video generated successfully." or task.error_message or "Video extension failed"
  return ('{"code":%d,"msg":%s,"data":{"%s":%s%s,"fallbackFlag":false}}'):format(code, json.encode(message), id_name,
    json.encode(task.id), info)
end

local function signed_headers(world, task, effect)
  local key = world.options.webhook_key
  if not key or effect.forge == "none" then return "" end
  local stamp = ("%d"):format(os.time() - (effect.forge == "timestamp" and 3600 or 0))
  local signature = M.signature(effect.forge == "signature" and key .. "x" or key, task.id, stamp)
  return ("X-Webhook-Timestamp: %s\r\nX-Webhook-Signature: %s\r\n"):format(stamp, signature)
end

-- One try. Returns the HTTP status, or nil and why not.
local function post(url, body, more, timeout)
  local scheme, host, port, target = url:match("^(https?)://([^:/?]+):?(%d*)([^#]*)")
  if not scheme then return nil, "not a URL" end
  if not loopback[host] then return nil, "not sent: the simulator never leaves loopback" end
  port = tonumber(port) or (scheme == "https" and 443 or 80)
  if target:sub(1, 1) ~= "/" then target = "/" .. target end
  local sock = socket.connect { host = host, port = port, nodelay = true }
  sock:settimeout(timeout)
  local connection = http1.connection(sock, BOUNDS)
  local function finish(answer, why)
    sock:close()
    return answer, why
  end
  if not sock:connect(timeout) then return finish(nil, "refused") end
  if scheme == "https" and not sock:starttls(timeout) then return finish(nil, "no TLS") end
  local head = http.head_of_request("POST", target, host .. ":" .. port, body, more)
  if not connection:write(head .. body, timeout) then return finish(nil, "closed") end
  connection:within(timeout)
  local first = connection:head()
  local code = first and tonumber(first:match("^HTTP/1%.%d (%d+)"))
  return finish(code, not code and "no answer" or nil)
end

--- Sends the callback of a task, with its repeats and tries, and notes each.
--- @param url string
--- @param effect table
function M.send(world, task, url, effect)
  local speed = world.options.speed
  if effect.delay then cqueues.sleep(effect.delay) end
  for _ = 1, effect.repeats or 1 do
    for try = 1, TRIES do
      local body = M.body(world, task, effect)
      local entry = { taskId = task.id, url = url, try = try, time = cqueues.monotime() }
      world.callbacks[#world.callbacks + 1] = entry
      local code, why = post(url, body, signed_headers(world, task, effect), math.max(0.5, ANSWER_WITHIN / speed))
      entry.http, entry.failed, entry.took = code, why, cqueues.monotime() - entry.time
      if code and code >= 200 and code < 300 then break end
      if try < TRIES then cqueues.sleep(ANSWER_WITHIN / speed) end
    end
  end
end

--- Waits for the task's end, then sends.
function M.schedule(world, task)
  world.loop:wrap(function()
    cqueues.sleep(math.max(0, task.done - cqueues.monotime()))
    if world.tasks.by_id[task.id] ~= task then return end  -- the world was reset meanwhile
    local request = { endpoint = "callback", method = "POST", path = task.callback, target = task.callback,
      task_id = task.id }
    local effect = script.find(world.rules, request) or script.find(task.rules, request) or NONE
    if effect.skip_callback then return end
    M.send(world, task, task.callback, effect)
  end)
end

return M
