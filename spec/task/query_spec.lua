-- Calls that cost nothing: repeated freely, within attempts, deadline and budget.

local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("a free call", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function gets() return sim:count("GET", helper.STATUS) end

  it("status takes a taskId, a task or a status", function()
    local status = assert(client:status(sim.source))
    assert.same({ sim.source, "succeeded", true }, { status.taskId, status.state, status.done })
    assert.equal(sim.source, assert(client:status(status)).taskId)
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    assert.equal(task.taskId, assert(client:status(task)).taskId)
  end)

  it("status sends nothing for what is no taskId", function()
    for _, bad in ipairs { "", " ", "a\nb", "a\0b" } do
      local status, err = client:status(bad)
      assert.is_nil(status)
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
    end
    assert.equal(0, gets())
  end)

  it("credits is a number, with its fraction", function()
    sim:credits(5916.25)
    assert.equal(5916.25, client:credits())
    sim:credits(0)
    assert.equal(0, client:credits())
  end)

  it("credits without a number is malformed", function()
    for _, data in ipairs { "null", "{}", '"many"', "[]" } do
      sim:script { { on = "credits", data = data } }
      local credits, err = client:credits { retry = { attempts = 1 } }
      assert.is_nil(credits)
      assert.equal("malformed", err.code)
    end
  end)

  for name, rule in pairs { ["a 500"] = { code = 500 }, ["a 429"] = { code = 429 }, ["a 455"] = { code = 455 },
    ["a page"] = { form = "html" }, ["a gateway's 502"] = { http = 502 }, ["silence"] = { close = "unanswered" } } do
    it("is repeated after " .. name, function()
      rule.on, rule.times = { "status", "credits" }, 2
      sim:script { rule }
      assert.is_truthy(client:status(sim.source))
      sim:script { rule }
      assert.is_number(client:credits())
    end)
  end

  it("is repeated as often as attempts says, and says so", function()
    sim:script { { on = "status", code = 500 } }
    for attempts = 1, 5 do
      local before = gets()
      local _, err = client:status(sim.source, { retry = { attempts = attempts } })
      assert.same({ "server", attempts, attempts }, { err.code, err.attempts, gets() - before })
    end
  end)

  it("pauses longer and longer", function()
    client:close()
    local pauses, sum, longest = 0, 0, 0
    client = helper.client(sim, { retry = { attempts = 30, base = 0.01, max = 0.05, budget = false },
      log = function(event)
        if event.event ~= "retry" then return end
        pauses, sum, longest = pauses + 1, sum + event.delay, math.max(longest, event.delay)
      end })
    sim:script { { on = "status", code = 500 } }
    local began = helper.now()
    client:status(sim.source)
    local took = helper.now() - began
    assert.equal(29, pauses)
    assert.is_true(sum > 0.2 and longest > 0.02 and longest <= 0.05, sum .. ", at most " .. longest)
    assert.is_true(took >= sum, "took " .. took)
  end)

  it("waits as Retry-After says, but not more than 120 s nor past the deadline", function()
    sim:script { { on = "status", code = 429, retry_after = 1, times = 1 } }
    local began = helper.now()
    assert(client:status(sim.source))
    assert.is_true(helper.now() - began >= 1)
    for _, case in ipairs { { 121, 300 }, { 100, 60 } } do
      sim:script { { on = "status", code = 429, retry_after = case[1] } }
      began = helper.now()
      local _, err = client:status(sim.source, { deadline = case[2] })
      assert.is_true(helper.now() - began < 20) -- of 60 and more
      assert.same({ "rate_limited", case[1], 1 }, { err.code, err.retry_after, err.attempts })
    end
  end)

  it("ends at its deadline, even in an exchange", function()
    sim:script { { on = { "status", "credits" }, hang = true } }
    for _, call in ipairs {
      function(options) return client:status(sim.source, options) end,
      function(options) return client:credits(options) end,
    } do
      local began = helper.now()
      local value, err = call { deadline = 0.2 }
      assert.is_nil(value)
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.same({ "network", true }, { err.code, err.timed_out })
    end
  end)

  it("ends an exchange at its timeout and tries again", function()
    sim:script { { on = "status", hang = true, times = 1 } }
    local began = helper.now()
    assert(client:status(sim.source, { timeout = 1 }))
    local took = helper.now() - began
    assert.is_true(took >= 0.99 and took < 20) -- of 60
    assert.equal(2, gets())
  end)

  it("uses the client's retry budget, a time-out twice as much", function()
    client:close()
    client = helper.client(sim, { retry = { attempts = 10, budget = { tokens = 20 } } })
    sim:script { { on = "status", code = 500 } }
    local _, err = client:status(sim.source)
    assert.equal(5, err.attempts)
    client:close()
    client = helper.client(sim, { retry = { attempts = 10, budget = { tokens = 20 } }, timeout = 0.05 })
    sim:script { { on = "status", hang = true } }
    _, err = client:status(sim.source)
    assert.equal(3, err.attempts)
    client:close()
    client = helper.client(sim, { retry = { attempts = 10, budget = false } })
    sim:script { { on = "status", code = 500 } }
    _, err = client:status(sim.source)
    assert.equal(10, err.attempts)
  end)

  it("an explicit status is not held back by the rate of looks", function()
    client:close()
    client = helper.client(sim, { rate = { polls = 0.05 } })
    local began = helper.now()
    for _ = 1, 5 do assert(client:status(sim.source)) end
    assert.is_true(helper.now() - began < 20) -- of 80
  end)

  it("says the same inside a job", function()
    sim:script { { on = "status", code = 500, times = 1 } }
    local job = client:spawn(function() return client:status(sim.source) end)
    assert.equal("succeeded", job:wait().state)
    sim:script { { on = "status", code = 500 } }
    local _, err = client:spawn(function() return client:status(sim.source) end):wait()
    assert.same({ "server", 4 }, { err.code, err.attempts })
    sim:script { { on = "status", hang = true } }
    _, err = client:spawn(function() return client:status(sim.source, { deadline = 0.1 }) end):wait()
    assert.same({ "network", true }, { err.code, err.timed_out })
  end)
end)

describe("a free call of a server in trouble", function()
  local server, client

  before_each(function()
    server = fault.start { new = { get = "close" }, closing = { tls = true, h2_get = "close" },
      used = { tls = true, h2_get = "cancel", delay = 0.7 } }
  end)
  after_each(function()
    client:close()
    server:stop()
  end)

  it("goes out once an attempt when each new connection is closed unanswered", function()
    client = helper.client(server.url.new, { retry = { attempts = 1 } })
    for n = 1, 3 do
      local _, err = client:status("a")
      assert.equal("network", err.code)
      assert.equal(n, server:count "new")
    end
  end)

  it("goes out again at once when a connection in use is closed unanswered", function()
    client = helper.client(server.url.closing, { ca_file = server.ca_file, retry = { attempts = 1 } })
    client.loop:warm()
    assert.equal(1, server:connections "closing")
    client:status("a")
    assert.equal(2, server:connections "closing")
    assert.equal(2, server:count("closing", "GET"))
  end)

  it("ends at its deadline, however often it may be sent again", function()
    client = helper.client(server.url.used, { ca_file = server.ca_file, retry = { attempts = 1 } })
    client:status("a") -- on the connection that the next one uses
    assert.equal(1, server:count "used")
    local _, err = client:status("a", { deadline = 3 })
    assert.equal("network", err.code)
    local count = server:count "used"
    assert.is_true(count >= 3 and count <= 6, count) -- five times 0.7 s and the first
    assert.equal(1, server:connections "used")
  end)
end)
