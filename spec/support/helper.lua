-- What the specs of the client share: clients with short pauses, scratch folders, pieces of MP4.
local veo = require "veo"
local core = require "veo.core"

local M = {}

M.now = core.now
M.EXTEND = "/api/v1/veo/extend"
M.STATUS = "/api/v1/veo/record-info"

-- Groups are laid over one another, everything else is replaced.
local function merge(base, more)
  local out = {}
  for name, value in pairs(base) do out[name] = value end
  for name, value in pairs(more or {}) do
    if type(value) == "table" and type(out[name]) == "table" then value = merge(out[name], value) end
    out[name] = value
  end
  return out
end

---Where a process that a spec starts finds its modules: never the core that a memory checker watches, which needs the
---checker's library in front of all others.
function M.cpath()
  return (package.cpath:gsub("build/asan/", "build/5.4/"))
end

---A client of a simulator (or of any address) whose pauses are short, and whose time-outs no busy machine meets.
function M.client(sim, more)
  return veo.new(merge({
    base_url = type(sim) == "string" and sim or sim.url,
    api_key = type(sim) == "string" and "spec-key-0123456789" or sim.api_key,
    ca_file = type(sim) == "table" and sim.ca_file or nil,
    retry = { base = 0.01, max = 0.03 },
    wait = { first = 0.01, interval = 0.02, max_interval = 0.05, timeout = 60 },
    rate = { count = 10000, window = 0.1, polls = 1000 },
    timeout = 60,
    on_job_error = function() end, -- or jobs that are to fail fill standard error
  }, more))
end

-- Options of the order; all others are the wait's.
local OF_ORDER = { deadline = true, key = true, on_duplicate = true, retry = true }

---Orders an extension and waits for it.
function M.extend_and_wait(client, params, options)
  local order, wait = {}, {}
  for name, value in pairs(options or {}) do
    local part = OF_ORDER[name] and order or wait
    part[name] = value
  end
  local task, err = client:extend(params, order)
  if not task then return nil, err end
  local status
  status, err = task:wait(wait)
  if err and not task.joined then veo.errors.paid(err) end
  return status, err
end

-- Seconds after which what should have come long ago is missing, however busy the machine is.
M.PATIENCE = 60

---Asks until `check` says so, and returns what it said; fails where nothing comes of it. `pause` is called in between.
function M.wait_until(check, pause)
  local deadline = core.now() + M.PATIENCE
  while true do
    local said = check()
    if said then return said end
    if core.now() > deadline then error("nothing came of it within " .. M.PATIENCE .. " s", 2) end
    if pause then pause() else os.execute "sleep 0.01" end
  end
end

---Steps a client until `check` says so; fails where nothing comes of it.
function M.step_until(client, check)
  return M.wait_until(check, function() client:step(5) end)
end

---Sets the collector's pause and step, and returns what they were.
function M.collector(pause, step)
  if _VERSION < "Lua 5.5" then return collectgarbage("setpause", pause), collectgarbage("setstepmul", step) end
  return collectgarbage("param", "pause", pause), collectgarbage("param", "stepmul", step)
end

local made = {}

---A fresh folder; `sweep` removes them all.
function M.folder()
  local name = os.tmpname()
  os.remove(name)
  name = name .. ".d"
  os.execute("mkdir " .. name)
  made[#made + 1] = name
  return name
end

function M.sweep()
  for _, name in ipairs(made) do os.execute("chmod -R u+rwX " .. name .. "; rm -rf " .. name) end
  made = {}
end

function M.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local content = file:read("*a")
  file:close()
  return content
end

function M.write(path, content)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
end

---Names in a folder, sorted.
function M.list(folder)
  local pipe = io.popen("ls -A " .. folder)
  local names = {}
  for name in pipe:lines() do names[#names + 1] = name end
  pipe:close()
  return names
end

---The interpreter that runs the specs, for another process of the same kind.
function M.lua()
  local version = rawget(_G, "jit") and "jit" or _VERSION:match("%d+%.%d+")
  return version == "jit" and "luajit" or "lua" .. version
end

---What a command prints. One that hangs is ended with all that it started, so that its spec fails.
function M.output(command)
  local pipe = io.popen("timeout -k 5 300 sh -c '" .. command:gsub("'", "'\\''") .. "' 2>&1")
  local text = pipe:read("*a")
  pipe:close()
  return text
end

---The names of the outermost boxes of an MP4, which have to fill it exactly.
function M.boxes(bytes)
  local names, at = {}, 1
  while at <= #bytes do
    local a, b, c, d = bytes:byte(at, at + 3)
    if not d then return nil, "cut in a box's size" end
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    if size < 8 or at + size - 1 > #bytes then return nil, "a box leaves the file" end
    names[#names + 1] = bytes:sub(at + 4, at + 7)
    at = at + size
  end
  return names
end

---Raises "interrupted!" at the `n`th instruction of a source file, in the coroutine that calls this and in no other:
---LuaJIT has one hook for all, and none in what it has compiled. Returns whether it did so by now. `debug.sethook()`
---ends it. `anywhere`: also in coroutines made meanwhile. `again`: from then on once more, `{ n, file }`.
function M.interrupt(n, file, anywhere, again)
  local here, left, inside = coroutine.running(), n, {}
  local getinfo, current = debug.getinfo, coroutine.running
  if rawget(_G, "jit") then require("jit").flush() end
  debug.sethook(function()
    if not anywhere and current() ~= here then return end
    local fn = getinfo(2, "f").func
    if inside[fn] == nil then inside[fn] = getinfo(fn, "S").source:find(file, 1, true) ~= nil end
    if not inside[fn] then return end
    left = left - 1
    if left ~= 0 then return end
    if again then left, file, inside, again = again[1], again[2], {}, nil end
    error("interrupted!", 0)
  end, "", 1)
  return function() return left <= 0 end
end

---The line on which `fn` raises, as its message says, and the message.
function M.raised(fn, ...)
  local ok, message = pcall(fn, ...)
  if ok then return nil, "nothing was raised" end
  local file, line, text = tostring(message):match("^(.-):(%d+): (.*)$")
  return file and file:match("[^/]*$"), tonumber(line), text or tostring(message)
end

return M
