--- The crash loop: workers are killed with SIGKILL at random instants and their work is done again. The simulator's own
--- list of charges decides whether anything was paid twice, and whether anything paid is unknown to the ledger.
local cjson = require "cjson"
local socket = require "socket"

local containers = require "spec.crash.container"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local media = require "veo.simulator.media"
local filenames = require "veo.util.filename"
local simulator = require "veo.simulator"

local M = {}
local Loop = {}
Loop.__index = Loop

local MODES = { "submit", "together", "wait", "save", "chain", "resume" }
-- How long each takes when nobody kills it (seconds): the instant is drawn from that.
local LASTS = { submit = 0.8, together = 0.5, wait = 0.45, save = 0.6, chain = 1.4, resume = 0.45 }

local function dump(settings)
  local out = { "return {" }
  for name, value in pairs(settings) do
    out[#out + 1] = ("%s = %s,"):format(name, type(value) == "string" and ("%q"):format(value) or tostring(value))
  end
  out[#out + 1] = "}"
  return table.concat(out, "\n")
end

---@param options { modes: string[]|nil, kills: integer, ledger: string|nil, seed: integer|nil, containers: integer|nil, say: fun(text: string)|nil }  `containers`: that many workers at once, each in a PID namespace of its own, as in a container
function M.new(options)
  local say = options.say or function() end
  local self = setmetatable({ options = options, modes = options.modes or MODES, say = say, figures = {
    kills = 0, runs = 0, ["killed in submit"] = 0, ["killed in together"] = 0, ["killed in wait"] = 0,
    ["killed in save"] = 0, ["killed in chain"] = 0, ["killed in resume"] = 0, ["ended before the kill"] = 0,
    ["wrong files"] = 0,
  }, problems = {} }, Loop)
  math.randomseed(options.seed or os.time())
  self.sim = simulator.start { speed = 1000, rate = false, credits = 100000000, own_bytes = true, script = {
    { on = "extend", delay = 0.015 }, -- half of the kills in submit hit an order that is under way
    { on = "media", drip = 200000 },
  } }
  self.folder = helper.folder()
  self.spool = self.folder .. "/spool"
  local pipe = io.popen(ledgers.script(helper.lua(), "spec/crash/receiver.lua", self.spool))
  local port, pid = pipe:read("*l"):match("^(%d+) (%d+)$")
  self.receiver = { pipe = pipe, pid = pid }
  self.ledger = options.ledger or self.folder .. "/renders.db"
  self.settings = { url = self.sim.url, api_key = self.sim.api_key, source = self.sim.source, folder = self.folder,
    ledger = self.ledger, callback = ("http://127.0.0.1:%s/hook"):format(port), orders = 40 }
  self.settings_file = self.folder .. "/settings.lua"
  helper.write(self.settings_file, dump(self.settings))
  self.containers = {}
  for n = 1, options.containers or 0 do self.containers[n] = containers.start() end
  return self
end

function Loop:problem(...)
  local text = string.format(...)
  self.problems[#self.problems + 1] = text
  self.say("PROBLEM: " .. text)
end

-- Starts a worker; one of several in the container that it has by its number.
function Loop:start(mode, id)
  local container = self.containers[1] and self.containers[id % #self.containers + 1]
  local command = ledgers.script(helper.lua(), "spec/crash/worker.lua", mode, id, self.settings_file) .. " 2>&1"
  local pipe = io.popen(container and container:inside(command) or command)
  local pid = pipe:read("*l")
  if not tostring(pid):find("^%d+$") then error("the worker did not start: " .. tostring(pid)) end
  return { pipe = pipe, pid = pid, mode = mode, id = id, container = container }
end

-- Waits for its end. Returns whether it came to it by itself.
function Loop:finish(worker)
  local text = worker.pipe:read("*a")
  worker.pipe:close()
  self.figures.runs = self.figures.runs + 1
  for line in text:gmatch("([^\n]+)\n") do -- whole ones: the kill may come within one
    local code = line:match("^bad\t(%S+)")
    -- Another container's dead cannot be told from its living, so what they had under way is waited for in vain.
    local fine = code == "uncertain" or worker.container and code == "busy"
    if code and not fine or not code and line ~= "good" and line ~= "end" then
      self:problem("%s %s: %s", worker.mode, worker.id, line)
    end
  end
  return text:find("\nend\n", 1, true) ~= nil or text:find("^end\n") ~= nil
end

function Loop:work(mode, id) return self:finish(self:start(mode, id)) end

-- Starts workers and kills each after its seconds.
function Loop:kill(list)
  local began, workers = socket.gettime(), {}
  for i, one in ipairs(list) do
    workers[i] = self:start(one.mode, one.id)
    workers[i].at = began + one.after
  end
  table.sort(workers, function(a, b) return a.at < b.at end)
  for _, worker in ipairs(workers) do
    socket.sleep(math.max(0, worker.at - socket.gettime()))
    local command = "kill -9 " .. worker.pid .. " 2>/dev/null"
    os.execute(worker.container and worker.container:inside(command) or command)
  end
  for _, worker in ipairs(workers) do
    local ended = self:finish(worker)
    local what = ended and "ended before the kill" or "killed in " .. worker.mode
    if not ended then self.figures.kills = self.figures.kills + 1 end
    self.figures[what] = self.figures[what] + 1
  end
end

local function rows(self)
  local ok, found = pcall(ledgers.query, self.ledger, "SELECT ref, state, task_id, body, path, intent_key "
    .. "FROM veo_tasks")
  if ok then return found end
  -- The first worker may be killed before it has made the tables.
  found = tostring(found)
  if found:find("no such table", 1, true) or found:find("does not exist", 1, true) then return {} end
  error(found, 0)
end

-- Every charge is known to the ledger: by its taskId, or as an order without an answer. None was made twice.
function Loop:check()
  local known, waiting = {}, {}
  for _, row in ipairs(rows(self)) do
    if row.task_id then known[row.task_id] = true end
    if row.state == "uncertain" or row.state == "intent" then waiting[cjson.decode(row.body).prompt] = true end
  end
  local _, list = self.sim:charges()
  local seen, unknown, twice = {}, 0, 0
  for _, charge in ipairs(list) do
    if seen[charge.prompt] then
      twice = twice + 1
      self:problem("charged twice: %s", charge.prompt)
    end
    seen[charge.prompt] = true
    if not known[charge.taskId] then
      unknown = unknown + 1
      if not waiting[charge.prompt] then self:problem("charged and not in the ledger: %s", charge.prompt) end
    end
  end
  return { charges = #list, unknown = unknown, twice = twice, charged = seen }
end

-- Every file under a final name is whole, and the one that was made for its task, byte for byte.
function Loop:check_files()
  local made, count = {}, 0
  for _, task in ipairs(self.sim:tasks()) do
    made[task.taskId] = media.clip(media.clip_of_hop(task.hop)) .. media.mark(task.taskId)
  end
  local ours, earlier, whose = {}, {}, {}
  for _, row in ipairs(rows(self)) do
    if row.state == "saved" and row.path then ours[row.path] = row.task_id end
    -- A row has the last place alone: a chain saves once more what a resume had saved before it.
    if row.intent_key then
      earlier[self.folder .. "/" .. filenames.fill("resumed-{key}.mp4", { key = row.intent_key, created = 0 })] =
        row.task_id
    end
  end
  for taskId, bytes in pairs(made) do whose[bytes] = taskId end
  for _, name in ipairs(helper.list(self.folder)) do
    if name:find("%.mp4$") then
      count = count + 1
      local path = self.folder .. "/" .. name
      local taskId = whose[helper.read(path)]
      if not taskId then self:problem("not whole: %s", name) end
      -- What a chain that stopped had finished has no row of its own.
      local owner = ours[path] or earlier[path]
      if not owner and not name:find("^chain%-.*%-hop%d") or owner and owner ~= taskId then
        self.figures["wrong files"] = self.figures["wrong files"] + 1
        self:problem("%s is the file of %s, not of %s", name, tostring(taskId), tostring(owner))
      end
      ours[path] = nil
    end
  end
  for path in pairs(ours) do self:problem("saved, and not there: %s", path) end
  return count
end

-- Until so many were really killed: a worker that was quicker than its killer does not count.
function Loop:kill_all()
  local n, told = 0, 0
  while self.figures.kills < self.options.kills do
    local list = {}
    for i = 1, math.max(#self.containers, 1) do
      n = n + 1
      local mode = self.modes[(n - 1) % #self.modes + 1]
      list[i] = { mode = mode, id = n, after = math.random() * LASTS[mode] }
    end
    self.turns = n
    self:kill(list)
    socket.sleep(0.03) -- an order that was cut may still be carried out
    if n <= 20 or n % 10 == 0 then self:check() end
    local again = {}
    for _, one in ipairs(list) do
      if one.mode ~= "resume" and math.random() < 0.7 then again[#again + 1] = self:start(one.mode, one.id) end
    end
    for _, worker in ipairs(again) do self:finish(worker) end
    if n - told >= 50 then
      told = n
      self.say(("%d kills, %d charges"):format(self.figures.kills, self:check().charges))
    end
  end
  -- Each container sees to its own dead.
  for i = 1, #self.containers do self:work("resume", i) end
end

-- Until the service has carried out what the dead left in its sockets, and has told each charge whose order asked for it.
-- A busy one answers late here too, so it is looks that are counted, not seconds.
function Loop:await_service()
  local same, before = 0, nil
  local deadline = socket.gettime() + helper.PATIENCE
  repeat
    socket.sleep(0.1)
    local _, list = self.sim:charges()
    local told, missing = helper.read(self.spool) or "", nil
    for _, charge in ipairs(list) do
      if charge.callBackUrl and not told:find(charge.taskId, 1, true) then missing = charge.prompt end
    end
    same = (#list == before and not missing) and same + 1 or 0
    before = #list
    if socket.gettime() > deadline then error("no callback came for " .. tostring(missing), 0) end
  until same == 10
end

local function count_uncertain(self, charged)
  local out = { all = 0, charged = 0, ["with callback"] = 0 }
  for _, row in ipairs(rows(self)) do
    if row.state == "uncertain" then
      local body = cjson.decode(row.body)
      out.all = out.all + 1
      if charged[body.prompt] then
        out.charged = out.charged + 1
        if body.callBackUrl then out["with callback"] = out["with callback"] + 1 end
      end
    end
  end
  return out
end

-- What the callbacks name is adopted; what is left is settled as a person would, who looks at the service's own list.
function Loop:settle()
  local client = helper.client(self.sim, { ledger = self.ledger, webhook_key = false })
  assert(client:tasks()) -- buries the intents of the dead
  local before = self:check()
  local uncertain = count_uncertain(self, before.charged)
  self.figures.uncertain, self.figures["uncertain and charged"] = uncertain.all, uncertain.charged
  self.figures["of these with a callback URL"] = uncertain["with callback"]
  for line in io.lines(self.spool) do
    local target, body = line:match("^(%S+)\t(.*)$")
    local status, err = client:callback({}, body, { target = target })
    if not status then self:problem("callback: %s", tostring(err)) end
  end
  local left = count_uncertain(self, before.charged)
  self.figures["adopted by callbacks"] = uncertain["with callback"] - left["with callback"]
  if left["with callback"] > 0 then self:problem("%d with a callback are not adopted", left["with callback"]) end
  local by_prompt = {}
  local _, list = self.sim:charges()
  for _, charge in ipairs(list) do by_prompt[charge.prompt] = charge.taskId end
  for _, record in ipairs(assert(client:tasks { state = "uncertain" })) do
    local ok, err = client:settle(record.ref, by_prompt[record.params.prompt] or "lost")
    if not ok then self:problem("settle: %s", tostring(err)) end
  end
  client:close()
end

---Kills, settles, does all work to its end, and counts.
---@return table figures, string[] problems
function Loop:run()
  self:kill_all()
  self:await_service()
  self:check()
  self:settle()
  for n = 1, self.turns do self:work(self.modes[(n - 1) % #self.modes + 1], n) end
  for i = 1, math.max(#self.containers, 1) do self:work("resume", i) end
  local last = self:check()
  self.figures.charges, self.figures["charged twice"] = last.charges, last.twice
  self.figures["charged and unknown"] = last.unknown
  local states = {}
  for _, row in ipairs(rows(self)) do states[row.state] = (states[row.state] or 0) + 1 end
  for state, count in pairs(states) do
    self.figures["orders " .. state] = count
    if state ~= "saved" and state ~= "lost" and state ~= "refused" and state ~= "done" then
      self:problem("%d orders are still %s", count, state)
    end
  end
  self.figures["whole files"] = self:check_files()
  for _, violation in ipairs(self.sim:violations()) do self:problem("violation: %s", violation.what) end
  return self.figures, self.problems
end

function Loop:stop()
  for _, container in ipairs(self.containers) do container:stop() end
  os.execute("kill " .. self.receiver.pid)
  self.receiver.pipe:close()
  self.sim:stop()
  helper.sweep()
end

return M
