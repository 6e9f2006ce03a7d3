--- A line to a simulator that can be cut and mended: a real nginx in front of it, with TLS and HTTP/2, that is stopped and
--- started again on the same port. While it is down the port is refused.
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local M = {}
local Line = {}
Line.__index = Line

local CONF = [[
  master_process off;
  pid nginx.pid;
  error_log error.log;
  events { worker_connections 1024; }
  http {
    access_log access.log;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    limit_req_zone $binary_remote_addr zone=looks:1m rate=%dr/s;
    limit_req_status 429;
    server {
      listen 127.0.0.1:%d ssl http2;
      ssl_certificate server.pem;
      ssl_certificate_key server.key;
      client_max_body_size 0;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_next_upstream off;
      location /media/ { proxy_pass %s; proxy_buffering on; limit_rate 1m; }
      location /api/file { proxy_pass %s; }
      location /api/v1/veo/record-info { limit_req zone=looks burst=%d nodelay; proxy_pass %s; }
      location / { proxy_pass %s; }
    }
  }
]]

---@param sim table
---@param looks integer|nil  a second that are let through; the others get 429
---@return table line  cut at first; `url`, `ca_file`
function M.new(sim, looks)
  looks = looks or 10000
  local folder, port = helper.folder(), nginx.free_port()
  os.execute("sh spec/support/certificates.sh " .. folder)
  return setmetatable({ folder = folder, port = port, url = "https://127.0.0.1:" .. port, ca_file = folder .. "/ca.pem",
    conf = CONF:format(looks, port, sim.media_url, sim.upload_url, looks, sim.url, sim.url) }, Line)
end

function Line:mend()
  if not self.server then self.server = nginx.start(self.folder, self.conf) end
end

-- Once the port is refused: where nobody reaps it, the process itself stays for seconds.
function Line:cut()
  if not self.server then return end
  os.execute("kill " .. self.server.pid)
  helper.wait_until(function()
    local probe = socket.connect("127.0.0.1", self.port)
    if probe then probe:close() end
    return not probe
  end)
  os.remove(self.folder .. "/nginx.pid")
  self.server = nil
end

return M
