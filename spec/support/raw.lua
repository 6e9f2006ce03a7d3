--- A raw HTTP client for specs: LuaSocket, one connection, every byte in the spec's hands.
local socket = require "socket"

local M = {}
M.__index = M

--- @param base string http://host:port
function M.connect(base)
  local host, port = base:match("^http://([^:/]+):(%d+)")
  local sock = assert(socket.connect(host, tonumber(port)))
  sock:setoption("tcp-nodelay", true)
  sock:settimeout(60)
  return setmetatable({ sock = sock }, M)
end

local function read_body(sock, headers)
  if headers["transfer-encoding"] == "chunked" then
    local pieces = {}
    while true do
      local line, why = sock:receive("*l")
      if not line then return table.concat(pieces), why end
      local size = tonumber(line:match("^%x+"), 16)
      if size > 0 then pieces[#pieces + 1] = assert(sock:receive(size)) end
      sock:receive("*l")
      if size == 0 then return table.concat(pieces) end
    end
  end
  local length = tonumber(headers["content-length"]) or 0
  if length == 0 then return "" end  -- LuaSocket waits for a byte even when asked for none
  local body, why, part = sock:receive(length)
  return body or part, why
end

--- Sends raw bytes.
function M:send(text) return self.sock:send(text) end

--- Reads one reply.
--- @return table|nil reply status, headers, body, cut (why the body is short)
--- @return string|nil why
function M:read(head_only)
  local line, why = self.sock:receive("*l")
  if not line then return nil, why end
  local reply = { line = line, status = tonumber(line:match("^HTTP/1%.1 (%d+)")), headers = {} }
  if not reply.status then return nil, "not HTTP: " .. line end
  while true do
    line, why = self.sock:receive("*l")
    if not line then return nil, why end
    if line == "" then break end
    local name, value = line:match("^([^:]+):%s*(.*)$")
    reply.headers[name:lower()] = value
  end
  if not head_only then reply.body, reply.cut = read_body(self.sock, reply.headers) end
  return reply
end

--- Sends a request and reads the reply.
--- @param headers table|nil name = value
function M:request(method, target, headers, body)
  local lines = { method .. " " .. target .. " HTTP/1.1", "Host: sim" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  self.sock:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  return self:read(method == "HEAD")
end

function M:close() self.sock:close() end

--- One request on a connection of its own.
function M.once(base, method, target, headers, body)
  local connection = M.connect(base)
  local reply, why = connection:request(method, target, headers, body)
  connection:close()
  return reply, why
end

return M
