-- A simulator as the service stands: behind nginx, with TLS and HTTP/2. `start` takes and gives what the simulator's own
-- `start` does; the control path stays plain and direct. Of a request, `connection` and `nth_on_connection` are those
-- between client and nginx, and `protocol` says what was spoken there. A connection that the simulator closes
-- unanswered is closed by nginx as well (over HTTP/2: its stream is reset), where it would say 502 by itself.
local cqueues = require "cqueues"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local socket = require "cqueues.socket"

local M = {}

local plain_start = simulator.start

local CONF = [[
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  log_format protocol '$server_protocol $request_method $status $uri';
  access_log access.log protocol;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ssl_certificate TLS/server.pem;
  ssl_certificate_key TLS/server.key;
  client_max_body_size 0;
  large_client_header_buffers 4 64k;
  ignore_invalid_headers off;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Protocol $server_protocol;
  proxy_set_header X-Connection "$connection $connection_requests";
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_buffer_size 64k;
  proxy_buffers 4 64k;
  proxy_next_upstream off;
  error_page 502 504 @closed;
SERVERS
}
]]

local SERVER = [[
  server {
    listen 127.0.0.1:%d ssl http2;
    location / { proxy_pass http://127.0.0.1:%d; }
    location @closed { return 444; }
  }
]]

-- `make test-h2` names a folder for the whole run, with a CA that the processes which specs start trust too.
local function folders()
  local shared = os.getenv "VEO_SPEC_H2"
  local pipe = io.popen("mktemp -d " .. (shared and shared .. "/XXXXXX" or ""))
  local folder = pipe:read "*l"
  pipe:close()
  if not shared then os.execute("sh spec/support/certificates.sh " .. folder) end
  return folder, shared or folder
end

local last = 12000 + math.floor(cqueues.monotime() * 1000) % 16000
---Below the ports that the system gives to connections, so that none takes it before nginx does.
function M.free_port()
  repeat
    last = last + 1
    local probe = socket.listen { host = "127.0.0.1", port = last, reuseaddr = true }
    probe:onerror(function(_, _, why) return why end)
    local free = probe:listen()
    probe:close()
  until free
  return last
end

-- The shell ends nginx when its standard input ends: on stop, and when whoever started it dies.
local COMMAND = "cd %s; unset LD_PRELOAD; ulimit -n $(ulimit -Hn); PATH=$PATH:/usr/sbin; "
  .. "nginx -p . -c nginx.conf -e error.log </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid"

---Starts nginx with that folder as its prefix; it ends when the pipe that is returned is closed.
function M.start_nginx(folder, conf)
  helper.write(folder .. "/nginx.conf", conf)
  local pipe = assert(io.popen(COMMAND:format(folder), "w"))
  local deadline = cqueues.monotime() + helper.PATIENCE
  while not helper.read(folder .. "/nginx.pid") do -- it listens before it writes its number
    if cqueues.monotime() > deadline then
      pipe:close()
      error("nginx did not start: " .. (helper.read(folder .. "/error.log") or ""))
    end
    cqueues.sleep(0.005)
  end
  return pipe
end

-- What specs do to a connection is told as "error" or less.
local function stop_nginx(pipe, folder, tls)
  pipe:close()
  local log = helper.read(folder .. "/error.log")
  if folder == tls then os.execute("rm -rf " .. folder) end
  for line in log:gmatch "[^\n]+" do
    if line:find "%[alert%]" or line:find "%[crit%]" or line:find "%[emerg%]" then error("nginx: " .. line) end
  end
end

---@param options table|nil as the simulator's
---@return veo.Simulator
function M.start(options)
  local given = { tls = false }
  for name, value in pairs(options or {}) do given[name] = name ~= "tls" and value end
  local api, media = M.free_port(), M.free_port()
  given.public_url = "https://127.0.0.1:" .. api
  given.public_media_url = "https://127.0.0.1:" .. media
  local sim = plain_start(given)
  local folder, tls = folders()
  local servers = SERVER:format(api, sim.port) .. SERVER:format(media, sim.media_port)
  local nginx = M.start_nginx(folder, (CONF:gsub("TLS", tls):gsub("SERVERS", servers)))
  sim.ca_file = tls .. "/ca.pem"

  function sim:requests(filter)
    local list = getmetatable(self).requests(self, filter)
    for _, request in ipairs(list) do
      local connection, nth = (request.headers["x-connection"] or ""):match "(%d+) (%d+)"
      request.connection, request.nth_on_connection = tonumber(connection), tonumber(nth)
      request.protocol = request.headers["x-protocol"]
    end
    return list
  end

  function sim:stop()
    local pipe = nginx
    nginx = nil
    getmetatable(self).stop(self)
    if pipe then stop_nginx(pipe, folder, tls) end
  end

  return sim
end

return M
