-- The client as an object: what it has, what it logs, how it ends, and that plain calls cooperate where told to.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("a client", function()
  local sim

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  local function with_client(more, fn)
    local client = helper.client(sim, more)
    local ok, message = pcall(fn, client)
    client:close()
    if not ok then error(message, 0) end
  end

  it("shows its address and whether it is closed", function()
    local client = helper.client(sim)
    assert.matches("^veo%.client .*" .. sim.url:gsub("%p", "%%%0"), tostring(client))
    client:close()
    assert.equal("veo.client (closed)", tostring(client))
    assert.equal("function", type(errors.is))
    assert.equal(veo.errors, errors)
    assert.matches("^%d+%.%d+", veo._VERSION)
    assert.matches("^%d+%.%d+", veo.curl_version)
    local before = veo.now()
    assert.is_true(before <= veo.now())
  end)

  it("logs each step as a table, in order", function()
    local events = {}
    with_client({ log = function(event) events[#events + 1] = event end }, function(client)
      sim:script { { on = "extend", code = 429, times = 1 }, { on = "status", state = "generating", times = 1 } }
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      assert(client:wait(task))
    end)
    local names = {}
    for i, event in ipairs(events) do
      names[i] = event.event
      assert.is_number(event.time)
    end
    local text = table.concat(names, " ")
    assert.matches("^request reply retry .*request reply poll", text)
    assert.matches("poll state.* poll state$", text)
    assert.same({ 429, 200 }, { events[2].code, events[5].code or events[6].code })
  end)

  it("is not harmed by a log that raises", function()
    with_client({ log = function() error("disk full") end }, function(client)
      assert.is_truthy(client:extend { taskId = sim.source, prompt = "x" })
      assert.is_truthy(client:spawn(function() return client:status(sim.source) end):wait())
    end)
  end)

  it("is not harmed by a progress that raises", function()
    with_client(nil, function(client)
      local folder = helper.folder()
      local url = sim.media_url .. "/media/blob/500000.mp4"
      for _ = 1, 2 do
        local ok, message = pcall(client.download, client, url, folder .. "/x.mp4",
          { on_progress = function() error("no more") end, overwrite = true })
        assert.is_false(ok)
        assert.matches("no more", message)
        ok = pcall(client.wait, client, sim.source, { on_progress = function() error("no more") end })
        assert.is_false(ok)
      end
      assert(client:download(url, folder .. "/x.mp4", { overwrite = true }))
      assert(client:wait(sim.source))
      helper.sweep()
    end)
  end)

  it("has options for its calls from its own options", function()
    with_client({ wait = { max_errors = 0 }, retry = { attempts = 3 }, timeout = 1.5, download = { max_bytes = 10 } },
      function(client)
        sim:script { { on = "status", code = 500 }, { on = "extend", code = 455 } }
        client:wait(sim.source)
        assert.equal(1, sim:count("GET"))
        client:extend { taskId = sim.source, prompt = "x" }
        assert.equal(3, sim:count("POST"))
        sim:script { { on = "extend", hang = true } }
        local began = helper.now()
        client:extend { taskId = sim.source, prompt = "x" }
        assert.is_true(helper.now() - began < 20) -- of 60
        local folder = helper.folder()
        local _, err = client:download(sim.media_url .. "/media/blob/1000.mp4", folder .. "/x.mp4")
        assert.equal("too_large", err.code)
        helper.sweep()
      end)
  end)

  it("may be one of several, each by itself", function()
    with_client(nil, function(one)
      with_client(nil, function(two)
        local a = one:spawn(function() return one:status(sim.source) end)
        local b = two:spawn(function() return two:status(sim.source) end)
        assert(one:run())
        assert.same({ "done", "pending" }, { a:status(), b:status() })
        assert(two:run())
        assert.equal("done", b:status())
        one:close()
        assert.is_truthy(two:status(sim.source))
      end)
    end)
  end)

  it("closes itself at the end of a scope, where Lua has that", function()
    local load_text = rawget(_G, "loadstring") or load
    local fn = load_text("local c = ... do local x <close> = c end return tostring(c)")
    if not fn then return end
    assert.equal("veo.client (closed)", fn(helper.client(sim)))
  end)

  it("speaks to the jobs family when told to", function()
    with_client({ api = "jobs" }, function(client)
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      assert.equal(1, sim:count("POST", "/api/v1/jobs/createTask"))
      assert.equal("succeeded", assert(client:wait(task)).state)
      local _, err = client:extend { taskId = sim.source, prompt = "x", model = "fast" }
      assert.same({ "invalid", "model" }, { err.code, err.field })
      assert.equal(1, sim:count("POST", "/api/v1/jobs/createTask"))
    end)
  end)

  it("sends the user agent it was given", function()
    with_client({ user_agent = "boats/1.0" }, function(client)
      assert(client:status(sim.source))
      assert.equal("boats/1.0", sim:requests()[1].headers["user-agent"])
    end)
  end)

  it("verifies TLS, always", function()
    local secure = simulator.start { tls = true, speed = 10000, rate = false }
    local client = helper.client(secure)
    assert(client:status(secure.source))
    client:close()
    -- nil: what is trusted by default; `make test-h2` has its CA there.
    local others = os.getenv "VEO_SPEC_H2" and "/etc/ssl/certs/ca-certificates.crt" or nil
    client = veo.new { base_url = secure.url, api_key = secure.api_key, ca_file = others, retry = { attempts = 1 } }
    local _, err = client:status(secure.source)
    client:close()
    secure:stop()
    assert.same({ "network", 60, "no" }, { err.code, err.curl_code, err.sent })
  end)

  it("warms its connection", function()
    with_client(nil, function(client)
      assert.is_true(client.loop:warm())
      assert.is_true(client:spawn(function() return client.loop:warm() end):wait())
    end)
    local client = helper.client("http://127.0.0.1:1")
    local ok, err = client.loop:warm()
    client:close()
    assert.is_nil(ok)
    assert.equal("network", err.code)
  end)
end)
