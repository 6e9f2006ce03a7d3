--- A PID namespace that lives on while the processes in it come and go, as a container does.
local socket = require "socket"

local helper = require "spec.support.helper"

local M = {}
M.__index = M

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function first_line(path)
  local file = io.open(path)
  local line = file and file:read("*l")
  if file then file:close() end
  return line
end

---@return table container
function M.start()
  local note = os.tmpname()
  -- Its first process waits for the end of our pipe, so that it never outlives us.
  local unshare = "unshare --pid --fork --mount-proc --kill-child"
  local pipe = io.popen(("echo $$ >%s; exec %s cat >/dev/null"):format(note, unshare), "w")
  local self = setmetatable({ pipe = pipe, folder = helper.output("pwd"):match("^[^\n]+") }, M)
  local deadline = socket.gettime() + 60
  repeat
    socket.sleep(0.01)
    local outer = first_line(note) or ""
    self.pid = outer ~= "" and (first_line(("/proc/%s/task/%s/children"):format(outer, outer)) or ""):match("%d+")
    local name = self.pid and first_line("/proc/" .. self.pid .. "/comm")
  until name == "cat" or socket.gettime() > deadline
  os.remove(note)
  return self
end

---A command that runs in it.
function M:inside(command)
  return ("exec nsenter --target %s --pid --mount sh -c %s"):format(self.pid,
    quote("cd " .. quote(self.folder) .. " && " .. command))
end

function M:stop() self.pipe:close() end

return M
