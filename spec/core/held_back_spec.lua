-- A connection over HTTP/2 is not taken for dropped because we read no further, or because one of many had little time.

local core = require "veo.core"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local nginx = require "spec.support.nginx"

needs.block("nginx", describe)("a download that its reader holds back", function()
  it("is not cut because looks on its connection meet no answer", function()
    local bytes = 40 * 1024 * 1024 -- more than the 32 MiB that libcurl takes in for a stream which is paused
    local folder, port = helper.folder(), nginx.free_port()
    os.execute("sh spec/support/certificates.sh " .. folder)
    helper.write(folder .. "/file", ("x"):rep(bytes))
    local silent = fault.start { silent = { get = "hang" } }
    local server = nginx.start(folder, ([[
      pid nginx.pid;
      error_log error.log;
      events { worker_connections 64; }
      http {
        access_log access.log;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        server {
          listen 127.0.0.1:%d ssl http2;
          ssl_certificate server.pem;
          ssl_certificate_key server.key;
          location /file { root .; }
          location / { proxy_pass %s; }
        }
      }
    ]]):format(port, silent.url.silent))
    local url = "https://127.0.0.1:" .. port
    local client = core.new { base_url = url, api_key = "k", ca_file = folder .. "/ca.pem" }
    finally(function()
      client:close()
      server:stop()
      silent:stop()
      helper.sweep()
    end)
    local transfer = assert(client:start("download", { url = url .. "/file", stream = 65536 }))
    repeat client:step(50) until transfer:headers()
    for _ = 1, 3 do -- what is under way still when the first begins has come before the last
      local _, failure = client:status("a", { timeout = 1 })
      assert.is_true(failure.timed_out)
    end
    local read = 0
    while transfer:running() do
      client:step(50)
      read = read + #(transfer:read() or "")
    end
    local reply, failure = transfer:result()
    assert.is_nil(failure)
    assert.same({ bytes, bytes }, { reply.bytes, read })
  end)
end)

describe("a look that waits for its answer", function()
  it("is not cut because another one on its connection had less time", function()
    local server = fault.start { slow = { tls = true, delay = 1 } }
    local client = core.new { base_url = server.url.slow, api_key = "k", ca_file = server.ca_file }
    finally(function()
      client:close()
      server:stop()
    end)
    assert.is_true(client:warm().http2)
    local look = client:start("status", "a")
    local _, failure = client:status("b", { timeout = 0.4 })
    assert.is_true(failure.timed_out)
    while look:running() do client:step(1000) end
    assert.is_nil(select(2, look:result()))
    assert.equal(1, server:connections "slow")
  end)
end)
