-- A CONNECT proxy. What `proxy` of a listener can be:
--   "tunnel"   bytes pass both ways, to the asked port on loopback whatever host was named (default)
--   "refuse"   403 to the CONNECT
--   "close"    closed without an answer to the CONNECT;  "hang"  never answered
--   "cut"      200 to the CONNECT, then closed: TLS never begins
--   "silent"   200 to the CONNECT, then nothing: TLS never ends
local socket = require "cqueues.socket"

local M = {}

local function pass(from, to)
  repeat
    local bytes = from:read(-65536)
  until not bytes or not to:write(bytes)
  to:shutdown("w")
end

local function tunnel(con, port, self)
  local target = socket.connect("127.0.0.1", port)
  target:setmode("bn", "bn")
  target:onerror(function(_, _, why) return why end)
  if not target:connect(5) then
    con:write("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    return target:close()
  end
  con:write("HTTP/1.1 200 Connection established\r\n\r\n")
  self.record { event = "tunnel", path = port }
  con:settimeout(nil)
  self.loop:wrap(pcall, pass, con, target) -- raises when the other direction closed under it
  pass(target, con)
  target:close()
end

function M.serve(con, request, self)
  local kind = self.listener.proxy or "tunnel"
  if kind == "tunnel" then
    tunnel(con, request.path:match(":(%d+)$"), self)
  elseif kind == "refuse" then
    con:write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
  elseif kind == "cut" or kind == "silent" then
    con:write("HTTP/1.1 200 Connection established\r\n\r\n")
  end
  if kind == "silent" or kind == "hang" then
    while con:read(-4096) do end
  end
end

return M
