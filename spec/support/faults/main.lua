-- The child process behind spec/support/fault.lua: opens every listener, says their ports on standard output, serves
-- until the parent is gone. Arguments: folder of this code, log file, CA file, listeners as JSON.
--
-- A listener (every field optional):
--   tls       true | "untrusted" (a CA nobody knows) | "wrong_name" | "hang" (no word in the handshake)
--             | "close" (closed after the ClientHello) | "alert" (a handshake failure alert)
--   alpn      "both" (default) | "http/1.1" (never h2) | "none" (agrees on nothing)
--   accept    "hang": connections are taken and nothing is ever said; "close": closed at once; "reset": the
--             same with RST; "refuse": nobody listens on the port; "control": see control.lua
--   greeted   "hang", "close", "reset": the same once TLS is there
--   get, post, head  what a request gets over HTTP/1.1: see http1.lua
--   h2_get, h2_post, h2_head  the same over HTTP/2: see h2.lua;  all: either, where nothing else is said
--   unlogged  requests are not written down
--   to        where a redirect leads: the name of another listener, or a URL
--   told      the file that says what a request gets now: see told.lua
--   proxy     what a CONNECT gets: see proxy.lua; other requests are answered as by an origin
--   delay     seconds before an answer
--   relay     a port on loopback to which all bytes go, until the connection is frozen: see relay.lua
--   scheme    "https" where a relay leads to TLS
local folder, log_path, ca_path, config = table.unpack(arg)
package.path = folder .. "faults/?.lua;" .. package.path

local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local cjson = require "cjson"
local certificates = require "certificates"
local control = require "control"
local option = require "option"
local http1 = require "http1"
local h2 = require "h2"
local relay = require "relay"

local listeners = {}
for name, fields in pairs(cjson.decode(config)) do
  listeners[name] = control.changeable(fields)
end
local loop = cqueues.new()
local log = assert(io.open(log_path, "a"))
local trust = certificates.new(ca_path)
local connections = 0
local urls = {}

local function connection(listener, name)
  connections = connections + 1
  local number = connections
  local self = { listener = listener, urls = urls, loop = loop, number = number, freeze_path = log_path .. ".freeze" }
  function self.tell(event)
    control.tell(name, event)
  end
  function self.record(entry)
    if listener.unlogged then
      return
    end
    entry.listener, entry.connection = name, number
    log:write(cjson.encode(entry), "\n")
    log:flush()
  end
  self.record { event = "accept" }
  return self
end

local function hang(con)
  while con:read(-4096) do end -- until the other side closes
end

-- TLS up to the end of the handshake → the protocol agreed on, or nil when the connection is over.
local function handshake(con, tls, alpn)
  if tls == "hang" then
    return hang(con)
  elseif tls == "close" or tls == "alert" then
    con:read(-4096)
    if tls == "alert" then
      con:write("\21\3\3\0\2\2\40") -- record type 21 (alert), level fatal, handshake_failure
    end
    return nil
  end
  if not con:starttls(trust(tls, alpn), 60) then
    return nil
  end
  return con:checktls():getAlpnSelected() or "http/1.1"
end

-- Whether the connection comes to nothing at this point.
local function ends_here(con, how, self)
  if how == "hang" then
    self.tell "connected"
    hang(con)
  elseif how == "reset" then
    option.linger(con)
  end
  return how ~= nil
end

local function serve(con, listener, name)
  local self = connection(listener, name)
  con:setmode("bn", "bn")
  con:onerror(function(_, _, why) return why end)
  local accept = listener.accept
  if accept == "control" then
    control.serve(con, listeners)
  elseif listener.relay then
    relay.serve(con, self)
  elseif not ends_here(con, accept, self) then
    local protocol = "http/1.1"
    if listener.tls then
      protocol = handshake(con, listener.tls, listener.alpn)
      self.record { event = "handshake", protocol = protocol }
    end
    if protocol and not ends_here(con, listener.greeted, self) then
      (protocol == "h2" and h2 or http1).serve(con, self)
    end
  end
  con:close()
end

local function open(name, listener)
  local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
  assert(server:listen())
  local _, _, port = server:localname()
  local scheme = (listener.tls or listener.scheme == "https") and "https" or "http"
  urls[name] = scheme .. "://127.0.0.1:" .. port
  io.stdout:write(name, " ", scheme, " ", port, "\n")
  if listener.accept == "refuse" then
    server:close()
    return
  end
  loop:wrap(function()
    while true do
      local con = server:accept()
      if con then
        loop:wrap(function()
          local ok, why = pcall(serve, con, listener, name)
          if not ok then
            io.stderr:write("fault server, listener ", name, ": ", tostring(why), "\n")
          end
        end)
      end
    end
  end)
end

-- Whose child this is, where /proc tells it.
local function parent()
  local stat = io.open("/proc/self/stat", "r")
  if not stat then
    return nil
  end
  local text = stat:read("*a")
  stat:close()
  return text:match("^%d+ %(.*%) %S (%d+)")
end

-- The parent has gone when this process was given to another one, or when writing to standard output fails, which
-- also ends the process by SIGPIPE. (Polling that pipe for an error makes cqueues spin.)
local function watch()
  local first = parent()
  while parent() == first and io.stdout:write("\n") and io.stdout:flush() do
    cqueues.sleep(0.5)
  end
  os.remove(log_path)
  os.remove(ca_path)
  os.exit(0)
end

for name, listener in pairs(listeners) do
  open(name, listener)
end
io.stdout:write("ready\n")
io.stdout:flush()
loop:wrap(watch)
while true do
  local ok, why = loop:loop()
  if not ok then
    io.stderr:write("fault server: ", tostring(why), "\n")
  end
end
