-- growth.lua [CASE…]: what one of many costs: microseconds of this thread's CPU, and bytes, for each of 100, 1,000, …
-- Prints a line "case count microseconds bytes step worst" for each size, parted by tabs, and after each case how many
-- times the first size's CPU the last one's is. Each figure comes from a process of its own, the median of three, or one
-- of more than 50,000. Started from the top folder, with LUA_PATH and LUA_CPATH for the checkout that is to be measured;
-- needs nginx, on port 18310, or in GROWTH_URL a server of its kind.
-- Where tasks sleep, the client is stepped as frames do; `step` and `worst` are the milliseconds of CPU of a step(0), at
-- the 99.9th percentile and at worst. They are those of the incremental collector, which a program has that embeds Lua;
-- GROWTH_COLLECTOR=generational is what the command lua5.4 has.
local SIZES = {
  { "wait", 100, 1000, 10000, 50000 }, { "wait_each", 100, 1000, 10000, 50000 }, { "map", 100, 1000, 10000, 50000 },
  { "download", 500, 2000, 10000, 20000 }, { "close", 100, 1000, 10000, 50000 }, { "sleep", 100, 1000, 10000, 100000 },
  { "sleep_each", 100, 1000, 10000, 100000 }, { "end", 1000, 10000, 50000 },
}

local PORT, GIVEN = 18310, os.getenv "GROWTH_URL"
local URL = GIVEN or "http://127.0.0.1:18310"

local CONF = [[
daemon off; master_process off; pid nginx.pid; error_log error.log; worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off; sendfile on; keepalive_requests 2000000000; types { video/mp4 mp4; }
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {
    listen 127.0.0.1:PORT;
    location /api { default_type application/json; return 200 '{"code":200,"msg":"success","data":{"taskId":"t",
"paramJson":"{}","completeTime":1781234873000,"response":{"taskId":"t","resultUrls":["https://tempfile.example/v.mp4"],
"fullResultUrls":["https://tempfile.example/f.mp4"],"originUrls":null,"resolution":"720p","seeds":[48213]},
"successFlag":1,"errorCode":null,"errorMessage":"","createTime":1781234500000,"fallbackFlag":false}}'; }
    location /generating/ { default_type application/json; return 200 '{"code":200,"msg":"success","data":{"taskId":"t",
"paramJson":"{}","completeTime":null,"response":null,"successFlag":0,"errorCode":null,"errorMessage":"",
"createTime":1781234500000,"fallbackFlag":false}}'; }
    location = /hop1.mp4 { root CLIPS; }
  }
}
]]

local cases = {}

local function ids(n)
  local list = {}
  for i = 1, n do list[i] = ("growth%08d"):format(i) end
  return list
end

-- Each case: what is prepared, and the work, of which the CPU counts.
function cases.wait(client, n)
  for _, id in ipairs(ids(n)) do client:spawn(function() assert(client:wait(id)) end) end
  return function() assert(client:run()) end
end

function cases.wait_each(client, n)
  local list = ids(n)
  return function()
    for _, status, err in client:wait_each(list) do assert(status, err) end
  end
end

function cases.map(client, n)
  local list = ids(n)
  return function() assert(not select(2, client:map(list, function(id) return client:status(id) end))) end
end

function cases.download(client, n)
  local function drop() end
  for _ = 1, n do client:spawn(function() assert(client:download({ url = URL .. "/hop1.mp4" }, drop)) end) end
  return function() assert(client:run()) end
end

-- Steps as frames do until all sleep; returns the CPU of the steps, and that of each.
local function asleep(client)
  local core, native = require "veo.core", require "native"
  local idle = core.new { base_url = URL, api_key = "bench-key" } -- sleeps for what is left of a frame
  return function()
    local all, steps = 0, {}
    repeat
      local began = native.cpu()
      client:step(0)
      local took = native.cpu() - began
      steps[#steps + 1], all = took, all + took
      idle:step(1)
    until (client.loop:timeout() or 0) > 1000
    idle:close()
    return all, steps
  end
end

function cases.sleep(client, n)
  for _, id in ipairs(ids(n)) do client:spawn(function() client:wait(id) end) end
  return asleep(client)
end

function cases.sleep_each(client, n)
  client:spawn(client:wait_each(ids(n)))
  return asleep(client)
end

function cases.close(client, n)
  for _ = 1, n do client:spawn(function() client:sleep(3600) end) end
  asleep(client)()
  return function() client:close() end
end

cases["end"] = function(client, n) -- jobs that only sleep
  for _ = 1, n do client:spawn(function() client:sleep(0) end) end
  return function() assert(client:run()) end
end

local GENERATING = { sleep = true, sleep_each = true }

local function memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" * 1024
end

local function measure(case, n)
  if _VERSION >= "Lua 5.4" then collectgarbage(os.getenv "GROWTH_COLLECTOR" or "incremental") end
  local native = require "native"
  local client = require "veo".new { base_url = URL .. (GENERATING[case] and "/generating" or ""),
    api_key = "bench-key", rate = { polls = false }, wait = { interval = 3600, max_interval = 3600, timeout = 7200 } }
  assert(client.loop:warm())
  local before = memory()
  local work = cases[case](client, n)
  local began = native.cpu()
  local used, steps = work()
  used = used or native.cpu() - began
  local count, worst = steps and #steps or 0, 0
  if steps then
    table.sort(steps)
    steps, worst = steps[math.ceil(count * 0.999)], steps[count]
  end
  print(used / n * 1e6, (memory() - before) / n, (steps or 0) * 1e3, worst * 1e3)
end

local function run(case, n)
  local lines = {}
  for i = 1, n > 50000 and 1 or 3 do
    local pipe = assert(io.popen(("%s %s --one %s %d"):format(arg[-1], arg[0], case, n)))
    local micros, bytes, step, worst = pipe:read("*a"):match "(%S+)%s+(%S+)%s+(%S+)%s+(%S+)"
    pipe:close()
    lines[i] = { assert(tonumber(micros), case .. " failed"), tonumber(bytes), tonumber(step), tonumber(worst) }
  end
  local median = {}
  for field = 1, 4 do
    table.sort(lines, function(a, b) return a[field] < b[field] end)
    median[field] = lines[math.ceil(#lines / 2)][field]
  end
  return median
end

local function measure_all(wanted)
  print "case\tcount\tmicroseconds\tbytes\tstep\tworst"
  for _, sizes in ipairs(SIZES) do
    local case, first, last = sizes[1], nil, nil
    for i = 2, (wanted[case] or not next(wanted)) and #sizes or 1 do
      local median = run(case, sizes[i])
      print(("%s\t%d\t%.2f\t%.0f\t%.3f\t%.3f"):format(case, sizes[i], median[1], median[2], median[3], median[4]))
      first, last = first or median[1], median[1]
    end
    if last then print(("%s\tgrows\t%.2f\t"):format(case, last / first)) end
  end
end

-- The shell ends nginx when its standard input ends, and waits until it listens.
local function start()
  local pipe = assert(io.popen("mktemp -d; pwd"))
  local folder, here = pipe:read("*l", "*l")
  pipe:close()
  local file = assert(io.open(folder .. "/nginx.conf", "w"))
  file:write((CONF:gsub("PORT", tostring(PORT)):gsub("CLIPS", here .. "/lua/veo/simulator/clips")))
  file:close()
  local server = assert(io.popen(("cd %s; PATH=$PATH:/usr/sbin; nginx -p . -c nginx.conf -e error.log </dev/null & "
    .. "pid=$!; cat >/dev/null; kill $pid; wait $pid; rm -rf %s"):format(folder, folder), "w"))
  os.execute(("while [ ! -f %s/nginx.pid ]; do sleep 0.05; done"):format(folder))
  return server
end

if arg[1] == "--one" then
  measure(arg[2], tonumber(arg[3]))
else
  local wanted = {}
  for _, case in ipairs(arg) do wanted[case] = true end
  local server = not GIVEN and start()
  local ok, why = pcall(measure_all, wanted)
  if server then server:close() end
  if not ok then error(why, 0) end
end
