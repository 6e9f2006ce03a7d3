--- The servers behind the pairs: one nginx for what is good, and fault servers in "lanes", one a row that runs.
--- Both speak every transport, each on a port of its own, and serve the same paths:
---   /k/<word>/…       the API's calls, whose replies name what was asked for; <word> is the row's. A task's video is
---                     the file named as the task is
---   /k/<word>/upload  the body is kept in a file, which the reply names (nginx)
---   /files/<name>     files of faults/content.lua; nginx also /slow/<name>, /slowest/<name> (600 KiB take 37 s),
---                     /gone/<name> (404), /to/<number> (302)
local cjson = require "cjson"
local content = require "spec.support.faults.content"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local M = {}
local World = {}
World.__index = World

M.transports = { "http", "tls", "h2" }
-- A first exchange's file, the second one's by its size, and the neighbour's.
M.files = { first = "first-600k.bin", second = { "second-300k.bin", "second-3072k.bin" }, beside = "beside-400k.bin" }

local LISTEN = { http = "", tls = " ssl", h2 = " ssl http2" }

local CONF = [[
user root;
worker_processes 1;
pid nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  default_type application/octet-stream;
  client_max_body_size 64m;
  keepalive_requests 1000000;
  client_body_temp_path body;
  proxy_temp_path tmp;
  fastcgi_temp_path tmp;
  uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  ssl_certificate server.pem;
  ssl_certificate_key server.key;
  server {
    @LISTEN@
    location ~ ^/k/([^/]+)/api/v1/veo/record-info$ {
      set $video '"$scheme://$http_host/files/$arg_taskId"';
      set $response '"response":{"fullResultUrls":[$video]}';
      return 200 '{"code":200,"msg":"said","data":{"taskId":"$arg_taskId","successFlag":1,$response}}';
    }
    location ~ ^/k/([^/]+)/api/v1/veo/extend$ {
      return 200 '{"code":200,"msg":"said","data":{"taskId":"next-$1"}}';
    }
    location ~ ^/k/([^/]+)/other$ { return 200 '{"code":200,"msg":"said","data":{"n":"$arg_n"}}'; }
    location ~ ^/k/([^/]+)/refused$ { return 402 '{"code":402,"msg":"said","data":null}'; }
    location ~ ^/k/([^/]+)/upload$ {
      client_body_in_file_only on;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Body $request_body_file;
      proxy_pass http://unix:@DIR@/inner.sock;
    }
    location /k/ { return 200 ""; }
    location /files/ { alias @DIR@/files/; }
    location /slow/ { alias @DIR@/files/; limit_rate 2m; }
    location /slowest/ { alias @DIR@/files/; limit_rate 16k; }
    location /gone/ { return 404 "no such file"; }
    @REDIRECTS@
  }
  server {
    listen unix:@DIR@/inner.sock;
    location / { return 200 '{"code":200,"msg":"said","data":{"file":"$http_x_body"}}'; }
  }
}
]]

local function start_nginx(self, redirects)
  local dir = self.dir
  require("spec.support.faults.certificates").write(dir)
  for _, name in ipairs { "body", "tmp", "files" } do os.execute("mkdir " .. dir .. "/" .. name) end
  for _, name in ipairs { M.files.first, M.files.beside, M.files.second[1], M.files.second[2] } do
    self:serve(name)
  end
  local listen, to = {}, {}
  for _, transport in ipairs(M.transports) do
    local port = nginx.free_port()
    listen[#listen + 1] = ("listen 127.0.0.1:%d%s;"):format(port, LISTEN[transport])
    self.origin[transport] = (transport == "http" and "http" or "https") .. "://127.0.0.1:" .. port
  end
  for i, target in ipairs(redirects) do
    to[i] = ("location = /to/%d { add_header Location '%s' always; return 302; }"):format(i, target)
  end
  local conf = CONF:gsub("@(%u+)@", { DIR = dir, LISTEN = table.concat(listen, " "),
    REDIRECTS = table.concat(to, "\n    ") })
  self.nginx = nginx.start(dir, conf)
end

local function start_lanes(self, lanes)
  local listeners = { control = { accept = "control", unlogged = true } }
  for lane = 1, lanes do
    listeners["http" .. lane] = { unlogged = true }
    listeners["tls" .. lane] = { tls = true, alpn = "http/1.1", unlogged = true }
    listeners["h2" .. lane] = { tls = true, unlogged = true }
  end
  self.fault = fault.start(listeners)
  self.control = assert(socket.connect("127.0.0.1", self.fault.port.control))
  self.control:setoption("tcp-nodelay", true)
end

---@param lanes integer rows at a time; 0: nginx alone
---@param redirects string[]  where /to/<number> leads
function M.start(lanes, redirects)
  ---@class spec.pairs.World
  local self = setmetatable({ dir = helper.folder(), origin = {}, told = {}, bad = {}, names = 0 }, World)
  start_nginx(self, redirects)
  if lanes > 0 then start_lanes(self, lanes) end
  -- Both servers' CAs, as the one that a client knows.
  self.ca_file = self.dir .. "/both.pem"
  helper.write(self.ca_file,
    helper.read(self.dir .. "/ca.pem") .. (self.fault and helper.read(self.fault.ca_file) or ""))
  self.upload = self.dir .. "/upload.bin"
  helper.write(self.upload, content.of "upload-700k.bin")
  return self
end

---The same servers in a child process, without the lanes.
---@param text string  what `describe` gave
function M.attach(text)
  local self = setmetatable(cjson.decode(text), World)
  self.names = 0 -- and no float
  return self
end

---What a child process needs to know.
---@param word string  goes into its names, so that they are nobody else's
function World:describe(word)
  return cjson.encode { dir = self.dir, origin = self.origin, ca_file = self.ca_file, upload = self.upload,
    word = word }
end

function World:stop()
  if self.fault then
    self.control:close()
    self.fault:stop()
  end
  self.nginx:stop()
end

---A name that nothing here had before.
function World:name(word)
  self.names = self.names + 1
  return word .. (self.word or "") .. self.names
end

---Puts a file of this name behind /files/.
function World:serve(name) helper.write(self.dir .. "/files/" .. name, content.of(name)) end

function World:path(word) return self.dir .. "/" .. self:name(word) end

function World:lane(lane, transport) return self.fault.url[transport .. lane] end

local function listen(self, line)
  local name, event = line:match("^(%S+) (%S+)$")
  if name then self.told[name] = event end
end

---What the lane's server does from now on; without fields it is good.
function World:set(lane, transport, fields)
  local name = transport .. lane
  self.told[name] = nil
  if not fields and not self.bad[name] then return end
  self.bad[name] = fields
  self.control:settimeout(10)
  self.control:send(name .. " " .. cjson.encode(fields or {}) .. "\n")
  repeat
    local line = assert(self.control:receive("*l"))
    listen(self, line)
  until line == "ok"
end

---Reads what the lanes' servers have told meanwhile.
function World:hear()
  self.control:settimeout(0)
  while true do
    local line, _, part = self.control:receive("*l", self.half)
    self.half = nil
    if not line then
      self.half = part
      return
    end
    listen(self, line)
  end
end

---Whether the lane's server has come to this.
function World:has_told(lane, transport, event) return self.told[transport .. lane] == event end

return M
