-- Connections that are no good any more, over TLS and HTTP/2 and through a real nginx: silently dropped by the network,
-- closed after so many requests, taken by orders or by looks that hang, or to a server that speaks HTTP/2 alone.

local core = require "veo.core"
local fault = require "spec.support.fault"
local h2 = require "spec.support.h2"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local nginx = require "spec.support.nginx"

local SOURCE = "veo_task_abcdef123456"

local function succeeded(client, ids)
  local results = client:map(ids, function(id) return assert(client:status(id)) end, { limit = #ids })
  local count = 0
  for i = 1, #ids do
    if results[i] then count = count + 1 end
  end
  return count
end

needs.block("nginx", describe)("a connection that the network has silently dropped", function()
  local sim, way, client, folder

  setup(function()
    sim = h2.start { speed = 1000 }
    way = fault.start { way = { relay = tonumber(sim.url:match "%d+$"), scheme = "https" },
      media = { relay = tonumber(sim.media_url:match ":(%d+)"), scheme = "https" } }
    folder = helper.folder()
  end)
  teardown(function()
    way:stop()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    client = helper.client(way.url.way, { api_key = sim.api_key, ca_file = sim.ca_file, timeout = 2,
      download = { stall = 2 }, retry = { attempts = 3 } })
    assert(client:status(SOURCE))
    way:freeze()
  end)
  after_each(function() client:close() end)

  -- The first call meets the silence until its time-out; whatever comes after it does not.
  local function first_then(what)
    local before = way:connections "way"
    what()
    assert.equal(before + 1, way:connections "way")
    assert(client:status(SOURCE))
    assert.equal(before + 1, way:connections "way")
  end

  it("is left by a look", function()
    first_then(function() assert(client:status(SOURCE)) end)
  end)

  it("is left by many looks at once", function()
    first_then(function()
      local ids = {}
      for i = 1, 20 do ids[i] = SOURCE end
      assert.equal(20, succeeded(client, ids))
    end)
  end)

  it("is left by a wait", function()
    first_then(function() assert.equal("succeeded", client:wait(SOURCE).state) end)
  end)

  it("is left by a download, which goes on where it was", function()
    local status = assert(client:status(SOURCE))
    local url = status.video_url:gsub(":%d+/", ":" .. way.port.media .. "/")
    assert(client:download(url, folder .. "/one.mp4"))
    way:freeze()
    local file = assert(client:download(url, folder .. "/two.mp4"))
    assert.equal(helper.read(folder .. "/one.mp4"), helper.read(folder .. "/two.mp4"))
    assert.equal(#helper.read(folder .. "/two.mp4"), file.bytes)
  end)

  it("is left while orders go their own way", function()
    assert(client:extend { taskId = SOURCE, prompt = "on and on" })
    first_then(function() assert(client:status(SOURCE)) end)
  end)

  it("is not taken for dropped while it brings an answer to anybody", function()
    local slow = fault.start { slow = { tls = true, h2_post = "hang" } }
    local other = helper.client(slow.url.slow, { ca_file = slow.ca_file, timeout = 3, retry = { attempts = 1 } })
    finally(function()
      other:close()
      slow:stop()
    end)
    assert(other:status(SOURCE))
    -- A free POST of which nothing comes, beside looks that are answered.
    local hanging = other:spawn(function() return other:download_url("https://example.com/v.mp4") end)
    while hanging:status() == "pending" do
      assert(other:status(SOURCE))
      other:step(10)
    end
    local _, err = hanging:result()
    assert.is_true(err.timed_out)
    assert(other:status(SOURCE))
    assert.equal(1, slow:connections "slow")
  end)
end)

needs.block("nginx", describe)("connections over HTTP/2", function()
  local folder, server, port

  -- One nginx whose connections end after a hundred requests, as its default was for years.
  setup(function()
    folder = helper.folder()
    os.execute("sh spec/support/certificates.sh " .. folder)
    port = nginx.free_port()
    server = nginx.start(folder, ([[
      pid nginx.pid;
      error_log error.log;
      events { worker_connections 1024; }
      http {
        access_log access.log;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        server {
          listen 127.0.0.1:%d ssl http2;
          keepalive_requests 100;
          ssl_certificate server.pem;
          ssl_certificate_key server.key;
          location / {
            default_type application/json;
            return 200 '{"code":200,"msg":"success","data":{"taskId":"$arg_taskId","successFlag":0}}';
          }
        }
      }
    ]]):format(port))
  end)
  teardown(function()
    server:stop()
    helper.sweep()
  end)

  it("may end after a hundred requests: no look fails, and none counts as a repeat", function()
    local repeats, right = 0, 0
    local client = helper.client("https://127.0.0.1:" .. port,
      { ca_file = folder .. "/ca.pem", retry = { attempts = 1 },
      rate = { polls = 100000 }, log = function(event) if event.event == "retry" then repeats = repeats + 1 end end })
    finally(function() client:close() end)
    for i = 1, 6000 do
      client:spawn(function()
        local status = assert(client:status("task" .. i))
        if status.taskId == "task" .. i then right = right + 1 end
      end)
    end
    client:run()
    assert.equal(6000, right)
    assert.equal(0, repeats)
  end)
end)

describe("connections of orders", function()
  needs.block("nginx", it)("are used by nothing else: looks stay on HTTP/2", function()
    local sim = h2.start { speed = 1000 }
    local client = helper.client(sim)
    finally(function()
      client:close()
      sim:stop()
    end)
    for i = 1, 5 do assert(client:extend { taskId = SOURCE, prompt = "number " .. i }) end
    for _ = 1, 20 do assert(client:status(SOURCE)) end
    local looks = {}
    for _, request in ipairs(sim:requests()) do
      if request.method == "GET" then
        assert.equal("HTTP/2.0", request.protocol)
        looks[request.connection] = true
      else
        assert.equal("HTTP/1.1", request.protocol)
        assert.equal("identity", request.headers["accept-encoding"])
      end
    end
    assert.is_nil(next(looks, next(looks)))
  end)

  -- The order's connection is the first to its host, and is in use when another one turns out to carry HTTP/2.
  needs.block("nginx", it)("are shared with nobody while an answer is due", function()
    local sim = h2.start { speed = 1000, script = { { on = "extend", delay = 0.5 } } }
    local client = helper.client(sim)
    finally(function()
      client:close()
      sim:stop()
    end)
    local order = client:spawn(function() return client:extend { taskId = SOURCE, prompt = "slow" } end)
    while sim:count("POST", helper.EXTEND) == 0 do client:step(5) end
    for _ = 1, 5 do assert.equal(SOURCE, assert(client:status(SOURCE)).taskId) end
    local task, err = order:wait()
    assert.is_nil(err)
    assert.equal(1, #select(2, sim:charges()))
    assert(client:status(task.taskId))
    for _, request in ipairs(sim:requests()) do
      assert.equal(request.method == "GET" and "HTTP/2.0" or "HTTP/1.1", request.protocol)
    end
  end)

  needs.block("nghttpd", it)("need HTTP/1.1: a server without it is told of, and nothing is sent", function()
    local folder = helper.folder()
    local port = nginx.free_port()
    os.execute("sh spec/support/certificates.sh " .. folder)
    -- nghttpd speaks HTTP/2 alone, and agrees on nothing else in its handshake.
    local pipe = io.popen(("cd %s; echo $$; unset LD_PRELOAD; exec nghttpd -a 127.0.0.1 %d server.key server.pem 2>&1")
      :format(folder, port))
    local pid = pipe:read "*l"
    local client = helper.client("https://127.0.0.1:" .. port,
      { ca_file = folder .. "/ca.pem", ledger = folder .. "/orders.db" })
    finally(function()
      client:close()
      os.execute("kill " .. pid)
      pipe:close()
      helper.sweep()
    end)
    local _, err
    helper.step_until(client, function() -- until it listens
      _, err = client:status("a")
      return err and err.http_status ~= nil
    end)
    local task
    task, err = client:extend({ taskId = SOURCE, prompt = "x" }, { key = "one" })
    assert.is_nil(task)
    assert.equal("unavailable", err.code, err.message)
    assert.equal("no", err.sent)
    assert.matches("HTTP/1.1", err.message)
    assert.same({}, client:tasks { state = "uncertain" })
  end)

  it("know that nothing was sent, also through a proxy, whose CONNECT was", function()
    local server = fault.start { old = { tls = true, alpn = "none" }, proxy = {} }
    local client = core.new { base_url = server.url.old, api_key = "k", ca_file = server.ca_file,
      proxy = server.url.proxy }
    finally(function()
      client:close()
      server:stop()
    end)
    local _, failure = client:extend { prompt = "x" }
    assert.equal("protocol", failure.reason)
    assert.equal("no", failure.sent)
    assert.equal(1, server:count("proxy", "CONNECT"))
    assert.equal(0, server:count("old"))
  end)

  it("go out all the same where the server knows no ALPN at all", function()
    local old = fault.start { old = { tls = true, alpn = "none" } }
    local client = helper.client(old.url.old, { ca_file = old.ca_file })
    finally(function()
      client:close()
      old:stop()
    end)
    for i = 1, 3 do
      assert.equal("veo_extend_task_xyz789", assert(client:extend { taskId = SOURCE, prompt = "n" .. i }).taskId)
    end
    assert.equal(3, old:count("old", "POST"))
    assert.equal(1, old:count("old", "HEAD")) -- looked at once
  end)
end)

describe("looks that hang in all places", function()
  it("do not hold up the others for longer than it takes to call them slow", function()
    local server = fault.start { hanging = { get = "hang", accept = nil }, good = {} }
    local client = core.new { base_url = server.url.good, api_key = "k", max_in_flight = 3, timeout = 100 }
    finally(function()
      client:close()
      server:stop()
    end)
    local hanging = {}
    for i = 1, 3 do
      hanging[i] = assert(client:start("request", { method = "GET", url = server.url.hanging .. "/" .. i }))
    end
    local look = assert(client:start("status", "a"))
    local began = core.now()
    while look:running() and core.now() - began < 30 do client:step(1000) end
    assert.is_false(look:running())
    for i = 1, 3 do assert.is_true(hanging[i]:running()) end
    while client:take() do end
    assert.equal(200, assert(look:result()).http_status)
  end)
end)
