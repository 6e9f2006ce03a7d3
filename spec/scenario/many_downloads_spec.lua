-- Fifty downloads at once over TLS and HTTP/2, at a server that takes them in small parts or fails one of them: every
-- other file is saved, byte for byte. nginx serves the files.

local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local nginx = require "spec.support.nginx"

local COUNT, BYTES = 50, 65536

local function content(i)
  local line = ("file %09d\n"):format(i)
  return "\0\0\0\24ftypisom\0\0\0\0isommp42\0\0\255\232mdat" .. (line .. (" "):rep(16 - #line)):rep(BYTES / 16 - 2)
end

needs.block("nginx", describe)("fifty downloads at once", function()
  local server, folder, ports, client

  setup(function()
    folder = helper.folder()
    os.execute("sh spec/support/certificates.sh " .. folder)
    for i = 1, COUNT do helper.write(folder .. "/" .. i, content(i)) end
    ports = {}
    local servers = {}
    for name, rules in pairs {
      plain = "", -- 128 streams
      few_requests = "keepalive_requests 10;", -- a GOAWAY after each tenth
      few_streams = "http2_max_concurrent_streams 2;",
      few_of_both = "keepalive_requests 7; http2_max_concurrent_streams 2;",
      slow = "limit_rate 30k; location = /7 { root .; limit_rate 1; }",
    } do
      ports[name] = nginx.free_port()
      servers[#servers + 1] = ("server { listen 127.0.0.1:%d ssl http2; root .; %s }"):format(ports[name], rules)
    end
    server = nginx.start(folder, ([[
      pid nginx.pid;
      error_log error.log;
      worker_processes 1;
      events { worker_connections 512; }
      http {
        log_format connection '$connection $server_port $server_protocol';
        access_log access.log connection;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        %s
      }
    ]]):format(table.concat(servers, "\n")))
  end)
  teardown(function()
    server:stop()
    helper.sweep()
  end)
  before_each(function()
    client = helper.client({ url = "https://127.0.0.1:1", api_key = "k", ca_file = folder .. "/ca.pem" },
      { max_downloads = COUNT })
  end)
  after_each(function() client:close() end)

  local function path_of(i) return folder .. "/saved" .. i end

  -- Saves all at once, each with the options that `options_of` gives for it → the jobs.
  local function save(name, options_of)
    local jobs = {}
    for i = 1, COUNT do
      local options = options_of and options_of(i) or {}
      options.overwrite = true
      os.remove(path_of(i))
      jobs[i] = client:spawn(client.download, client, ("https://127.0.0.1:%d/%d"):format(ports[name], i), path_of(i),
        options)
    end
    return jobs
  end

  local function check(jobs, left_out)
    for i, job in ipairs(jobs) do
      if i ~= left_out then
        local file, err = job:result()
        assert.is_truthy(file, tostring(err))
        assert.is_true(helper.read(path_of(i)) == content(i), "file " .. i)
      end
    end
  end

  -- The lines of the access log that this server wrote: connection and protocol of each request.
  local function seen(name)
    local connections, count = {}, 0
    for connection, port, protocol in helper.read(folder .. "/access.log"):gmatch "(%d+) (%d+) (%S+)" do
      if tonumber(port) == ports[name] then
        assert.equal("HTTP/2.0", protocol)
        if not connections[connection] then count = count + 1 end
        connections[connection] = true
      end
    end
    return count
  end

  it("share one connection from the first on, so that a fair server serves them alike", function()
    local jobs = save "plain"
    assert(client:run())
    check(jobs)
    client:close()
    assert.equal(1, client:stats().connections_made_total)
    assert.equal(1, seen "plain")
  end)

  for _, name in ipairs { "few_requests", "few_streams", "few_of_both" } do
    it("are saved at a server with " .. name:gsub("_", " "), function()
      local jobs = save(name)
      assert(client:run())
      check(jobs)
    end)
  end

  it("end one that crawls alone", function()
    local jobs = save("slow", function(i) return i == 7 and { stall = 1, attempts = 1 } or nil end)
    assert(client:run())
    check(jobs, 7)
    local file, err = jobs[7]:result()
    assert.is_nil(file)
    assert.matches("too slow", tostring(err))
    for i, job in ipairs(jobs) do
      if i ~= 7 then assert.equal(1, job:result().requests) end
    end
  end)

  it("go on when one is cancelled or too large", function()
    local jobs = save("slow", function(i) return i == 9 and { max_bytes = 1000 } or nil end)
    repeat client:step(10) until client:stats().bytes_received_total > BYTES
    jobs[7]:cancel()
    assert(client:run())
    local file, err = jobs[9]:result()
    assert.is_nil(file)
    assert.equal("too_large", err.code)
    table.remove(jobs, 9)
    assert.equal("cancelled", jobs[7]:status())
    for i, job in ipairs(jobs) do
      if i ~= 7 then
        local saved = assert(job:result())
        assert.is_true(helper.read(saved.path) == content(tonumber(saved.path:match "%d+$")))
        assert.equal(1, saved.requests)
      end
    end
  end)

  it("go on where they were when the worker dies under them", function()
    local jobs = save "slow"
    repeat client:step(10) until client:stats().bytes_received_total > BYTES
    local pipe = io.popen("pgrep -P " .. server.pid)
    local worker = pipe:read "*l"
    pipe:close()
    os.execute("kill -9 " .. worker)
    jobs[7]:cancel()
    assert(client:run())
    check(jobs, 7)
  end)
end)
