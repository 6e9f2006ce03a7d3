#!/usr/bin/env lua5.4
-- A busy fleet on PostgreSQL: many workers at one ledger that holds very many open tasks. How long an order waits beside
-- them, and a claim, a beat and the steps of a worker; and how soon the ends of tasks are told when a worker is killed.
--
--   spec/bench/fleet.lua [--trees lua,/older/lua] [--only crowd,told] [--open 100000] [--workers 50] [--seconds 30]
--                        [--settings "-c name=value"]
--
-- PostgreSQL is reached over TLS, and its commits wait for the disk.
--
--   crowd  each worker is a process that calls the ledger as `resume` does: a claim every 5 s, steps every second, a
--          heartbeat every 30 s; an order every 50 ms beside them
--   told   10,000 tasks that end over 60 s, in any order, and three workers that resume; one is killed after 20 s
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local root = here .. "/../.."
local sleep = require("socket").sleep

local function child(tree, core, mode, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = "'" .. tostring(word) .. "'" end
  return ("LUA_PATH='%s/?.lua;%s/?/init.lua;%s/?.lua;;' LUA_CPATH='%s/?.so;;' KIE_API_KEY=bench-key exec lua5.4 "
    .. "%s %s %s"):format(tree, tree, root, core, arg[0], mode, table.concat(words, " "))
end

-- Children -------------------------------------------------------------------------------------------------------------

local modes = {}

local function ledger_of(place)
  local core = require "veo.core"
  return require("veo.ledger").new(place, { now = core.now, timeout = 60, rate = { count = 1e6, window = 1 } }), core
end

-- Open tasks, and twice as many closed ones.
function modes.fill(place, open)
  local ledgers = require "spec.support.ledgers"
  ledger_of(place):find()
  ledgers.query(place, ([[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, intent_key, task_id, price,
    day, client, owner, lease, sending, created, updated)
    SELECT lpad(to_hex(g), 24, '0'), CASE WHEN g > %d THEN 'accepted' ELSE 'saved' END, 'extend', 'veo',
    '{"prompt":"shot ' || g || repeat(' the boat turns towards the harbour', 6) || '"}', md5(g::text), 'key-' || g,
    'task' || g, 60, 20000, 'c', NULL, 0, 0, extract(epoch FROM now()) - %d + g / 1000.0,
    extract(epoch FROM now()) FROM generate_series(1, %d) AS g]]):format(2 * open, open, 3 * open))
  ledgers.query(place, "ANALYZE")
end

local function report(took, failed)
  table.sort(took)
  local n = #took
  if n == 0 then return ("none, %d failed"):format(failed) end
  return ("%d, %d failed, median %.0f ms, 99 %% %.0f, longest %.0f"):format(n, failed, took[n // 2 + 1],
    took[math.ceil(n * 0.99)], took[n])
end

-- One of the workers: holds its share, and does what `resume` does. Prints what each call took.
function modes.worker(place, number, share, base, seconds, flag)
  local ledgers = require "spec.support.ledgers"
  local ledger, core = ledger_of(place)
  ledger:find()
  ledgers.query(place, ([[UPDATE veo_tasks SET owner = '%s', claim = 'fleet%d', lease = extract(epoch FROM now()) + 90
    WHERE ref > '%024x' AND ref <= '%024x']]):format(ledger.owner, number, base + (number - 1) * share,
    base + number * share))
  local held = ledgers.query(place, ("SELECT ref, claim, task_id FROM veo_tasks WHERE claim = 'fleet%d'")
    :format(number))
  ledger.beat_at = 0
  assert(ledger:beat()) -- as a claim does, by which it would hold them
  io.open(flag .. number, "w"):close()
  while not core.kind(flag) do sleep(0.1) end
  local till, at = core.now() + seconds, { claim = 5 * math.random(), steps = math.random(), beat = 30 * math.random() }
  for name, later in pairs(at) do at[name] = core.now() + later end
  local every = { claim = 5, steps = 1, beat = 30 }
  local calls = {
    claim = function() return ledger:claim { limit = 20, round = ("w%d.%.0f"):format(number, core.now() * 1000) } end,
    steps = function()
      local entries = {}
      for i = 1, 2 do entries[i] = { row = table.remove(held), fields = { state = "done" } } end
      return ledger:steps(entries, 2)
    end,
    beat = function()
      ledger.beat_at = 0
      return ledger:beat() or nil
    end,
  }
  repeat
    for name, due in pairs(at) do
      local began = core.now()
      if began >= due then
        local ok, err = calls[name]()
        print(name, (core.now() - began) * 1000, ok and "ok" or tostring(err))
        at[name] = math.max(due + every[name], core.now())
      end
    end
    local next_due = till
    for _, due in pairs(at) do next_due = math.min(next_due, due) end
    sleep(math.max(next_due - core.now(), 0.001))
  until core.now() > till
  print("cpu", os.clock() * 1000, "ok")
end

function modes.order(place, seconds)
  local ledger, core = ledger_of(place)
  ledger:find()
  local till, took, answered, failed = core.now() + seconds, {}, {}, 0
  repeat
    local began = core.now()
    local found = ledger:open { operation = "extend", api = "veo", body = { prompt = "bench " .. began },
      on_duplicate = "refuse", price = 60, timeout = 60 }
    took[#took + 1] = (core.now() - began) * 1000
    if found then
      began = core.now()
      if not ledger:refused(found.request, { code = "rejected", message = "bench" }) then failed = failed + 1 end
      answered[#answered + 1] = (core.now() - began) * 1000
    else
      failed = failed + 1
    end
    sleep(0.05)
  until core.now() > till
  print(("  order   %s\n  answer  %s"):format(report(took, failed), report(answered, 0)))
end

-- The service: tasks that end at their own instant, over `span` seconds.
function modes.service(port, tasks, span)
  local cqueues = require "cqueues"
  local sockets = require "cqueues.socket"
  local now, queue = cqueues.monotime, cqueues.new()
  local server, began = sockets.listen { host = "127.0.0.1", port = port, reuseaddr = true }, now()
  local function answer(line)
    local taskId, number = line:match "taskId=(task(%d+))"
    local done = now() - began > (tonumber(number) * 7919 % tasks + 1) / tasks * span
    local body = ('{"code":200,"msg":"success","data":{"taskId":"%s","successFlag":%d,"response":%s}}'):format(taskId,
      done and 1 or 0, done and ('{"taskId":"%s","resultUrls":["http://127.0.0.1/v.mp4"],'
      .. '"fullResultUrls":["http://127.0.0.1/v.mp4"]}'):format(taskId) or "null")
    return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
  end
  queue:wrap(function()
    for socket in server:clients() do
      socket:setmode("bf", "bf")
      socket:onerror(function(_, _, why) return why end) -- a worker is killed
      queue:wrap(function()
        for line in socket:lines "*l" do
          if line:find("^GET ") then socket:write(answer(line)) end
          if line == "" or line == "\r" then socket:flush() end
        end
        socket:close()
      end)
    end
  end)
  assert(queue:loop())
end

-- A worker that resumes until nothing is left; each end that it tells goes to a file.
function modes.resume(place, url, file, limit, interval)
  local core = require "veo.core"
  local client = require("veo").new { ledger = place, base_url = url, api_key = "bench-key", rate = { polls = 1000 } }
  local told = assert(io.open(file, "w"))
  told:setvbuf "no"
  told:write(require("veo.core").pid(), "\n")
  repeat
    assert(client:resume { limit = limit, wait = { first = 0.01, interval = interval, max_interval = interval },
      on_result = function(status, record) told:write(record.taskId, " ", core.now(), "\n") return status end })
    client:sleep(0.5)
  until false
end

if modes[arg[1]] then
  local values = {}
  for i = 2, #arg do values[i - 1] = math.tointeger(tonumber(arg[i])) or tonumber(arg[i]) or arg[i] end
  math.randomseed(arg[3] and #arg[3] or 0, tonumber(arg[3]) or 0)
  modes[arg[1]](table.unpack(values))
  os.exit(0, true)
end

-- Parent ---------------------------------------------------------------------------------------------------------------

local options = { trees = root .. "/lua", only = "crowd,told", open = "100000", workers = "50", seconds = "30",
  settings = "" }
for i = 1, #arg, 2 do
  local name = arg[i]:match("^%-%-(%a+)$")
  if not options[name] or not arg[i + 1] then error("unknown option " .. arg[i], 0) end
  options[name] = arg[i + 1]
end
package.path = ("%s/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;"):format(root, root, root) .. package.path
package.cpath = root .. "/build/5.4/?.so;" .. package.cpath
local ledgers = require "spec.support.ledgers"
local monotonic = require "veo.core".now
local cluster = require("spec.support.postgres").start { durable = true, tls = true,
  settings = "-c shared_preload_libraries=pg_stat_statements,auto_explain " .. options.settings }
local pipe = io.popen "mktemp -d"
local folder = pipe:read "l"
pipe:close()

local function in_background(command, out)
  local started = io.popen(("( %s ) > %s 2>&1 & echo $!"):format(command, out))
  local pid = started:read "l"
  started:close()
  return pid
end
local function kill(pid) os.execute("kill -9 " .. pid .. " 2>/dev/null") end

local stories = {}

-- CPU seconds of a process; `ended`: of those that it has started and that have ended.
local function cpu_of(pid, ended)
  local file = io.open("/proc/" .. pid .. "/stat")
  if not file then return 0 end
  local fields = file:read("a"):match "^%d+ .*%) %S+(.*)$"
  file:close()
  local user, system = fields:match((" %S+"):rep(ended and 12 or 10) .. " (%d+) (%d+)")
  return (user + system) / 100
end

local function server_cpu()
  local file = assert(io.open(cluster.folder .. "/data/postmaster.pid"))
  local pid = file:read "l"
  file:close()
  return cpu_of(pid, true)
end

-- What the statements took inside the server, those of the longest sum first.
local function statements(place)
  for _, row in ipairs(ledgers.query(place, [[SELECT CAST(calls AS DOUBLE PRECISION) AS calls, mean_exec_time AS mean,
    max_exec_time AS longest, CAST(shared_blks_hit + shared_blks_read AS DOUBLE PRECISION) / calls AS pages,
    CAST(rows AS DOUBLE PRECISION) / calls AS rows, regexp_replace(query, '\s+', ' ', 'g') AS query
    FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 16]])) do
    print(("  %6.0f calls, %7.2f ms, longest %7.1f, %6.1f pages, %5.1f rows: %s"):format(row.calls, row.mean,
      row.longest, row.pages, row.rows, row.query:sub(1, 90)))
  end
end

function stories.crowd(run, place)
  os.execute("rm -f " .. folder .. "/go*")
  local workers, seconds = tonumber(options.workers), tonumber(options.seconds)
  local share = options.open * 95 // 100 // workers
  for i = 1, workers do
    in_background(run("worker", place, i, share, 2 * options.open, seconds + 8, folder .. "/go"),
      folder .. "/worker" .. i)
  end
  for i = 1, workers do
    while not require("veo.core").kind(folder .. "/go" .. i) do sleep(0.1) end
  end
  ledgers.query(place, "VACUUM ANALYZE veo_tasks") -- as its autovacuum does
  local function order(title, for_seconds)
    local orders = io.popen(run("order", place, for_seconds))
    print("  " .. title)
    io.write(orders:read "a")
    orders:close()
  end
  order("alone", 10)
  ledgers.query(place, "SELECT 1 AS done FROM (SELECT pg_stat_statements_reset()) AS reset")
  local cpu = server_cpu()
  io.open(folder .. "/go", "w"):close()
  sleep(2)
  order("beside them", seconds)
  sleep(seconds / 10 + 12) -- until all have ended, and told what they took
  local took, failed = {}, {}
  for i = 1, workers do
    for line in io.lines(folder .. "/worker" .. i) do
      local name, ms, said = line:match "^(%a+)\t(%S+)\t(.*)$"
      if not name then print(line) else
        took[name], failed[name] = took[name] or {}, failed[name] or 0
        table.insert(took[name], tonumber(ms))
        if said ~= "ok" then failed[name] = failed[name] + 1 end
      end
    end
  end
  for _, name in ipairs { "claim", "steps", "beat" } do
    print(("  %-7s %s"):format(name, report(took[name] or {}, failed[name] or 0)))
  end
  local own = 0
  for _, ms in ipairs(took.cpu or {}) do own = own + ms / 1000 end
  print(("  CPU     %.1f s of the workers, %.1f s of the server, in %d s"):format(own, server_cpu() - cpu, seconds + 8))
  statements(place)
end

-- `tasks` open ones, and `count` workers, of which one is killed.
local function fleet(run, place, tasks, count, limit, interval, span)
  ledgers.query(place, "DELETE FROM veo_tasks WHERE state <> 'accepted'")
  ledgers.query(place, "SELECT 1 AS done FROM (SELECT pg_stat_statements_reset()) AS reset")
  local port = 20000 + monotonic() // 1 % 20000
  local pids = { service = in_background(run("service", port, tasks, span), folder .. "/service") }
  os.execute "sleep 0.5"
  local began = monotonic()
  for i = 1, count do
    pids[i] = in_background(run("resume", place, ("http://127.0.0.1:%d"):format(port), folder .. "/told" .. i, limit,
      interval), folder .. "/resume" .. i)
  end
  return pids, began
end

-- What was told, and how late (the service began to count at `began`).
local function told_by(count, tasks, span, began)
  local at, n, twice, last, late = {}, 0, 0, 0, {}
  for i = 1, count do
    for line in io.lines(folder .. "/told" .. i) do
      local number, when = line:match "^task(%d+) (%S+)$"
      if number and at[number] then twice = twice + 1 end
      if number and not at[number] then
        at[number], n = true, n + 1
        last = math.max(last, tonumber(when))
        late[n] = (tonumber(when) - began - (number * 7919 % tasks + 1) / tasks * span) * 1000
      end
    end
  end
  return n, last, twice, late
end

function stories.told(run, place)
  local pids, began = fleet(run, place, 10000, 3, 5000, 5, 60)
  local cpu = server_cpu()
  os.execute "sleep 20"
  kill(pids[1])
  local n, last, twice, late
  repeat
    os.execute "sleep 2"
    n, last, twice, late = told_by(3, 10000, 60, began - 0.5)
  until n >= 10000 or monotonic() - began > 150
  local spent = ("service %.1f s, the two workers left %.1f and %.1f"):format(cpu_of(pids.service), cpu_of(pids[2]),
    cpu_of(pids[3]))
  for _, pid in pairs(pids) do kill(pid) end
  os.execute("sleep 1; cat " .. folder .. "/service " .. folder .. "/resume*")
  print(("  told    %d of 10,000 ends over 60 s, %d twice; the last %.1f s after the start"):format(n, twice,
    last - began))
  print(("  late    %s\n  CPU     %s, server %.1f"):format(report(late, 0), spent, server_cpu() - cpu))
  statements(place)
end

local SIZE = { crowd = options.open, told = 10000 }
for tree in options.trees:gmatch("[^,]+") do
  local core = io.open(tree .. "/../core/veo/core.so") and tree .. "/../core" or root .. "/build/5.4"
  local function run(...) return child(tree, core, ...) end
  print(tree)
  for story in options.only:gmatch("[^,]+") do
    pcall(ledgers.query, cluster.uri, "DROP DATABASE bench WITH (FORCE)")
    ledgers.query(cluster.uri, "CREATE DATABASE bench")
    local place = cluster.uri:gsub("/postgres$", "/bench")
    ledgers.query(place, "CREATE EXTENSION pg_stat_statements")
    assert(os.execute(run("fill", place, SIZE[story])))
    stories[story](run, place)
  end
end
cluster:stop()
os.execute("rm -rf " .. folder)
