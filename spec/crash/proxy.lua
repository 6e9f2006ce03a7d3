-- Stands between one worker and its database. While the file named in arg[2] exists nothing passes; while it says
-- "closed", connections are ended and refused as well. Prints its port and process id.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local target, flag = tonumber(arg[1]), arg[2]
local server = socket.listen { host = "127.0.0.1", port = 0 }
assert(server:listen())
local _, _, port = server:localname()
local stat = io.open("/proc/self/stat")
io.stdout:write(port, " ", stat:read("*l"):match("^(%d+)"), "\n")
io.stdout:flush()
stat:close()

local function mood()
  local file = io.open(flag)
  if not file then return nil end
  local text = file:read("*l")
  file:close()
  return text or "silent"
end

local function pump(from, to)
  while true do
    local bytes = from:recv(-16384)
    while mood() == "silent" do cqueues.sleep(0.05) end
    if not bytes or mood() == "closed" then break end
    to:send(bytes, 1, #bytes)
    to:flush()
  end
  from:shutdown "rw"
  to:shutdown "rw"
end

local loop = cqueues.new()
loop:wrap(function()
  while true do -- no iterator and no pcall: Lua 5.1 cannot yield across them
    local peer = assert(server:accept())
    if mood() == "closed" then
      peer:close()
    else
      local base = socket.connect("127.0.0.1", target)
      for _, end_of in ipairs { peer, base } do end_of:setmode("bn", "bn") end
      loop:wrap(function() pump(peer, base) end)
      loop:wrap(function() pump(base, peer) end)
      loop:wrap(function() -- the database may be silent when the line is cut
        while mood() ~= "closed" do cqueues.sleep(0.05) end
        peer:shutdown "rw"
        base:shutdown "rw"
      end)
    end
  end
end)
while not loop:empty() do loop:step() end -- an error ends the connection it came from only
