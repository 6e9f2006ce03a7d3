--- A throw-away PostgreSQL cluster on loopback, for specs: a folder of its own, gone with `stop`. PostgreSQL refuses to
--- run as root, so root runs it as Debian's user `postgres`.
local needs = require "spec.support.needs"

local M = {}
M.__index = M

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

local function output(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function free_port()
  local socket = require "socket"
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return math.floor(tonumber(port))
end

-- Runs one of PostgreSQL's programs; its output only when it failed.
function M:run(program, arguments)
  local as = output("id -u"):match("^0") and "runuser -u postgres -- " or ""
  local text = output(("cd / && %s%s/%s %s && echo __done__"):format(as, self.bin, program, arguments))
  if not text:find("__done__", 1, true) then error(program .. ": " .. text, 2) end
end

---@param options { durable: boolean|nil, tls: boolean|nil, settings: string|nil }|nil  `durable`: commits wait for the disk; `tls`: no connection without it
---@return table cluster  with `uri`; with `stop` alone where PostgreSQL is not installed, for specs that can do without
function M.start(options)
  options = options or {}
  if needs.lacks "postgresql" then return { stop = function() end } end
  local bin = output("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1"):match("^(/[^\n]+)\n")
  assert(bin, "PostgreSQL is not installed: apt-get install postgresql")
  local folder = os.tmpname()
  os.remove(folder)
  local self = setmetatable({ bin = bin, folder = folder .. ".pg", port = free_port(), options = options }, M)
  os.execute("mkdir " .. self.folder)
  if output("id -u"):match("^0") then os.execute("chown postgres " .. self.folder) end
  self:run("initdb", "-D " .. self.folder .. "/data -A trust -U veo -E UTF8 --no-sync")
  if options.tls then
    output(("sh %s/certificates.sh %s; chown --reference=%s/data %s/*"):format(HERE, self.folder, self.folder,
      self.folder))
    output(("echo 'hostssl all all 127.0.0.1/32 trust' >%s/data/pg_hba.conf"):format(self.folder))
  end
  self:up()
  self.uri = ("postgresql://veo@127.0.0.1:%d/postgres"):format(self.port)
  return self
end

function M:up()
  -- What is killed here are processes, not the machine: what is written is there without a sync.
  local options = self.options
  local settings = ("-p %d -c fsync=%s -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s %s"):format(
    self.port, options.durable and "on" or "off", self.folder, options.settings or "")
  if options.tls then
    settings = settings .. (" -c ssl=on -c ssl_cert_file=%s/server.pem -c ssl_key_file=%s/server.key"):format(
      self.folder, self.folder)
  end
  self:run("pg_ctl", ("-D %s/data -w -l %s/log -o '%s' start"):format(self.folder, self.folder, settings))
end

---@param how "fast"|"immediate"|nil
function M:down(how)
  self:run("pg_ctl", ("-D %s/data -w -m %s stop"):format(self.folder, how or "fast"))
end

---Stops or goes on with the server and everybody who serves a connection.
---@param name "STOP"|"CONT"
function M:signal(name)
  local file = assert(io.open(self.folder .. "/data/postmaster.pid"))
  local pid = file:read "*l"
  file:close()
  os.execute(("kill -%s %s $(ps -o pid= --ppid %s)"):format(name, pid, pid))
end

function M:stop()
  pcall(M.down, self, "immediate")
  os.execute("rm -rf " .. self.folder)
end

return M
