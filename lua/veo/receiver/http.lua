--- Just enough HTTP/1.1 to receive a callback: one request a connection.

local http1 = require "veo.util.http1"

local M = {}

-- Seconds for the whole request, which the service sends in one go, and for the answer.
local PATIENCE = 10
-- The service's callbacks have half a dozen headers, under 4 KiB, and come in one chunk, if in chunks at all.
local BOUNDS = { head = 16384, headers = 100, chunks = 1000, read = 4096 }

local REASONS = { [200] = "OK", [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found",
  [405] = "Method Not Allowed", [408] = "Request Timeout", [411] = "Length Required", [413] = "Content Too Large",
  [500] = "Internal Server Error", [503] = "Service Unavailable" }

---Reads a request.
---@param limit integer       bytes of a body
---@return table|nil request  method, target, path, headers (names in lower case), body
---@return integer|nil code   the answer for a bad one; nil when nobody is there to be answered
---@return string|nil message
function M.read(connection, limit)
  connection:within(PATIENCE)
  local first, headers, message = connection:head()
  if not first then return nil, headers, message end
  local request = http1.request_line(first)
  if not request then return nil, 400, "not HTTP" end
  request.headers = headers
  if request.method ~= "POST" then return request end
  local pieces = {}
  local whole, code
  whole, code, message = connection:body(headers, limit, function(piece) pieces[#pieces + 1] = piece end)
  if not whole then return nil, code, message end
  request.body = table.concat(pieces)
  return request
end

---@param sock any
---@return veo.http1.Connection
function M.connection(sock) return http1.connection(sock, BOUNDS) end

---Answers and closes for writing.
function M.answer(connection, code, message)
  local body = ('{"code":%d,"msg":"%s"}'):format(code, message)
  local text = ("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s")
    :format(code, REASONS[code] or "Error", #body, body)
  if connection:write(text, PATIENCE) then connection.sock:shutdown "w" end
end

return M
