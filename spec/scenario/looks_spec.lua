-- How often tasks are looked at: over all waits of a client a rate that grows until the service refuses a look.

local helper = require "spec.support.helper"
local lines = require "spec.support.line"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("looks over all waits of a client", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    sim:script { { on = "status", state = "generating" } }
  end)
  after_each(function() client:close() end)

  -- So many waits that would look all the time.
  local function begin(more, count, on_progress)
    local options = { base_url = sim.url, api_key = sim.api_key, ca_file = sim.ca_file }
    for name, value in pairs(more or {}) do options[name] = value end
    client = veo.new(options)
    for _ = 1, count do
      client:spawn(client.wait, client, sim.source, { first = 0, interval = 0.01, max_interval = 0.01,
        on_progress = on_progress })
    end
  end
  local function run(seconds)
    local began = helper.now()
    while helper.now() - began < seconds do client:step(5) end
    return helper.now() - began
  end
  local function looks() return sim:count("GET", helper.STATUS) end

  it("begin with ten a second, and an explicit one is not delayed", function()
    local stretched
    begin(nil, 100, function(_, info) stretched = stretched or info.stretched end)
    local took = run(1)
    assert.is_true(looks() <= took * (10 + took) + 2, looks() .. " looks")
    local before = looks()
    assert(client:status(sim.source))
    assert.is_true(looks() - before <= 45) -- in its turn it would have come after ninety others
    assert.is_true(stretched)
  end)

  it("are fixed by a number, and unlimited by false", function()
    begin({ rate = { polls = 30 } }, 100)
    local took = run(0.5)
    assert.is_true(looks() <= took * 30 + 2, looks() .. " looks in " .. took .. " s")
    client:close()
    sim:reset()
    sim:script { { on = "status", state = "generating" } }
    begin({ rate = { polls = false } }, 100)
    local began = helper.now()
    helper.step_until(client, function() return looks() > (helper.now() - began) * 60 + 30 end)
  end)

  it("are halved by a 429, also those that had their time", function()
    begin(nil, 100)
    run(0.3)
    sim:script { { on = "status", code = 429, times = 1 }, { on = "status", state = "generating" } }
    local before, refused = looks(), nil
    while not refused do
      run(0.02)
      refused = looks() > before
    end
    before = looks()
    local took = run(1)
    assert.is_true(looks() - before <= took * (5 + took) + 3, looks() - before .. " looks")
  end)

  -- 255 looks in 15 s, as they had been booked: each refused one let the next go.
  it("slow down where every one of them is refused", function()
    sim:script { { on = "status", code = 429 } }
    begin(nil, 100)
    local took = run(3)
    assert.is_true(looks() <= 5 * took, looks() .. " looks in " .. took .. " s")
  end)

  it("keep under what a real server lets through, where a hundred a second would be refused over and over", function()
    local line = lines.new(sim, 40)
    line:mend()
    finally(function() line:cut() end)
    local count
    local function attempt(rate)
      count = 0
      begin({ base_url = line.url, ca_file = line.ca_file, rate = rate, log = function(event)
        if event.event == "poll" and event.err and event.err.code == "rate_limited" then count = count + 1 end
      end }, 200)
    end
    attempt { polls = 1000 }
    helper.step_until(client, function() return count > 0 end)
    client:close()
    attempt {}
    for _ = 1, 5 do -- a machine that stands still sends what is due at once, and may be refused some of it
      count = 0
      run(1.5)
      if count == 0 then break end
    end
    assert.equal(0, count)
  end)

  -- A wait of 0.3 s lasted for as long as the service held looks back, up to two minutes.
  it("outlast no timeout, however long the service or the rate holds them back", function()
    client = helper.client(sim, { rate = { polls = 1 } })
    local told = 0
    sim:script { { on = "status", code = 429, headers = { ["Retry-After"] = "100" } } }
    local function ends(fn, ...)
      local began, _, err = helper.now(), fn(...)
      assert.is_true(helper.now() - began < 20, "took " .. helper.now() - began) -- of 100
      assert.equal("timeout", err.code)
      told = told + 1
    end
    local function each()
      local last
      local following = client:wait_each({ "veo_task_a", "veo_task_b", "veo_task_c" }, { timeout = 0.3 })
      local id, _, err = following()
      while id do -- not `for … in`: Lua 5.1 cannot yield inside its iterator
        last, told = err, told + 1
        id, _, err = following()
      end
      return nil, last
    end
    local function all()
      ends(client.wait, client, sim.source, { timeout = 1 }) -- is refused
      ends(client.wait, client, sim.source, { timeout = 0.3 }) -- has no look at all
      ends(each)
    end
    all()
    local job = client:spawn(all)
    helper.step_until(client, function() return job:status() ~= "pending" end)
    assert.same({ "done", 12 }, { job:status(), told })
    assert.equal(1, sim:count("GET", helper.STATUS))
  end)
end)
