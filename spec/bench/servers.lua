-- The servers that the benchmarks talk to, on loopback: nginx for fast replies and a big file, slow.c for slow replies.
local harness = require "harness"
local socket = require "cqueues.socket"

local M = {}

-- The service's own sample of a finished task, as its documentation prints it.
M.record = [[{"code":200,"msg":"success","data":{"taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091",]]
  .. [["paramJson":"{\"prompt\":\"the boat turns\"}","completeTime":1781234873000,"response":{]]
  .. [["taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091","resultUrls":["https://tempfile.example/v/0b7d.mp4"],]]
  .. [["fullResultUrls":["https://tempfile.example/v/77aa.mp4"],"originUrls":null,"resolution":"720p",]]
  .. [["hasAudioList":[true],"seeds":[48213]},"successFlag":1,"errorCode":null,"errorMessage":"",]]
  .. [["createTime":1781234500000,"fallbackFlag":false}}]]

local nginx = [[
daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 2000000000;
  keepalive_timeout 600s;
  client_body_temp_path DIR/client;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  server {
    listen 127.0.0.1:PORT;
    location = /api/v1/veo/record-info { default_type application/json; return 200 'RECORD'; }
    location = /big.mp4 { default_type video/mp4; alias DIR/big.mp4; }
  }
}
]]

local function free_port()
  local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
  assert(server:listen())
  local _, _, port = server:localname()
  server:close()
  return port
end

local function wait_for(port)
  for _ = 1, 100 do
    local con = socket.connect("127.0.0.1", port)
    con:onerror(function(_, _, why) return why end)
    local ok = con:connect(1)
    con:close()
    if ok then
      return
    end
    os.execute("sleep 0.05")
  end
  error("no server on port " .. port)
end

-- The shell ends the server when its standard input ends: on stop, and when the runner dies.
local function run(command, log)
  return assert(io.popen(("exec 2>>%s; %s </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid"):format(
    harness.quote(log), command), "w"))
end

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

---Starts both → { url, port, slow_url, stop }.
---@param env table { dir = scratch folder, bin = folder of the C programs }
function M.start(env, mebibytes)
  local port, slow_port = free_port(), free_port()
  local log, record = env.dir .. "/servers.log", env.dir .. "/record.json"
  local values = { DIR = env.dir, PORT = tostring(port), RECORD = M.record:gsub("\\", "\\\\") }
  harness.write(env.dir .. "/nginx.conf", (nginx:gsub("%u%u%u%u?%u?%u?", values)))
  harness.write(record, M.record)
  big_file(env.dir .. "/big.mp4", mebibytes)
  local pipes = {
    run(("PATH=$PATH:/usr/sbin nginx -p %s -c %s -e %s"):format(harness.quote(env.dir),
      harness.quote(env.dir .. "/nginx.conf"), harness.quote(log)), log),
    run(("%s %d %s"):format(harness.quote(env.bin .. "/slow"), slow_port, harness.quote(record)), log),
  }
  wait_for(port)
  wait_for(slow_port)
  return {
    port = port,
    url = "http://127.0.0.1:" .. port,
    slow_url = "http://127.0.0.1:" .. slow_port,
    stop = function()
      for _, pipe in ipairs(pipes) do
        pipe:close()
      end
    end,
  }
end

return M
