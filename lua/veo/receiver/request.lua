--- Just enough HTTP/1.1 to receive a callback: one request a connection, bounded in bytes and time.

local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local socket = require "cqueues.socket"

local M = {}

-- Seconds for the whole request; the service sends it in one go.
local PATIENCE = 10
local HEAD_LIMIT = 16384

local REASONS = { [200] = "OK", [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found",
  [405] = "Method Not Allowed", [408] = "Request Timeout", [411] = "Length Required", [413] = "Content Too Large",
  [500] = "Internal Server Error", [503] = "Service Unavailable" }

local function keep_error(_, _, why) return why end

---@return any|nil listener, string|nil why
function M.listen(host, port)
  local listener = socket.listen { host = host, port = port, nodelay = true, reuseaddr = true }
  listener:onerror(keep_error)
  local ok, why = listener:listen()
  if not ok then return nil, errno.strerror(why) or tostring(why) end
  return listener
end

-- More bytes at the end of the buffer; nil when there are none or the time is up.
local function more(sock, buffer, deadline)
  while true do
    local data, why = sock:recv(-65536)
    if data then return buffer .. data end
    local left = deadline - cqueues.monotime()
    if why ~= errno.EAGAIN or left <= 0 then return nil, left <= 0 end
    cqueues.poll(sock, left)
  end
end

local function headers_of(text)
  local headers = {}
  for name, value in text:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    -- Twice is as good as forged for the headers that matter; a table says so.
    headers[name] = headers[name] == nil and value or { headers[name], value }
  end
  return headers
end

-- Takes the whole chunks out of a buffer. Each is looked at once, however it dribbles in.
local Chunks = {}
Chunks.__index = Chunks

---@return string|nil rest  what has to wait for more; nil when it is not chunked as it should be
---@return boolean|nil ended
function Chunks:take(buffer)
  local at = 1
  while true do
    if not self.size then
      local from, to, size = buffer:find("^(%x+)[^\r\n]*\r\n", at)
      if not from then
        if buffer:find("\r\n", at, true) then return nil end
        break
      end
      if #size > 8 then return nil end -- more digits than any body has; they would wrap around
      self.size, at = tonumber(size, 16), to + 1
    elseif self.size == 0 then
      if buffer:find("^\r\n", at) or buffer:find("\r\n\r\n", at, true) then return "", true end
      break
    else
      local behind = at + self.size
      if #buffer < behind + 1 then break end
      self[#self + 1] = buffer:sub(at, behind - 1)
      self.bytes, self.size, at = self.bytes + self.size, nil, behind + 2
    end
  end
  return buffer:sub(at)
end

local function read_chunks(sock, buffer, limit, deadline)
  local chunks = setmetatable({ bytes = 0 }, Chunks)
  local ended, late
  while true do
    buffer, ended = chunks:take(buffer)
    if not buffer then return nil, 400, "not chunked as it should be" end
    if chunks.bytes + (chunks.size or 0) > limit or #buffer > limit + HEAD_LIMIT then return nil, 413, "too long" end
    if ended then return table.concat(chunks) end
    buffer, late = more(sock, buffer, deadline)
    if not buffer then return nil, late and 408 or nil, "the request did not come whole" end
  end
end

-- Digits only: tonumber would take fractions, exponents and hexadecimal for lengths.
local function length_of(headers)
  local text = headers["content-length"]
  return type(text) == "string" and text:find("^%d+ *$") and tonumber(text) or nil
end

local function read_body(sock, headers, buffer, limit, deadline)
  if headers["transfer-encoding"] then return read_chunks(sock, buffer, limit, deadline) end
  local length = length_of(headers)
  if not length then return nil, 411, "Content-Length expected" end
  if length > limit then return nil, 413, "too long" end
  local late
  while #buffer < length do
    buffer, late = more(sock, buffer, deadline)
    if not buffer then return nil, late and 408 or nil, "the request did not come whole" end
  end
  return buffer:sub(1, length)
end

---Reads a request.
---@return table|nil request  method, target, path, headers (names in lower case), body
---@return integer|nil code   the answer for a bad one; nil when nobody is there to be answered
---@return string|nil message
function M.read(sock, limit)
  sock:setmode("bn", "bn")
  sock:onerror(keep_error)
  local deadline = cqueues.monotime() + PATIENCE
  local buffer = ""
  local from, to, late
  repeat
    buffer, late = more(sock, buffer, deadline)
    if not buffer then return nil, late and 408 or nil, "the request did not come whole" end
    from, to = buffer:find("\r\n\r\n", 1, true)
    if (from or #buffer) > HEAD_LIMIT then return nil, 413, "the head is too long" end
  until from
  local method, target, rest = buffer:sub(1, from + 1):match("^(%u+) (%S+) HTTP/1%.%d\r\n(.*)$")
  if not method then return nil, 400, "not HTTP" end
  local headers = headers_of(rest)
  local path = target:match("^[^?#]*")
  if method ~= "POST" then return { method = method, target = target, path = path, headers = headers } end
  local body, code, message = read_body(sock, headers, buffer:sub(to + 1), limit, deadline)
  if not body then return nil, code, message end
  return { method = method, target = target, path = path, headers = headers, body = body }
end

---Answers and closes for writing.
function M.answer(sock, code, message)
  local body = ('{"code":%d,"msg":"%s"}'):format(code, message)
  local text = ("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s")
    :format(code, REASONS[code] or "Error", #body, body)
  local from, deadline = 1, cqueues.monotime() + PATIENCE
  while from <= #text do
    local sent, why = sock:send(text, from, #text, "bn")
    if sent and sent > 0 then from = from + sent end
    if from <= #text then
      if why and why ~= errno.EAGAIN or cqueues.monotime() > deadline then return end
      cqueues.poll(sock, 1)
    end
  end
  sock:shutdown("w")
end

return M
