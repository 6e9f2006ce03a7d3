-- Waiting for a task: when it looks, when it stops, what it says then.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local watches = require "veo.task.watch"

describe("wait", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function looks() return sim:requests { endpoint = "status" } end
  local function script(rule)
    rule.on = "status"
    sim:script { rule }
  end

  it("ends with the finished status", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    local status = assert(client:wait(task))
    assert.same({ task.taskId, "succeeded", true }, { status.taskId, status.state, status.done })
    assert.is_string(status.video_url)
    assert.equal("succeeded", assert(client:wait(task.taskId)).state)
    assert.equal("succeeded", assert(client:wait(status)).state)
  end)

  it("looks at once at a task it did not create", function()
    local began = helper.now()
    assert(client:wait(sim.source, { first = 60, interval = 60 }))
    assert.is_true(helper.now() - began < 20) -- of 60
    assert.equal(1, #looks())
  end)

  it("looks first after `first` at one it created", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    local began = helper.now()
    assert(client:wait(task, { first = 0.3 }))
    assert.is_true(helper.now() - began >= 0.25)
    assert.equal(1, #looks())
  end)

  it("looks less and less often, up to max_interval", function()
    script { state = "generating", times = 6 }
    local told = {}
    assert(client:wait(sim.source, { interval = 0.05, growth = 2, max_interval = 0.2, jitter = 0,
      on_progress = function(_, progress) told[#told + 1] = progress.next end }))
    local all = looks()
    assert.same({ 7, 6 }, { #all, #told })
    for i, gap in ipairs { 0.05, 0.1, 0.2, 0.2, 0.2, 0.2 } do
      assert.is_true(told[i] <= gap and told[i] > gap / 2, "told " .. i .. ": " .. told[i])
      local took = all[i + 1].time - all[i].time
      assert.is_true(took >= gap - 0.005, "gap " .. i .. ": " .. took)
    end
  end)

  it("jitters", function()
    script { state = "generating", times = 8 }
    assert(client:wait(sim.source, { interval = 0.05, growth = 1, max_interval = 0.05, jitter = 0.9 }))
    local all, least, most = looks(), math.huge, 0
    for i = 2, #all do
      local gap = all[i].time - all[i - 1].time
      least, most = math.min(least, gap), math.max(most, gap)
    end
    assert.is_true(most - least > 0.01, ("%g to %g"):format(least, most))
  end)

  it("tells its progress", function()
    script { state = "generating", times = 2 }
    local seen = {}
    local status = assert(client:wait(sim.source, { on_progress = function(...) seen[#seen + 1] = { ... } end }))
    assert.equal(3, #seen)
    for i, one in ipairs(seen) do
      assert.equal(i, one[2].looks)
      assert.is_number(one[2].elapsed)
    end
    assert.is_number(seen[1][2].next)
    assert.is_nil(seen[3][2].next)
    assert.equal(status, seen[3][1])
    assert.same({ "generating", "succeeded" }, { seen[1][1].state, seen[3][1].state })
  end)

  describe("stops at once", function()
    for code, name in pairs { [401] = "unauthorized", [402] = "insufficient_credits", [403] = "forbidden",
      [433] = "key_limit" } do
      it("on " .. code, function()
        script { code = code }
        local status, err = client:wait(sim.source)
        assert.is_nil(status)
        assert.same({ name, sim.source, 1 }, { err.code, err.taskId, #looks() })
      end)
    end

    it("when the task failed, with the service's reason", function()
      for _, flag in ipairs { 2, 3 } do
        sim:reset()
        script { flag = flag, error_code = 501, error_message = "the harbour is closed" }
        local status, err = client:wait(sim.source)
        assert.is_nil(status)
        assert.same({ "failed", sim.source, 1, "failed", 501 },
          { err.code, err.taskId, #looks(), err.status.state, err.service_code })
        assert.matches("the harbour is closed", err.message)
      end
    end)

    it("on an unknown task that this client did not create", function()
      local _, err = client:wait("nobody")
      assert.same({ "not_found", "nobody", 1 }, { err.code, err.taskId, #looks() })
    end)

    it("on a record that has expired", function()
      script { code = 422, msg = "Temporarily supports records within 14 days." }
      local _, err = client:wait(sim.source)
      assert.same({ "expired", 1 }, { err.code, #looks() })
    end)
  end)

  describe("grace", function()
    it("gives a new task time to appear", function()
      script { unknown = "record", times = 5 }
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      assert.equal("succeeded", assert(client:wait(task)).state)
      assert.equal(6, #looks())
    end)

    it("ends", function()
      sim:script { { on = "extend", visible = 1e6 } }
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      local began = helper.now()
      local _, err = client:wait(task, { grace = 0.2 })
      assert.equal("not_found", err.code)
      local took = helper.now() - began
      assert.is_true(took > 0.1 and took < 20, "took " .. took) -- of 60
    end)

    it("is none for tasks of others", function()
      sim:script { { on = "extend", visible = 1e6 } }
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      local other = helper.client(sim)
      local _, err = other:wait(task)
      other:close()
      assert.same({ "not_found", 1 }, { err.code, #looks() })
    end)
  end)

  describe("errors in a row", function()
    it("end it after max_errors", function()
      script { code = 500 }
      local _, err = client:wait(sim.source, { max_errors = 3 })
      assert.same({ "server", sim.source, 4 }, { err.code, err.taskId, err.attempts })
      assert.equal(4, #looks())
    end)

    it("are forgotten by a good look", function()
      sim:script {
        { on = "status", state = "generating", nth = 4 }, { on = "status", code = 500, times = 6 },
      }
      assert.equal("succeeded", assert(client:wait(sim.source, { max_errors = 3 })).state)
    end)

    it("may be of any passing kind", function()
      sim:script {
        { on = "status", code = 455, times = 1 }, { on = "status", form = "html", times = 1 },
        { on = "status", close = "unanswered", times = 2 }, { on = "status", http = 502, times = 1 },
      }
      assert.equal("succeeded", assert(client:wait(sim.source)).state)
    end)

    it("one look is one attempt", function()
      script { code = 500 }
      client:wait(sim.source, { max_errors = 0 })
      assert.equal(1, #looks())
    end)

    it("wait for Retry-After", function()
      script { code = 429, retry_after = 1, times = 1 }
      local began = helper.now()
      assert(client:wait(sim.source))
      assert.is_true(helper.now() - began >= 1)
    end)
  end)

  describe("its deadline", function()
    it("keeps the taskId and says that waiting again is free", function()
      script { state = "generating" }
      local began = helper.now()
      local status, err = client:wait(sim.source, { timeout = 0.3 })
      local took = helper.now() - began
      assert.is_nil(status)
      assert.is_true(took >= 0.29 and took < 20, "took " .. took) -- of 60
      assert.same({ "timeout", sim.source, "generating" }, { err.code, err.taskId, err.status.state })
      assert.matches("free", err:explain())
      assert.matches(sim.source, err.message, 1, true)
    end)

    it("names the last status, with all that it had", function()
      script { state = "generating" }
      local function plain(status)
        local copy = {}
        for name, value in pairs(status) do copy[name] = value end
        copy.json, copy.raw = nil, status.raw
        return copy
      end
      local wanted = plain(assert(client:status(sim.source)))
      local options = { timeout = 0.3 }
      local _, err = client:wait(sim.source, options)
      local _, of_job = client:spawn(function() return client:wait(sim.source, options) end):wait()
      local _, _, of_each = client:wait_each({ sim.source }, options)()
      for _, each in ipairs { err, of_job, of_each } do
        assert.equal("timeout", each.code)
        assert.same(wanted, plain(each.status))
        assert.is_table(each.status.raw.data)
      end
    end)

    it("cuts the sleep, and is looked at a last time", function()
      script { state = "generating", times = 1 }
      local began = helper.now()
      local status = assert(client:wait(sim.source, { timeout = 1, interval = 60, max_interval = 60 }))
      assert.equal("succeeded", status.state)
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.equal(2, #looks())
    end)

    it("cuts a look that is never answered", function()
      script { hang = true }
      local began = helper.now()
      local _, err = client:wait(sim.source, { timeout = 0.2 })
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.equal("timeout", err.code)
      assert.equal(sim.source, err.taskId)
    end)

    it("of 0 is one look", function()
      script { state = "generating" }
      local _, err = client:wait(sim.source, { timeout = 0 })
      assert.same({ "timeout", 1 }, { err.code, #looks() })
    end)
  end)

  it("asks again for the URL of a success, then reports that there is none", function()
    script { urls = "none", times = 2 }
    assert.is_string(assert(client:wait(sim.source)).video_url)
    sim:reset()
    script { urls = "none" }
    local _, err = client:wait(sim.source)
    assert.same({ "no_result", sim.source, "succeeded", 3 }, { err.code, err.taskId, err.status.state, #looks() })
  end)

  it("takes no taskId for misuse of the world's, not of the program's", function()
    for _, bad in ipairs { "", "a\nb", { ref = "an order without a task" } } do
      local status, err = client:wait(bad)
      assert.is_nil(status)
      assert.equal("invalid", err.code)
    end
    assert.equal(0, #looks())
  end)

  it("shares the rate of looks among all waits, and says when that stretches them", function()
    client:close()
    client = helper.client(sim, { rate = { polls = 50 }, wait = { interval = 0.02, growth = 1, jitter = 0 } })
    for i = 1, 20 do sim:add { taskId = "many" .. i, render = 6000 } end
    local stretched, jobs = false, {}
    for i = 1, 20 do
      jobs[i] = client:spawn(function()
        return client:wait("many" .. i, { on_progress = function(_, info) stretched = stretched or info.stretched end })
      end)
    end
    assert(client:run())
    for i = 1, 20 do assert.equal("succeeded", jobs[i]:result().state) end
    assert.is_true(stretched)
    local all = looks()
    local span = all[#all].time - all[1].time
    assert.is_true(#all <= span * 50 + 3, #all .. " looks in " .. span .. " s")
  end)

  it("lets every wait go when its job is cancelled", function()
    script { state = "generating" }
    local jobs = {}
    for i = 1, 5 do jobs[i] = client:spawn(function() return client:wait(sim.source) end) end
    helper.step_until(client, function() return #looks() > 5 end)
    for _, job in ipairs(jobs) do assert.is_true(job:cancel()) end
    local _, err = jobs[1]:result()
    assert.equal("cancelled", err.code)
    -- The share of a single wait is the whole rate again: nothing of the five is counted any more.
    local info
    script { state = "generating", times = 1 }
    assert(client:wait(sim.source, { on_progress = function(_, i) info = i end }))
    assert.is_falsy(info.stretched)
  end)

  describe("as plain data", function()
    -- begin and judge need no socket: the clock and the dice are handed in.
    local now, ctx

    before_each(function()
      now = 100
      ctx = { now = function() return now end, random = function() return 0.5 end, created = {}, watching = 1,
        polls = { stretch = function(_, _, interval) return interval, false end, refused = function() end } }
    end)

    local options = { timeout = 1200, first = 10, interval = 5, growth = 1.5, max_interval = 20, jitter = 0.15,
      grace = 90, max_errors = 8 }

    it("follows the documented defaults", function()
      ctx.created.t = 95
      local watch = watches.begin({ ctx = ctx, taskId = "t", options = options }, now)
      assert.equal(105, watch.due)
      assert.equal(1300, watch.deadline)
      local dues = {}
      for i = 1, 6 do
        now = watch.due
        assert.same({}, { watches.judge(ctx, watch, { state = "generating" }) })
        dues[i] = watch.due - now
      end
      assert.same({ 5, 7.5, 11.25, 16.875, 20, 20 }, dues)
    end)

    it("never looks later than the deadline", function()
      local watch = watches.begin({ ctx = ctx, taskId = "t", options = options }, now)
      now = 1299
      watches.judge(ctx, watch, { state = "generating" })
      assert.equal(1300, watch.due)
      now = 1300
      local status, err = watches.judge(ctx, watch, { state = "generating" })
      assert.is_nil(status)
      assert.equal("timeout", err.code)
    end)
  end)
end)
