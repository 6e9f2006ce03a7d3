-- A path through the network that is lost in silence: bytes go to another port and back until the connection is frozen.
-- From then on nothing of it comes through, and neither side is told, as behind a NAT that has forgotten it.
local socket = require "cqueues.socket"

local M = {}

-- The number of the last connection that is frozen, which fault.lua writes beside the log.
local function frozen(self)
  local file = io.open(self.freeze_path, "r")
  if not file then
    return false
  end
  local last = file:read("n")
  file:close()
  return last ~= nil and self.number <= last
end

local function forward(from, to, self)
  while true do
    local bytes = from:read(-65536)
    if not bytes then
      break
    end
    if not frozen(self) then
      to:write(bytes)
    end
  end
  if not frozen(self) then
    to:shutdown("w")
  end
end

function M.serve(con, self)
  local far = assert(socket.connect { host = "127.0.0.1", port = math.floor(self.listener.relay) })
  far:setmode("bn", "bn")
  far:onerror(function(_, _, why) return why end)
  self.loop:wrap(function() pcall(forward, far, con, self) end) -- the client's end may be closed first
  pcall(forward, con, far, self)
end

return M
