-- A process that saves a task's video and kills itself with SIGKILL at a chosen instant.
--
--   cut_save.lua URL KEY LEDGER MODE INSTANT PATH [TASK]     MODE: download, resume, chain
local url, key, ledger, mode, instant, path, task = (table.unpack or unpack)(arg, 1, 7) -- luacheck: ignore

local core = require "veo.core"
local veo = require "veo"

local function die()
  os.execute("kill -9 $PPID")
end

-- `where` is before or after the method.
local function cut(method, where)
  local class = require("veo.task.download.journal").class
  local real = class[method]
  class[method] = function(...)
    if where == "before" then die() end
    local err = real(...)
    die()
    return err
  end
end

local instants = {
  never = function() end,
  half = function() end, -- by on_progress
  begun = function() cut("begin", "after") end,    -- the name is noted, nothing came
  whole = function() cut("whole", "before") end,   -- the body is whole, nobody knows
  noted = function() cut("whole", "after") end,    -- what tells it is noted, it has no name
  renamed = function() -- it has its name, its notes are there and the ledger does not know
    local real = core.remove
    function core.remove(name)
      if core.kind(path) and name:find("%.part%.meta$") then die() end
      return real(name)
    end
  end,
  unsaid = function() -- only the ledger's word is missing
    local real = core.remove
    function core.remove(name)
      local ok, why = real(name)
      if core.kind(path) and name:find("%.part%.meta%.new$") then die() end
      return ok, why
    end
  end,
}
instants[instant]()

local client = veo.new { base_url = url, api_key = key, ledger = ledger, retry = { base = 0.01 },
  rate = { polls = false }, wait = { first = 0.01, interval = 0.02, max_interval = 0.05, timeout = 60 } }
local options = { on_progress = instant == "half" and function(bytes) if bytes > 0 then die() end end or nil }
local ok, err
if mode == "resume" then
  ok, err = client:resume { path = function() return path end, download = options }
elseif mode == "chain" then
  ok, err = client:chain { taskId = task, prompts = { "one", "two" }, path = path, download = options }
else
  ok, err = client:download(assert(client:status(task)), path, options)
end
print(ok and (type(ok) == "table" and ok.path or "ok") or tostring(err.code))
client:close()
