#!/usr/bin/env lua5.4
-- The ledger at size: how long another process's order waits while somebody lists, resumes or prunes, what a list holds,
-- and how long 10,000 open tasks take; and what an order takes where 1, 10 and 100 are ready together. Several versions beside each other, each over the same rows.
--
--   spec/bench/ledger.lua [--rows 100000] [--open 10000] [--trees lua,/older/lua] [--on sqlite,postgresql]
--                         [--only idle,list,prune,resume,resume3,together]
--
-- resume3 is three processes that resume at once. PostgreSQL waits for the disk in `together` alone.
--
-- A tree is a folder that holds veo/; its core comes from build/5.4, or from core/veo/core.so beside the folder.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local root = here .. "/../.."

local function child(tree, core, mode, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  return ("LUA_PATH='%s/?.lua;%s/?/init.lua;%s/?.lua;;' LUA_CPATH='%s/?.so;;' KIE_API_KEY=bench-key lua5.4 %s %s %s")
    :format(tree, tree, root, core, arg[0], mode, table.concat(words, " "))
end

local function memory()
  local text = assert(io.open("/proc/self/status")):read("a")
  return tonumber(text:match("VmHWM:%s+(%d+)")) / 1024
end

-- Children -------------------------------------------------------------------------------------------------------------

local modes = {}

-- Rows as years of work leave them: nine of ten saved, the rest spread over the other closed states; `open` of accepted.
function modes.fill(place, rows, open)
  local ledgers = require "spec.support.ledgers"
  local canonical = require "veo.util.canonical_json"
  require("veo.ledger").new(place, { now = os.clock, timeout = 60, rate = {} }):find()
  local to = ledgers.connect(place)
  local sql = to:prepare [[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, intent_key, task_id, price,
    day, client, owner, lease, sending, created, updated, result, path)
    VALUES (?, ?, 'extend', 'veo', ?, ?, ?, ?, 60, ?, 'c', NULL, 0, 0, ?, ?, ?, ?)]]
  ledgers.query(to, "BEGIN")
  local now = os.time()
  for i = 1, rows + open do
    local closed = i % 10 > 0 and "saved" or ({ "failed", "refused", "lost" })[i // 10 % 3 + 1]
    local state = i > rows and "accepted" or closed
    local created = now - 86400 * (i > rows and 1 or 2 + (rows - i) / rows * 300)
    local taskId = ("%032x"):format(i)
    local body = canonical.encode { taskId = "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091",
      prompt = ("shot %d: the boat turns towards the harbour, the camera follows "):format(i):rep(3) }
    local result = i <= rows and ([[{"taskId":"%s","state":"succeeded","video_url":"https://tempfile.example/v/%d.mp4",
      "resultUrls":["https://tempfile.example/v/%d.mp4"],"resolution":"720p","createTime":1781234500000}]])
      :format(taskId, i, i) or nil
    assert(sql:execute(("%024x"):format(i), state, body, canonical.hash(body), "key-" .. i, taskId,
      math.floor(created / 86400), created, created, result, i <= rows and "/renders/" .. i .. ".mp4" or nil))
  end
  ledgers.query(to, "COMMIT")
  if place:find("^postgres") then ledgers.query(to, "ANALYZE") end -- as its autovacuum does
end

-- Opens an order every 20 ms until the flag is gone, as another process does; says how long that took (ms).
function modes.order(place, flag)
  local core = require "veo.core"
  local ledger = require("veo.ledger").new(place, { now = core.now, timeout = 60, rate = { count = 1e6, window = 1 } })
  ledger:find() -- connects
  local took, n, failed = {}, 0, 0
  io.open(flag, "w"):close()
  repeat
    n = n + 1
    local began = core.now()
    local found = ledger:open { operation = "extend", api = "veo", body = { prompt = "bench " .. began .. n },
      on_duplicate = "refuse", price = 60, day_limit = 1e9, timeout = 60 }
    took[n] = (core.now() - began) * 1000
    if not found then failed = failed + 1 end
    if found then ledger:refused(found.request, { code = "rejected", message = "bench" }) end
    os.execute("sleep 0.02")
    local there = io.open(flag)
    if there then there:close() end
  until not there
  table.sort(took)
  print(("%d orders, %d failed, median %.1f ms, 99 %% %.1f ms, longest %.1f ms"):format(n, failed, took[n // 2 + 1],
    took[math.ceil(n * 0.99)], took[n]))
end

local function client_of(place, url, more)
  local options = { ledger = place, base_url = url, api_key = "bench-key", rate = { polls = 1e6 },
    wait = { first = 0.01, interval = 0.05 } }
  for name, value in pairs(more or {}) do options[name] = value end
  return require("veo").new(options)
end

function modes.list(place, url)
  local core = require "veo.core"
  local client = client_of(place, url)
  assert(client:tasks { limit = 1 })
  collectgarbage()
  local before, began, n = memory(), core.now(), 0
  if client.each_task then
    for task in assert(client:each_task()) do n = n + (task.ref and 1 or 0) end
  else
    n = #assert(client:tasks())
  end
  print(("%d listed in %.1f s, CPU %.1f s, %.1f MiB more"):format(n, core.now() - began, os.clock(), memory() - before))
end

-- Where several share the work, each result is handed over, or each of them would do all.
function modes.resume(place, url, workers)
  local core = require "veo.core"
  local client = client_of(place, url)
  assert(client:tasks { limit = 1 })
  local began = core.now()
  local summary = assert(client:resume { wait = { first = 0.01, interval = 0.05 },
    on_result = workers > 1 and function() end or nil })
  print(("%d done in %.1f s, CPU %.1f s"):format(summary.done, core.now() - began, os.clock()))
end

-- What a resume has done is open again.
function modes.reopen(place, rows)
  require("spec.support.ledgers").query(place, ([[UPDATE veo_tasks SET state = 'accepted', result = NULL, owner = NULL,
    claim = NULL, lease = 0 WHERE state IN ('done', 'saved') AND ref > '%024x']]):format(rows))
end

function modes.prune(place, url)
  local core = require "veo.core"
  local client = client_of(place, url)
  if not client.prune then return print "cannot" end
  local began = core.now()
  local found = assert(client:prune { days = 30 })
  print(("%d pruned in %.1f s, %.1f MB of text"):format(found.pruned, core.now() - began, found.bytes / 1e6))
end

-- Orders that are ready together, in jobs of one client: time and commits of each, medians.
function modes.together(place, url)
  local core = require "veo.core"
  local Database = getmetatable(require("veo.ledger.database").new("bench.db")).__index
  local run, transaction, commits, spent = Database.run, Database.transaction, 0, 0
  function Database:run(sql, ...)
    commits = commits + (sql == "COMMIT" and 1 or 0)
    return run(self, sql, ...)
  end
  function Database:transaction(...)
    local began = core.now()
    local value, problem = transaction(self, ...)
    spent = spent + core.now() - began
    return value, problem
  end
  local client = client_of(place, url, { rate = { count = 1e6, window = 0.1 }, webhook_key = false })
  assert(client:tasks { limit = 1 })
  for _, count in ipairs { 1, 10, 100 } do
    local rounds = {}
    for round = 1, count < 100 and 15 or 7 do
      commits, spent = 0, 0
      local began = core.now()
      for i = 1, count do
        client:spawn(function()
          assert(client:extend { taskId = "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091", prompt = began .. " " .. i })
        end)
      end
      client:run()
      rounds[round] = { wall = (core.now() - began) * 1000 / count, spent = spent * 1000 / count,
        commits = commits / count }
    end
    local function median(name)
      table.sort(rounds, function(a, b) return a[name] < b[name] end)
      return rounds[#rounds // 2 + 1][name]
    end
    print(("  %3d together: %.2f ms an order, %.2f of them in the ledger, %.2f commits an order"):format(count,
      median "wall", median "spent", median "commits"))
  end
end

if modes[arg[1]] then
  local values = {}
  for i = 2, #arg do values[i - 1] = math.tointeger(tonumber(arg[i])) or arg[i] end
  modes[arg[1]](table.unpack(values))
  os.exit(0, true)
end

-- Parent ---------------------------------------------------------------------------------------------------------------

local options = { rows = "100000", open = "10000", trees = root .. "/lua", on = "sqlite,postgresql",
  only = "idle,list,prune,resume,resume3,together" }
for i = 1, #arg, 2 do
  local name = arg[i]:match("^%-%-(%a+)$")
  if not options[name] or not arg[i + 1] then error("unknown option " .. arg[i], 0) end
  options[name] = arg[i + 1]
end

package.path = ("%s/?.lua;%s/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;"):format(here, root, root, root) .. package.path
package.cpath = root .. "/build/5.4/?.so;" .. package.cpath
local harness, servers = require "harness", require "servers"

local folder = harness.line("mktemp -d")
harness.works(("make -C %s build/5.4/veo/core.so"):format(root))
local env = { here = here, dir = folder, bin = folder }
harness.works(("cc -O2 -o %s/slow %s/slow.c"):format(folder, here))
local nginx = servers.start(env, {})
local cluster = options.on:find("postgresql", 1, true) and require("spec.support.postgres").start()
local sim = require("veo.simulator").start { rate = false, credits = 1e9, speed = 1e4, api_key = "bench-key",
  source = "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091" }

-- Runs one child while another one orders.
local function beside(tree, core, place, mode)
  local flag = folder .. "/flag"
  os.remove(flag)
  local orders = io.popen(child(tree, core, "order", place, flag))
  repeat os.execute("sleep 0.02") until io.open(flag)
  local said
  if mode == "idle" then
    os.execute("sleep 3")
    said = "nothing else"
  else
    local count, workers = tonumber(mode:match("%d+$")) or 1, {}
    for i = 1, count do workers[i] = io.popen(child(tree, core, mode:match("^%a+"), place,
      nginx.plain.url .. "/usual", count)) end
    local lines = {}
    for i, worker in ipairs(workers) do
      lines[i] = worker:read("l")
      worker:close()
    end
    said = table.concat(lines, "; ")
  end
  os.remove(flag)
  print(("  %-7s %-48s another's orders: %s"):format(mode, said, orders:read("a"):gsub("\n", "")))
  orders:close()
end

for kind in options.on:gmatch("[^,]+") do
  for tree in options.trees:gmatch("[^,]+") do
    local core = io.open(tree .. "/../core/veo/core.so") and tree .. "/../core" or root .. "/build/5.4"
    local place = folder .. "/bench.db"
    if kind == "postgresql" then
      pcall(require("spec.support.ledgers").query, cluster.uri, "DROP DATABASE bench")
      require("spec.support.ledgers").query(cluster.uri, "CREATE DATABASE bench")
      place = cluster.uri:gsub("/postgres$", "/bench")
    else
      os.execute("rm -f " .. place .. "*")
    end
    print(("%s, %s, %s rows, %s open"):format(kind, tree, options.rows, options.open))
    assert(os.execute(child(tree, core, "fill", place, options.rows, options.open)))
    for mode in options.only:gmatch("[^,]+") do
      if mode == "together" then
        local durable = kind == "postgresql" and require("spec.support.postgres").start { durable = true, tls = true }
        assert(os.execute(child(tree, core, mode, durable and durable.uri or place, sim.url)))
        if durable then durable:stop() end
      else
        beside(tree, core, place, mode)
      end
      if mode:find "^resume" then
        assert(os.execute(child(tree, core, "reopen", place, options.rows) .. " && sync && sleep 1"))
      end
    end
  end
end
if cluster then cluster:stop() end
nginx.stop()
sim:stop()
os.execute("rm -rf " .. folder)
