-- Servers that misbehave on purpose, for specs: started in a child process, so that a blocking caller can use them.
--
--   local fault = require "spec.support.fault"
--   local server = fault.start { closing = { post = "close" }, h2 = { tls = true, h2_post = "refuse" } }
--   server.url.closing            "http://127.0.0.1:40123"
--   server:count("closing", "POST")
--   server:stop()
--
-- Every listener has a name of the caller's; faults/main.lua says what a listener can be. What the servers see is
-- written to a file before anything is answered, so a count taken after a call has returned is complete.
local cjson = require "cjson"

local M = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)fault%.lua$") or "spec/support/"

local Server = {}
Server.__index = Server

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

---@class fault.request
---@field listener string
---@field event string "accept" | "request" | "handshake" | "tunnel"
---@field protocol string|nil "http/1.1" | "h2"
---@field method string|nil
---@field path string|nil
---@field connection integer counted over the whole server, from 1
---@field authorization boolean|nil whether the request carried the header
---@field headers table|nil lower-case names, without authorization (HTTP/1.1 only)
---@field body string|nil what arrived of it (HTTP/1.1 only)

---Starts the listeners and returns when all of them accept connections.
---@param listeners table<string, table> name → behaviour, see faults/main.lua
---@return table server { url = {}, port = {}, ca_file = path of the CA that signed the servers, pid = … }
function M.start(listeners)
  local log = os.tmpname()
  local ca = os.tmpname()
  -- `exec` makes $$ the server's own pid; a preloaded sanitizer belongs to the caller, not to this child
  local pipe = assert(io.popen("echo $$; unset LD_PRELOAD; exec lua5.4 " .. quoted(here .. "faults/main.lua") .. " "
    .. quoted(here) .. " " .. quoted(log) .. " " .. quoted(ca) .. " " .. quoted(cjson.encode(listeners)), "r"))
  local self = setmetatable({ pipe = pipe, log = log, ca_file = ca, url = {}, port = {} }, Server)
  self.pid = pipe:read("*l")
  for line in pipe:lines() do
    if line == "ready" then
      return self
    end
    local name, scheme, port = line:match("^(%S+) (%S+) (%d+)$")
    self.port[name] = tonumber(port)
    self.url[name] = scheme .. "://127.0.0.1:" .. port
  end
  self:stop()
  error("the fault server did not start", 2)
end

---All that was seen, in order; only of one listener when it is named.
---@return fault.request[]
function Server:seen(listener)
  local list = {}
  for line in io.lines(self.log) do
    local entry = cjson.decode(line)
    entry.connection = math.floor(entry.connection) -- Debian's lua-cjson decodes every number as a float
    if listener == nil or entry.listener == listener then
      list[#list + 1] = entry
    end
  end
  return list
end

---The requests of one listener, only those of a method when it is given.
---@return fault.request[]
function Server:requests(listener, method)
  local list = {}
  for _, entry in ipairs(self:seen(listener)) do
    if entry.event == "request" and (method == nil or entry.method == method) then
      list[#list + 1] = entry
    end
  end
  return list
end

---How many requests (of a method) one listener saw.
function Server:count(listener, method)
  return #self:requests(listener, method)
end

---How many connections one listener accepted.
function Server:connections(listener)
  local count = 0
  for _, entry in ipairs(self:seen(listener)) do
    if entry.event == "accept" then
      count = count + 1
    end
  end
  return count
end

---Freezes every connection that a relay has so far; those to come work.
function Server:freeze()
  local last = 0
  for _, entry in ipairs(self:seen()) do last = math.max(last, entry.connection) end
  local file = assert(io.open(self.log .. ".freeze", "w"))
  file:write(last)
  file:close()
end

---Forgets what was seen so far.
function Server:forget()
  assert(io.open(self.log, "w")):close()
end

---Ends the child and removes its files; harmless when repeated.
function Server:stop()
  if not self.pipe then
    return
  end
  os.execute("kill " .. self.pid .. " 2>/dev/null")
  self.pipe:close()
  self.pipe = nil
  os.remove(self.log)
  os.remove(self.log .. ".freeze")
  os.remove(self.ca_file)
end

return M
