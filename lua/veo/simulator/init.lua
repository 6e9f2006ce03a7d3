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

local M = {}

--- @class veo.Simulator
--- @field url string base URL of the API
--- @field media_url string base URL of the media host
--- @field upload_url string base URL of the upload host
--- @field control_url string
--- @field port integer of the API; another than in url when a proxy stands in front
--- @field media_port integer
--- @field ca_file string|nil CA certificate, when tls
--- @field api_key string
--- @field source string taskId of a finished 8 s video
local Simulator = {}
Simulator.__index = Simulator

local function ask(self, action, input)
  local answer, why = remote.post(self.control_url, "/_simulator/" .. action, input)
  if not answer then error("simulator: " .. action .. ": " .. tostring(why), 3) end
  return answer
end

--- Starts a simulator beside the caller and waits until it listens.
--- @param options table|nil see options.lua: port, tls, speed, render, credits, rate, script, …
--- @return veo.Simulator
function M.start(options)
  local checked, why = options_of.fill(options)
  if not checked then error("simulator: " .. why, 2) end
  local line = json.encode(options or {})
  local child, about = process.start(line)
  if not child then error("simulator: " .. tostring(about), 2) end
  about.process = child
  return setmetatable(about, Simulator)
end

--- A running simulator, from another process.
--- @param control_url string the starter's sim.control_url
--- @return veo.Simulator
function M.connect(control_url)
  local about, why = remote.post(control_url, "/_simulator/about")
  if not about then error("simulator: " .. tostring(why), 2) end
  return setmetatable(about, Simulator)
end

--- Runs in the foreground and says where; comes back only when it cannot start.
--- @param options table|nil
--- @param say fun(line: string)|nil
--- @return nil, string why
function M.run(options, say)
  return require("veo.simulator.loop").run(options, say)
end

--- Replaces the script. Rules are tried in order, see script.lua and effects.lua.
--- @param rules table[]
function Simulator:script(rules)
  local answer, why = remote.post(self.control_url, "/_simulator/script", rules)
  if not answer then error("simulator: script: " .. tostring(why), 2) end
end

--- The requests it got, in order: number, method, path, target, query, headers (lower-case names), body, json, time,
--- connection, nth_on_connection, listener, endpoint, task_id, http, effect, body_sent (bytes of the answer's body).
--- @param filter table|nil method, path, endpoint, listener, connection, task_id, after
--- @return table[]
function Simulator:requests(filter)
  return ask(self, "requests", filter)
end

--- How many requests arrived.
--- @param method string|nil with path; without both: all
--- @param path string|nil
--- @return integer
function Simulator:count(method, path)
  local total = 0
  for key, count in pairs(ask(self, "counts")) do
    local its_method, its_path = key:match("^(%S+) (.*)$")
    if (not method or method == its_method) and (not path or path == its_path) then total = total + count end
  end
  return total
end

--- What was charged: the truth. By taskId { count, credits }, and the list of charges in order (taskId, credits,
--- operation, model, source, prompt, callBackUrl, request, time, user_agent).
--- @return table<string, table> by_task, table[] list
function Simulator:charges()
  local list, by_task = ask(self, "charges"), {}
  for _, charge in ipairs(list) do
    local entry = by_task[charge.taskId] or { count = 0, credits = 0 }
    entry.count, entry.credits = entry.count + 1, entry.credits + charge.credits
    by_task[charge.taskId] = entry
  end
  return by_task, list
end

--- The balance; with a number, sets it first.
--- @return number
function Simulator:credits(value)
  return ask(self, "credits", { set = value }).credits
end

--- Every task: taskId, kind, state, hop, source, prompt, seeds, model, watermark, callBackUrl, visible, upgraded.
--- @return table[]
function Simulator:tasks() return ask(self, "tasks") end

--- What a good client never does: { request = number, what = text, method, path }.
--- @return table[]
function Simulator:violations() return ask(self, "violations") end

--- The callbacks sent: taskId, url, try, answered (HTTP status) or failed.
--- @return table[]
function Simulator:callbacks() return ask(self, "callbacks") end

--- Sends a task's callback now, once more, or to another place.
--- @param effect table|nil forge, repeats, snake, no_info, list_form, delay, … (effects.lua)
--- @param url string|nil the task's own callBackUrl when absent
function Simulator:call_back(task_id, effect, url)
  ask(self, "call_back", { taskId = task_id, effect = effect, url = url })
end

--- The uploads taken: fileName, uploadPath, size, sha256, url, source (of an upload by URL).
--- @return table[]
function Simulator:uploads() return ask(self, "uploads") end

--- Adds a finished or running task: taskId, kind, hop, render, visible, prompt, fail, …
--- @return table task
function Simulator:add(task) return ask(self, "add", task) end

--- Everything as at the start, with the script given at the start.
function Simulator:reset() ask(self, "reset") end

--- Ends it and waits for its end.
function Simulator:stop()
  if self.process then self.process:close() end
  self.process = nil
end

return M
