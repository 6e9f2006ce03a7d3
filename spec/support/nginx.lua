--- A real nginx of a spec's own, in a folder of its own.
local helper = require "spec.support.helper"
local socket = require "socket"

local M = {}
local Server = {}
Server.__index = Server

---A port of loopback that nobody listens on now.
function M.free_port()
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return tonumber(port)
end

---Starts it with this configuration, which names `pid nginx.pid;`, and returns once it is there.
---@param dir string  the prefix; logs and the configuration go there
---@param conf string
---@param environment string|nil  "NAME=value …"
---@return table server { pid = … }
function M.start(dir, conf, environment)
  helper.write(dir .. "/nginx.conf", conf)
  -- What is preloaded into the specs' own process is not for others.
  os.execute(("unset LD_PRELOAD; %s nginx -p %s -c nginx.conf -e error.log 2>%s/start.log"):format(environment or "",
    dir, dir))
  local deadline = helper.now() + helper.PATIENCE
  local pid
  repeat
    socket.sleep(0.01)
    pid = (helper.read(dir .. "/nginx.pid") or ""):match "%d+"
  until pid or helper.now() > deadline
  if not pid then error(helper.read(dir .. "/start.log") .. (helper.read(dir .. "/error.log") or "")) end
  return setmetatable({ pid = pid }, Server)
end

---Ends it and waits until it is gone.
function Server:stop()
  os.execute("kill " .. self.pid .. "; while kill -0 " .. self.pid .. " 2>/dev/null; do sleep 0.01; done")
end

return M
