--- The many shapes of an answer: the envelope, and bodies that replace it.
local json = require "veo.simulator.json"
local gzip = require "veo.simulator.gzip"

local M = {}

--- Default messages of the body codes, as the documentation words them.
M.messages = {
  [200] = "success",
  [400] = "Your prompt was flagged by Website as violating content policies",
  [401] = "You do not have access permissions",
  [402] = "Credits insufficient",
  [403] = "Your IP is not in the whitelist of this key",
  [404] = "The requested resource does not exist",
  [408] = "Upstream service timeout",
  [422] = "Validation Error",
  [429] = "Your call frequency is too high",
  [433] = "The key has reached its usage limit",
  [451] = "Unauthorized to fetch the image",
  [455] = "The service is currently undergoing maintenance",
  [500] = "Server exception, please try again later",
  [501] = "Extension failed",
  [505] = "This feature is currently disabled",
}

local function code_text(code, form)
  if form == "float" then return ("%.1f"):format(code) end
  if form == "string" then return ('"%d"'):format(code) end
  if form == "null" then return "null" end
  return tostring(code)
end

--- The envelope as text.
--- @param code number|string
--- @param msg string
--- @param data string JSON
--- @param effect table
function M.envelope(code, msg, data, effect)
  local parts = {}
  if effect.code_form ~= "missing" then parts[1] = '"code":' .. code_text(code, effect.code_form) end
  if effect.msg_form ~= "absent" then
    parts[#parts + 1] = json.encode(effect.msg_form == "message" and "message" or "msg") .. ":" .. json.encode(msg)
  end
  if effect.extra then parts[#parts + 1] = '"traceId":"5f0c","region":{"name":"x","list":[1,{"a":null}]}' end
  if data then parts[#parts + 1] = '"data":' .. data end
  return "{" .. table.concat(parts, ",") .. "}"
end

local page = "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n"
  .. "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

local HUGE = 64 * 1024 * 1024

-- Told piece by piece, so that the simulator never holds it whole.
local function huge()
  local head, tail = '{"code":200,"msg":"success","data":"', '"}'
  local left = HUGE - #head - #tail
  local piece = ("A"):rep(64 * 1024)
  local step = 0
  return function()
    if step == 0 then
      step = 1
      return head
    elseif left > 0 then
      local text = left >= #piece and piece or piece:sub(1, left)
      left = left - #text
      return text
    elseif step == 1 then
      step = 2
      return tail
    end
  end
end

-- The body, its type, and what else the response has.
local makers = {
  html = function(http) return page:format(http .. " Error", http .. " Error"), "text/html" end,
  text = function() return "upstream connect error or disconnect/reset before headers", "text/plain" end,
  empty = function() return "" end,
  cut = function() return '{"code":200,"msg":"success","data":{"taskId":"4d1c0f8e7a6b' end,
  array = function() return '[{"code":200,"msg":"success","data":null}]' end,
  number = function() return "200" end,
  garbled = function() return "\0\1\2\255\254{]\27[31m\r\n\200\201" end,
  gateway = function(http, path)
    return ('{"timestamp":"2026-09-24T10:00:00.000+00:00","status":%d,"error":"Not Found","path":%s}'):format(http,
      json.encode(path))
  end,
  huge = function() return nil, nil, { stream = huge(), length = HUGE } end,
  gzip_bomb = function() return gzip.bomb(), nil, { headers = { { "Content-Encoding", "gzip" } } } end,
  deep = function() return '{"code":200,"msg":"success","data":' .. ("["):rep(5000) .. ("]"):rep(5000) .. "}" end,
}

local function redirect(effect, request)
  local target = effect.redirect
  if target == true then target = request.elsewhere .. request.target end
  return "", nil, { headers = { { "Location", target } } }
end

local function own_envelope(effect)
  local code, data = effect.code or 200, effect.data
  if type(data) == "table" then data = json.encode(data) end
  return M.envelope(code, effect.msg or M.messages[code] or "error", data or "null", effect)
end

local function make(effect, request, http)
  if effect.redirect then return redirect(effect, request) end
  if effect.body then return effect.body end
  if not makers[effect.form] and (effect.code ~= nil or effect.data ~= nil) then return own_envelope(effect) end
  return (makers[effect.form] or makers.html)(http, request.path)
end

--- An answer that the service would not have given, as an effect asks for it.
--- @return table response { status =, body = | stream = , length =, content_type =, headers = }
function M.replacement(effect, request)
  local http = effect.http or effect.redirect and 302 or effect.form == "gateway" and 404 or 200
  local body, content_type, more = make(effect, request, http)
  more = more or {}
  return { status = http, body = body, stream = more.stream, length = more.length, headers = more.headers or {},
    content_type = effect.content_type or content_type or "application/json" }
end

return M
