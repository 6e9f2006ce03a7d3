--- Who holds a task: a name for this client of this process, and how another one can tell that its process is dead.
---
--- On Linux the name says boot, PID and time namespace and process, so that after a crash nobody waits for a lease to
--- pass. Only a process that is provably dead counts as dead: one of this boot and these namespaces whose number the
--- kernel does not know, or has given to another process since. Of any other, only the lease says when it is over.

local gmatch, gsub, match, sub = string.gmatch, string.gsub, string.match, string.sub
local tonumber = tonumber
local open = io and io.open

local core = require "veo.core"

local M = {}

local function read(path, pattern)
  local file = open(path, "r")
  if not file then return nil end
  local line = file:read("*l")
  while line and pattern and not match(line, pattern) do line = file:read("*l") end
  file:close()
  return line
end

-- When it started (field 22), false for one that has ended and whose parent has not waited for it yet, nil when that
-- cannot be seen. One whose main thread has ended looks like that too and lives on in its others (field 20 counts
-- them). The name in parentheses may hold anything.
local function started(pid)
  local line = read("/proc/" .. pid .. "/stat")
  local rest = line and match(line, "^%d+ .*%) (.*)$")
  if not rest then return nil end
  local field, ended = 2, false
  for word in gmatch(rest, "%S+") do
    field = field + 1
    if field == 3 then ended = word == "Z" or word == "X" end
    if field == 20 and ended and tonumber(word) < 2 then return false end
    if field == 22 then return word end
  end
  return nil
end

-- Whether /proc counts processes as this one's own namespace does. Without a mount of its own, a new namespace sees the
-- /proc of the one around it: then this process has a second number.
local function proc_is_ours()
  local line = read("/proc/self/status", "^NSpid:")
  return line ~= nil and match(line, "^NSpid:%s*%d+%s*$") ~= nil
end

---This boot, as its clock is seen from here: a time namespace shifts the time since boot, and when processes started.
---@return string|nil
function M.boot()
  local boot = read("/proc/sys/kernel/random/boot_id")
  return boot and sub(boot, 1, 13) .. "/" .. (core.identity("/proc/self/ns/time") or "-")
end

-- Where a process id means what it means here: nil when that cannot be said.
local function here()
  local boot, pids = M.boot(), core.identity("/proc/self/ns/pid")
  return boot and pids and boot .. "/" .. pids
end

---A fresh name for a client of this process.
---@param nonce string
---@return string
function M.name(nonce)
  local place, since = here(), started("self")
  if not place or not since then return "?:" .. nonce end
  local host = gsub(read("/proc/sys/kernel/hostname") or "", "[^%w_.-]", "_")
  return host .. "/" .. place .. ":" .. core.pid() .. ":" .. since .. ":" .. nonce
end

---Whether the process of that name has certainly ended.
---@param name string
---@return boolean
function M.dead(name)
  local place, pid, since = match(name, "^[^/:]*/([^:]+):(%d+):(%d+):")
  if not place or place ~= here() then return false end
  if not core.exists(tonumber(pid)) then return true end
  if not proc_is_ours() then return false end
  local now = started(pid)
  return now ~= nil and now ~= since
end

return M
