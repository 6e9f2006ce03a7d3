--- What a history of the model happens in: a simulator, a fresh ledger, folders, and workers, which are processes; some
--- of them in PID namespaces of their own, as in containers on one host.
local cjson = require "cjson"
local clock = require "wall_clock"
local socket = require "socket"

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

local M = {}
local World = {}
World.__index = World

-- Seconds after which a worker that does not answer counts as hung: the longest wait of a client's is 10.
local PATIENCE = 30
-- Processes that are started ahead, so that nobody waits for one.
local SPARE = 2

local function output(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read("*a")
  pipe:close()
  return text
end

---Whether processes here may have a PID namespace of their own.
function M.namespaces()
  return output("unshare --pid --fork --mount-proc true && echo yes"):find("yes", 1, true) ~= nil
end

-- In memory where that can be: a commit waits for no disk then, and it is processes that die here, not machines.
local function folder()
  local made = output("mktemp -d -p /dev/shm"):match("^(/dev/shm/[^\n]+)\n")
  return made or helper.folder()
end

---@param kind "sqlite"|"postgresql"
function M.new(kind)
  local self = setmetatable({ kind = kind, count = 0, born = 0, workers = {}, spare = { near = {}, far = {} } }, World)
  self.namespaces = M.namespaces()
  self.folder = folder()
  self.sim = simulator.start { speed = 1000, render = 8, rate = false, credits = 100000000, own_bytes = true, seed = 1 }
  if kind == "postgresql" then self.server = postgres.start() end
  self.listener = assert(socket.bind("127.0.0.1", 0))
  self.listener:settimeout(PATIENCE)
  -- A worker that had the others' ends of sockets too would keep them all alive after us.
  clock.cloexec(self.listener:getfd())
  local _, port = self.listener:getsockname()
  self.port = port
  return self
end

---A ledger and folders that nothing has happened to.
function World:fresh()
  self.sim:reset()
  self.count = self.count + 1
  if self.room then os.execute("rm -rf " .. self.room) end
  self.room = ("%s/%d"):format(self.folder, self.count)
  os.execute(("cd %s && mkdir -p %d/files %d/a/files %d/b/files %d/c/files %d/z"):gsub("%%d", tostring(self.count))
    :format(self.folder))
  if self.connection then self.connection:close() end
  if self.server then
    local name = "h" .. self.count
    ledgers.query(self.server.uri, "CREATE SCHEMA " .. name)
    self.ledger = self.server.uri .. "?options=-csearch_path%3D" .. name
    self.connection = nil
  else
    self.ledger = self.room .. "/ledger.db"
    self.connection = nil
  end
end

-- Rows of a query of ours. A worker may just be turning the new file to WAL, or be killed at it: SQLite waits for neither.
local function ask(self, sql, ...)
  local deadline = socket.gettime() + PATIENCE
  while true do
    local ok, rows = pcall(ledgers.query, self.connection, sql, ...)
    if ok then return rows end
    rows = tostring(rows)
    if rows:find("no such table", 1, true) or rows:find("does not exist", 1, true) then return {} end
    if not rows:find("locked", 1, true) or socket.gettime() > deadline then error(rows, 0) end
    socket.sleep(0.01)
  end
end

---Rows of the ledger; none before it has been made.
function World:rows()
  if not self.connection then
    -- Closed before SQLite opens it: a process that closes any handle of a file loses all its locks on it.
    local file = not self.server and io.open(self.ledger)
    if file then file:close() elseif not self.server then return {} end
    self.connection = ledgers.connect(self.ledger)
    if not self.server then ledgers.query(self.connection, "PRAGMA busy_timeout = 10000") end
  end
  return ask(self, "SELECT * FROM veo_tasks ORDER BY created, ref")
end

function World:execute(sql, ...)
  if self:rows()[1] then ask(self, sql, ...) end
end

-- Workers --------------------------------------------------------------------------------------------------------------

local function launch(self, place)
  self.born = self.born + 1
  local name = ("%s%d"):format(place, self.born)
  local build = os.getenv("VEO_BUILD") or ("build/" .. helper.lua():gsub("^lua", ""))
  local script = ledgers.script(helper.lua(), "spec/model/worker.lua", self.port, name)
  script = ("LD_PRELOAD=%s/wall_clock.so "):format(build) .. script
  if place == "far" then
    -- The first process of a namespace cannot be killed from inside, so a shell is that.
    script = "exec unshare --pid --fork --mount-proc --kill-child sh -c '"
      .. script:gsub("exec ", "", 1):gsub("'", "'\\''") .. "; :'"
  end
  local pid = output(("{ %s; } </dev/null >>%s/log 2>&1 & echo $!"):format(script, self.folder)):match("%d+")
  return { name = name, place = place, pid = pid }
end

local function refill(self, place)
  local list = self.spare[place]
  while #list < SPARE do list[#list + 1] = launch(self, place) end
end

-- They come in any order.
local function greet(self, worker)
  self.greeted = self.greeted or {}
  while not self.greeted[worker.name] do
    local peer, why = self.listener:accept()
    if not peer then error("a worker did not start: " .. why .. "\n" .. (helper.read(self.folder .. "/log") or ""),
      0) end
    clock.cloexec(peer:getfd())
    peer:setoption("tcp-nodelay", true)
    peer:settimeout(PATIENCE)
    local hello = cjson.decode((assert(peer:receive("*l"))))
    self.greeted[hello.hello] = peer
  end
  worker.peer, self.greeted[worker.name] = self.greeted[worker.name], nil
end

---A process, near or in a PID namespace of its own.
---@param place "near"|"far"
function World:worker(place)
  if not self.namespaces then place = "near" end
  refill(self, place)
  local worker = table.remove(self.spare[place], 1)
  if not worker.peer then greet(self, worker) end
  refill(self, place)
  self.workers[worker] = true
  return worker
end

---Takes a worker back that has nothing under way: the next history has it.
function World:give_back(worker)
  self:send(worker, { call = "close" })
  if self:receive(worker).ok then
    self.workers[worker] = nil
    table.insert(self.spare[worker.place], 1, worker)
  end
end

function World:send(worker, order)
  worker.busy = true
  worker.peer:send(cjson.encode(order) .. "\n")
end

---The answer to what was sent; `{ dead = true }` of one that was killed.
function World:receive(worker)
  worker.busy = false
  local line, why = worker.peer:receive("*l")
  if line then return cjson.decode(line) end
  self:lose(worker)
  if why == "timeout" then return { hung = true } end
  return { dead = true }
end

---Whether an answer is there.
function World:ready(worker)
  local list = socket.select({ worker.peer }, nil, 0)
  return list[1] ~= nil
end

---Kills it; when this returns it is gone, with its locks and its namespace.
function World:kill(worker)
  os.execute("kill -9 " .. worker.pid .. " 2>/dev/null")
  local line, why
  repeat line, why = worker.peer:receive("*l") until not line or why == "timeout"
  self:lose(worker)
end

function World:lose(worker)
  os.execute("kill -9 " .. worker.pid .. " 2>/dev/null")
  worker.peer:close()
  worker.dead = true
  self.workers[worker] = nil
end

function World:stop()
  for worker in pairs(self.workers) do self:kill(worker) end
  for _, list in pairs(self.spare) do
    for _, worker in ipairs(list) do
      if not worker.peer then greet(self, worker) end
      self:kill(worker)
    end
  end
  self.listener:close()
  if self.connection then self.connection:close() end
  if self.server then self.server:stop() end
  self.sim:stop()
  os.execute("rm -rf " .. self.folder)
  helper.sweep()
end

return M
