--- Three workers share a ledger on PostgreSQL, as if on three machines: one is killed now and then and comes back, one is
--- cut off from the database for a while. Each task must be waited for to its end exactly once.
local socket = require "socket"

local core = require "veo.core"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

local M = {}

-- Seconds a claim holds without a heartbeat, in this loop.
local LEASE = 6

local function settings_file(folder, name, settings)
  local out = { "return {" }
  for field, value in pairs(settings) do
    out[#out + 1] = ("%s = %s,"):format(field, type(value) == "string" and ("%q"):format(value) or tostring(value))
  end
  out[#out + 1] = "}"
  helper.write(folder .. "/" .. name, table.concat(out, "\n"))
  return folder .. "/" .. name
end

local started = {} -- ids of processes

local function start(file, id)
  local pipe = io.popen(ledgers.script(helper.lua(), "spec/crash/worker.lua", "resume", id, file) .. " 2>&1")
  local worker = { pipe = pipe, pid = pipe:read("*l"), id = id }
  started[#started + 1] = worker.pid
  return worker
end

local function kill(worker)
  os.execute("kill -9 " .. worker.pid .. " 2>/dev/null")
  worker.pipe:read("*a")
  worker.pipe:close()
end

local function results(folder)
  local by_task, count = {}, 0
  local file = io.open(folder .. "/results")
  if not file then return by_task, 0 end
  for line in file:lines() do
    local taskId, id, outcome, time = line:match("^(%S+) (%S+) (%S+) (%S+)$")
    by_task[taskId] = by_task[taskId] or {}
    table.insert(by_task[taskId], { by = id, outcome = outcome, time = tonumber(time) })
    count = count + 1
  end
  file:close()
  return by_task, count
end

local function run(options)
  local say = options.say or function() end
  -- Renders take 2 to 8 seconds, so that every kill and cut hits tasks that are being waited for.
  local sim = simulator.start { speed = 60, render = 300, render_spread = 0.6, rate = false, credits = 10000000 }
  local server = postgres.start()
  local folder = helper.folder()
  local flag = folder .. "/cut"
  local proxy = io.popen(ledgers.script(helper.lua(), "spec/crash/proxy.lua", server.port, flag))
  local port, proxy_pid = proxy:read("*l"):match("^(%d+) (%d+)$")
  started[#started + 1] = proxy_pid
  local settings = { url = sim.url, api_key = sim.api_key, source = sim.source, folder = folder, ledger = server.uri,
    lease = LEASE, fleet = true, other_host = true }
  local direct = settings_file(folder, "direct.lua", settings)
  settings.ledger = server.uri:gsub(":%d+/", ":" .. port .. "/")
  local through = settings_file(folder, "through.lua", settings)
  local problems, figures = {}, { kills = 0, cuts = 0 }
  local function problem(...) problems[#problems + 1] = string.format(...) end

  local client = helper.client(sim, { ledger = server.uri })
  local per_turn = math.ceil(options.tasks / (options.kills + 1))
  local ordered = 0
  local function order()
    for _ = 1, math.min(per_turn, options.tasks - ordered) do
      ordered = ordered + 1
      assert(client:extend { taskId = sim.source, prompt = "fleet " .. ordered })
    end
    -- Whoever orders does not wait here: its tasks are free for the workers.
    ledgers.query(server.uri, "UPDATE veo_tasks SET lease = 0, owner = NULL WHERE claim IS NULL AND state = 'accepted'")
  end

  order()
  local steady, mortal, cut = start(direct, "1"), start(direct, "2"), start(through, "3")
  local orphans = {} -- taskId → when its worker was killed or cut off
  local function held_by(id)
    for _, row in ipairs(ledgers.query(server.uri, "SELECT task_id FROM veo_tasks WHERE state IN ('accepted', 'done') "
      .. "AND owner LIKE ?", "host-" .. id .. "/%")) do
      orphans[row.task_id] = core.now()
    end
  end

  for turn = 1, options.kills do
    socket.sleep(1 + math.random() * 2)
    held_by "2"
    kill(mortal)
    figures.kills = figures.kills + 1
    if turn <= options.cuts then
      held_by "3"
      -- In turn: a line that swallows everything, and a server that is gone.
      helper.write(flag, turn % 2 == 1 and "silent\n" or "closed\n")
      figures.cuts = figures.cuts + 1
      socket.sleep(LEASE + 6)
      os.remove(flag)
    end
    order()
    mortal = start(direct, "2")
    say(("%d kills, %d cuts, %d tasks, %d results"):format(figures.kills, figures.cuts, ordered,
      select(2, results(folder))))
  end
  while ordered < options.tasks do order() end

  local deadline = core.now() + 120
  local function open()
    return ledgers.query(server.uri, "SELECT ref FROM veo_tasks WHERE state IN ('intent', 'accepted', 'done')")
  end
  while #open() > 0 and core.now() < deadline do socket.sleep(0.2) end
  helper.write(folder .. "/stop", "")
  for _, worker in ipairs { steady, mortal, cut } do
    local text = worker.pipe:read("*a")
    worker.pipe:close()
    for line in text:gmatch("bad[^\n]*") do
      if not line:find("ledger", 1, true) then problem("worker %s: %s", worker.id, line) end
    end
  end
  if #open() > 0 then problem("%d tasks are still open", #open()) end

  local by_task, lines = results(folder)
  figures.tasks, figures.results, figures["told twice"], figures["taken over"] = ordered, lines, 0, 0
  local worst = 0
  for _, row in ipairs(ledgers.query(server.uri, "SELECT task_id, state, path FROM veo_tasks")) do
    local told = by_task[row.task_id]
    local saved = 0
    for _, result in ipairs(told or {}) do if result.outcome == "saved" then saved = saved + 1 end end
    -- A worker killed between the ledger's word and its own leaves a saved task that nobody was told of.
    if saved == 0 then figures["saved, teller killed"] = (figures["saved, teller killed"] or 0) + 1 end
    if saved > 1 then
      figures["told twice"] = figures["told twice"] + 1
      problem("%s was told %d times", row.task_id, saved)
    end
    if row.state ~= "saved" or not helper.read(row.path) then problem("%s is %s", row.task_id, row.state) end
    local since = orphans[row.task_id]
    local last = told and told[#told]
    if since and last and last.time > since then
      figures["taken over"] = figures["taken over"] + 1
      worst = math.max(worst, last.time - since)
    end
  end
  figures["longest takeover, ms"] = math.floor(worst * 1000)
  local tasks, charges, twice = ledgers.charged(sim)
  figures.charges, figures["charged twice"] = charges, twice
  if tasks ~= ordered or charges ~= ordered then problem("%d charges for %d orders", charges, ordered) end
  client:close()
  os.execute("kill " .. proxy_pid)
  proxy:close()
  server:stop()
  sim:stop()
  helper.sweep()
  return figures, problems
end

---@param options { tasks: integer, kills: integer, cuts: integer, say: fun(text: string)|nil }
---@return table figures, string[] problems
function M.run(options)
  started = {}
  local ok, figures, problems = pcall(run, options)
  if not ok then
    -- A pipe to a process that goes on would hang the collector.
    for _, pid in ipairs(started) do os.execute("kill -9 " .. pid .. " 2>/dev/null") end
    error(figures, 0)
  end
  return figures, problems
end

return M
