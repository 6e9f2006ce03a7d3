--- Who holds a task: a name for this client of this process, and how another one can tell that its process is dead.
---
--- On Linux the name says host, boot and process, so that after a crash nobody waits for a lease to pass. Elsewhere, and
--- for other machines, only the lease speaks.

local M = {}

local function read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local line = file:read("*l")
  file:close()
  return line
end

-- Process id and start time (field 22); the name in parentheses may hold anything.
local function process(pid)
  local line = read("/proc/" .. pid .. "/stat")
  if not line then return nil end
  local id, rest = line:match("^(%d+) .*%) (.*)$")
  if not id then return nil end
  local field = 2
  for word in rest:gmatch("%S+") do
    field = field + 1
    if field == 3 and (word == "Z" or word == "X") then return nil end
    if field == 22 then return id, word end
  end
  return nil
end

-- A container has its own host name, and its process ids mean nothing to its neighbours.
local function host()
  local boot, name = read("/proc/sys/kernel/random/boot_id"), read("/proc/sys/kernel/hostname")
  if not boot or not name then return nil end
  return (name:gsub("[^%w_.-]", "_")) .. "/" .. boot:sub(1, 13)
end

---A fresh name for a client of this process.
---@param nonce string
---@return string
function M.name(nonce)
  local pid, started = process("self")
  local here = host()
  if not pid or not here then return "?:" .. nonce end
  return here .. ":" .. pid .. ":" .. started .. ":" .. nonce
end

---Whether the process of that name has certainly ended.
---@param name string
---@return boolean
function M.dead(name)
  local where, pid, started = name:match("^([^:]+):(%d+):(%d+):")
  if not where or where ~= host() then return false end
  local id, since = process(pid)
  return id == nil or since ~= started
end

return M
