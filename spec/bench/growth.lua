-- growth.lua [CASE…]: what one of many costs: microseconds of this thread's CPU, and bytes, for each of 100, 1,000, 10,000 …
-- Prints a line "case count microseconds bytes" for each size, parted by tabs, and after each case how many times the
-- first size's CPU the last one's is. Each figure comes from a process of its own, the median of three. Started from the
-- top folder, with LUA_PATH and LUA_CPATH for the checkout that is to be measured; needs nginx, on port 18310.
local SIZES = {
  { "wait", 100, 1000, 10000, 50000 }, { "wait_each", 100, 1000, 10000, 50000 }, { "map", 100, 1000, 10000, 50000 },
  { "download", 500, 2000, 10000, 20000 }, { "close", 100, 1000, 10000, 50000 }, { "sleep", 100, 1000, 10000, 50000 },
  { "sleep_each", 100, 1000, 10000, 100000 }, { "end", 1000, 10000, 50000 },
}

local PORT, URL = 18310, "http://127.0.0.1:18310"

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

local function asleep(client)
  return function()
    repeat client:step(100) until (client.loop:timeout() or 0) > 1000
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
  local native = require "native"
  local client = require "veo".new { base_url = URL .. (GENERATING[case] and "/generating" or ""),
    api_key = "bench-key", rate = { polls = false }, wait = { interval = 3600, max_interval = 3600, timeout = 7200 } }
  local before = memory()
  local work = cases[case](client, n)
  local began = native.cpu()
  work()
  local used = native.cpu() - began
  print(used / n * 1e6, (memory() - before) / n)
end

local function run(case, n)
  local lines = {}
  for i = 1, 3 do
    local pipe = assert(io.popen(("%s %s --one %s %d"):format(arg[-1], arg[0], case, n)))
    local micros, bytes = pipe:read("*a"):match "(%S+)%s+(%S+)"
    pipe:close()
    lines[i] = { assert(tonumber(micros), case .. " failed"), tonumber(bytes) }
  end
  table.sort(lines, function(a, b) return a[1] < b[1] end)
  return lines[2][1], lines[2][2]
end

local function measure_all(wanted)
  print "case\tcount\tmicroseconds\tbytes"
  for _, sizes in ipairs(SIZES) do
    local case, first, last = sizes[1], nil, nil
    for i = 2, (wanted[case] or not next(wanted)) and #sizes or 1 do
      local micros, bytes = run(case, sizes[i])
      print(("%s\t%d\t%.2f\t%.0f"):format(case, sizes[i], micros, bytes))
      first, last = first or micros, micros
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
  local server = start()
  local ok, why = pcall(measure_all, wanted)
  server:close()
  if not ok then error(why, 0) end
end
