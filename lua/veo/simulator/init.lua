--- A simulator of the kie.ai Veo service on loopback, for demos, specs and users' own tests.
--
--   local simulator = require "veo.simulator"
--   local sim = simulator.start { speed = 100, script = { { on = "extend", code = 429, times = 1 } } }
--   … veo.new { base_url = sim.url, api_key = sim.api_key } …
--   assert(sim:count("POST", "/api/v1/veo/extend") == 1)
--   sim:stop()
--
-- It runs as a child process, not as a thread: a client's blocking calls cannot stop it, its CPU and memory do not
-- show in the client's figures, valgrind and kill -9 do not touch it, and it may be another Lua than the caller's.
-- It ends when its standard input does, so it never outlives whoever started it, however they died.
local json = require "veo.simulator.json"
local options_of = require "veo.simulator.options"
local process = require "veo.simulator.process"
local remote = require "veo.simulator.remote"

---@type veo.simulator
local M = {}

---@type veo.Simulator
local Simulator = {}
Simulator.__index = Simulator

local function ask(self, action, input)
  local answer, why = remote.post(self.control_url, "/_simulator/" .. action, input)
  if not answer then error("simulator: " .. action .. ": " .. tostring(why), 3) end
  return answer
end

function M.start(options)
  local checked, why = options_of.fill(options)
  if not checked then error("simulator: " .. why, 2) end
  local line = json.encode(options or {})
  local child, about = process.start(line)
  if not child then error("simulator: " .. tostring(about), 2) end
  about.process = child
  return setmetatable(about, Simulator)
end

function M.connect(control_url)
  local about, why = remote.post(control_url, "/_simulator/about")
  if not about then error("simulator: " .. tostring(why), 2) end
  return setmetatable(about, Simulator)
end

function M.run(options, say)
  return require("veo.simulator.loop").run(options, say)
end

function Simulator:script(rules)
  local answer, why = remote.post(self.control_url, "/_simulator/script", rules)
  if not answer then error("simulator: script: " .. tostring(why), 2) end
end

function Simulator:requests(filter)
  return ask(self, "requests", filter)
end

function Simulator:count(method, path)
  local total = 0
  for key, count in pairs(ask(self, "counts")) do
    local its_method, its_path = key:match("^(%S+) (.*)$")
    if (not method or method == its_method) and (not path or path == its_path) then total = total + count end
  end
  return total
end

function Simulator:charges()
  local list, by_task = ask(self, "charges"), {}
  for _, charge in ipairs(list) do
    local entry = by_task[charge.taskId] or { count = 0, credits = 0 }
    entry.count, entry.credits = entry.count + 1, entry.credits + charge.credits
    by_task[charge.taskId] = entry
  end
  return by_task, list
end

function Simulator:credits(value)
  return ask(self, "credits", { set = value }).credits
end

function Simulator:tasks() return ask(self, "tasks") end

function Simulator:violations() return ask(self, "violations") end

function Simulator:callbacks() return ask(self, "callbacks") end

function Simulator:call_back(task_id, effect, url)
  ask(self, "call_back", { taskId = task_id, effect = effect, url = url })
end

function Simulator:uploads() return ask(self, "uploads") end

function Simulator:add(task) return ask(self, "add", task) end

function Simulator:reset() ask(self, "reset") end

function Simulator:stop()
  if self.process then self.process:close() end
  self.process = nil
end

return M
