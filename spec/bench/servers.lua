-- The servers that the benchmarks talk to, on loopback: nginx, plain and with TLS + HTTP/2, for fast replies and files;
-- slow.c for slow replies, behind the same nginx where they come over TLS.
local h2 = require "spec.support.h2"
local harness = require "harness"

local M = {}

-- The service's own sample of a finished task, as its documentation prints it.
local usual = [[{"code":200,"msg":"success","data":{"taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091",]]
  .. [["paramJson":"{\"prompt\":\"the boat turns\"}","completeTime":1781234873000,"response":{]]
  .. [["taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091","resultUrls":["https://tempfile.example/v/0b7d.mp4"],]]
  .. [["fullResultUrls":["https://tempfile.example/v/77aa.mp4"],"originUrls":null,"resolution":"720p",]]
  .. [["hasAudioList":[true],"seeds":[48213]},"successFlag":1,"errorCode":null,"errorMessage":"",]]
  .. [["createTime":1781234500000,"fallbackFlag":false}}]]

local function changed(from, to)
  local start, stop = assert(usual:find(from, 1, true))
  return usual:sub(1, start - 1) .. to .. usual:sub(stop + 1)
end

-- Each under a path of its own, as a base URL.
M.records = {
  usual = usual,
  bare = changed([["fullResultUrls":["https://tempfile.example/v/77aa.mp4"],]], ""),
  text = changed([=[["https://tempfile.example/v/0b7d.mp4"]]=], [=["[\"https://tempfile.example/v/0b7d.mp4\"]"]=]),
  failed = usual:gsub('"response":{.-}', '"response":null'):gsub('"successFlag":1,"errorCode":null,"errorMessage":""',
    '"successFlag":3,"errorCode":500,"errorMessage":"Your prompt was flagged by the content policy."'),
  generating = usual:gsub('"completeTime":%d+', '"completeTime":null'):gsub('"response":{.-}', '"response":null')
    :gsub('"successFlag":1', '"successFlag":0'),
}

-- As many streams on one connection as exchanges may be in flight: nginx's default is 128.
local CONF = [[
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 2000000000;
  keepalive_timeout 600s;
  http2_max_concurrent_streams 1024;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ssl_certificate server.pem;
  ssl_certificate_key server.key;
  upstream slow { server 127.0.0.1:SLOW_PORT; keepalive 2048; keepalive_requests 2000000000; }
  server {
    listen 127.0.0.1:PLAIN_PORT;
    listen 127.0.0.1:TLS_PORT ssl http2;
    default_type application/json;
    location ~ ^/(slow|ten)/ {
      proxy_pass http://slow;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
    location /files/ { default_type video/mp4; alias FOLDER/; }
RECORDS
  }
}
]]

-- An MP4 as far as its first bytes tell.
local function big_file(path, mebibytes)
  local file = assert(io.open(path, "wb"))
  local block = ("0123456789abcdef"):rep(65536)
  local header = "\0\0\0\24ftypisom\0\0\2\0isommp41"
  file:write(header, block:sub(#header + 1))
  for _ = 2, mebibytes do
    file:write(block)
  end
  assert(file:close())
end

local function locations()
  local list = {}
  for name, record in pairs(M.records) do
    list[#list + 1] = ("    location /%s/ { return 200 '%s'; }"):format(name, record:gsub("\\", "\\\\"))
  end
  return table.concat(list, "\n")
end

---Starts both → { tls, plain: { url, slow, ten, tls, port }, ca_file, stop }; `url .. "/usual"` is a base URL of quick
---replies, and at `ten` a task has ended when it is asked for ten times.
---@param env table { here = this folder, dir = scratch folder, bin = folder of the C programs }
---@param files table  name → MiB
function M.start(env, files)
  local plain, tls, slow = h2.free_port(), h2.free_port(), h2.free_port()
  assert(os.execute(("sh %s/../support/certificates.sh %s"):format(harness.quote(env.here), harness.quote(env.dir))))
  harness.write(env.dir .. "/record.json", usual)
  harness.write(env.dir .. "/generating.json", M.records.generating)
  for name, mebibytes in pairs(files) do
    big_file(env.dir .. "/" .. name, mebibytes)
  end
  local pipe = assert(io.popen(("exec 2>%s; %s %d %s %s </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid")
    :format(harness.quote(env.dir .. "/slow.log"), harness.quote(env.bin .. "/slow"), slow,
      harness.quote(env.dir .. "/record.json"), harness.quote(env.dir .. "/generating.json")), "w"))
  local values = { PLAIN_PORT = plain, TLS_PORT = tls, SLOW_PORT = slow, FOLDER = env.dir, RECORDS = locations() }
  local nginx = h2.start_nginx(env.dir, (CONF:gsub("%u+_?%u+", values)))
  return {
    tls = { url = "https://127.0.0.1:" .. tls, slow = "https://127.0.0.1:" .. tls .. "/slow",
      ten = "https://127.0.0.1:" .. tls .. "/ten", tls = true },
    plain = { url = "http://127.0.0.1:" .. plain, slow = "http://127.0.0.1:" .. slow,
      ten = ("http://127.0.0.1:%d/ten"):format(slow), tls = false, port = plain },
    ca_file = env.dir .. "/ca.pem",
    stop = function()
      nginx:close()
      pipe:close()
    end,
  }
end

return M
