-- Takes callbacks and spools them, one line each: what was called, a tab, the body. Prints its port and process id.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local spool = assert(io.open(arg[1], "a"))
spool:setvbuf "line"
local server = socket.listen { host = "127.0.0.1", port = 0 }
assert(server:listen())
local _, _, port = server:localname()
local stat = io.open("/proc/self/stat")
io.stdout:write(port, " ", stat:read("*l"):match("^(%d+)"), "\n")
io.stdout:flush()
stat:close()

local function serve(peer)
  peer:setmode("b", "bn")
  local first = peer:read "*L"
  local length = 0
  repeat
    local line = peer:read "*L"
    local value = line and line:lower():match("^content%-length: (%d+)")
    if value then length = tonumber(value) end
  until not line or line == "\r\n"
  local body = length > 0 and peer:read(length) or ""
  if first and body then spool:write(first:match("^%S+ (%S+)"), "\t", (body:gsub("%s+", " ")), "\n") end
  peer:write "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
  peer:flush()
  peer:close()
end

local loop = cqueues.new()
loop:wrap(function()
  while true do -- no iterator and no pcall: Lua 5.1 cannot yield across them
    local peer = server:accept()
    if peer then loop:wrap(function() serve(peer) end) end
  end
end)
while not loop:empty() do loop:step() end -- an error ends the connection it came from only
