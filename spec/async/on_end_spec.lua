-- job:on_end: whoever wants to know is told once, whatever ends the job, and cannot harm the step that tells.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("a function given to on_end", function()
  local sim, client, told

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    told = {}
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function tell(job) told[#told + 1] = job end
  local function sleeper(seconds) return client:spawn(function() client:sleep(seconds) return 7 end) end
  local function posts() return sim:count("POST", helper.EXTEND) end

  it("is called once with the job, when that has ended", function()
    local job = sleeper(0.2)
    assert.equal(job, job:on_end(tell))
    client:step(0)
    assert.equal(0, #told)
    assert(client:run())
    for _ = 1, 3 do client:step(0) end
    assert.same({ 1, true, 7 }, { #told, told[1] == job, job:result() })
  end)

  it("sees a job that has ended, with its result", function()
    local status, value
    client:spawn(function() return 7 end):on_end(function(job) status, value = job:status(), job:result() end)
    client:step(0)
    assert.same({ "done", 7 }, { status, value })
  end)

  it("is called at once when the job has ended already", function()
    local job = client:spawn(function() return 7 end)
    client:step(0)
    job:on_end(tell)
    assert.same({ job }, told)
  end)

  it("may be one of several, called in their order, also one that is given meanwhile", function()
    local order, job = {}, sleeper(0.2)
    for i = 1, 3 do
      job:on_end(function()
        order[#order + 1] = i
        if i == 2 then job:on_end(function() order[#order + 1] = "late" end) end
      end)
    end
    assert(client:run())
    assert.same({ 1, 2, "late", 3 }, order)
  end)

  it("may be a table that can be called, and nothing else", function()
    local job = client:spawn(function() end)
    job:on_end(setmetatable({}, { __call = function(_, ended) tell(ended) end }))
    client:step(0)
    assert.same({ job }, told)
    local ok, message = pcall(function() job:on_end("x") end)
    assert.is_false(ok)
    assert.matches("on_end_spec.lua:%d+: on_end: a function expected, got string", message)
  end)

  it("tells the log when it raises, and a failure that only it has read is told as well", function()
    local events, failed = {}, {}
    local own = helper.client("http://127.0.0.1:9", { log = function(event) events[#events + 1] = event end,
      on_job_error = function(err) failed[#failed + 1] = err end })
    own:spawn(function() error("a leak") end):on_end(function(job) print(assert(job:result()).path) end)
    own:run()
    own:close()
    assert.matches("given to on_end raised: .*a leak", events[1].message)
    assert.matches("a leak", failed[1].message)
  end)

  it("cannot raise into the step, nor keep others from being told", function()
    local job = client:spawn(function() return 7 end)
    job:on_end(function() error("a nail in the boat") end):on_end(tell)
    local other = client:spawn(function() return 8 end)
    assert(client:run())
    assert.same({ 1, 7, 8 }, { #told, job:result(), (other:result()) })
  end)

  it("ends where it yields", function()
    local after
    client:spawn(function() end):on_end(function()
      coroutine.yield()
      after = true
    end)
    client:step(0)
    client:step(0)
    assert.is_nil(after)
  end)

  it("cannot wait: its calls are busy, and what it spawns runs later", function()
    local answers = {}
    client:spawn(function() end):on_end(function()
      answers[1] = select(2, client:status(sim.source)).code
      answers[2] = select(2, client:sleep(0)).code
      answers[3] = select(2, client:step(0)).code
      answers[4] = select(2, client:run()).code
      client:spawn(function() return client:status(sim.source) end):on_end(tell)
    end)
    assert(client:run())
    assert.same({ "busy", "busy", "busy", "busy" }, answers)
    assert.equal("succeeded", told[1]:result().state)
    assert.equal(1, sim:count "GET")
  end)

  it("may cancel other jobs, and close the client", function()
    local other = sleeper(60):on_end(tell)
    client:spawn(function() end):on_end(function() other:cancel() end)
    client:step(0)
    assert.same({ 1, "cancelled" }, { #told, other:status() })
    local last = sleeper(60):on_end(tell)
    client:spawn(function() end):on_end(function() client:close() end)
    client:step(0)
    assert.same({ 2, "closed" }, { #told, select(2, last:result()).code })
    assert.matches("closed", tostring(client))
  end)

  it("is called by cancel", function()
    local job = sleeper(60):on_end(tell)
    assert.is_true(job:cancel())
    assert.same({ job }, told)
    assert.equal("cancelled", select(2, job:result()).code)
    client:step(0)
    assert.equal(1, #told)
  end)

  it("is called when the answer of a cancelled order is there, not before", function()
    sim:script { { on = "extend", delay = 0.2 } }
    local job = client:spawn(function() return client:extend { taskId = sim.source, prompt = "x" } end):on_end(tell)
    helper.step_until(client, function() return posts() == 1 end)
    assert.is_false(job:cancel())
    assert.equal(0, #told)
    assert(client:run())
    local _, err = told[1]:result()
    assert.same({ 1, "uncertain", "yes" }, { #told, err.code, err.charged })
  end)

  it("is called by close, once", function()
    local jobs = { sleeper(60):on_end(tell), client:spawn(function() client:wait(sim.source) end):on_end(tell) }
    client:step(0)
    client:close()
    assert.equal(2, #told)
    for _, job in ipairs(jobs) do assert.equal("closed", select(2, job:result()).code) end
  end)

  it("answers for a failure when it reads the result, and else does not", function()
    local failures = {}
    client:close()
    client = helper.client(sim, { on_job_error = function(err) failures[#failures + 1] = err.message end })
    client:spawn(function() error("read", 0) end):on_end(function(job) tell((select(2, job:result()))) end)
    client:spawn(function() error("not read", 0) end):on_end(function() end)
    assert(client:run())
    assert.same({ "not read" }, failures)
    assert.is_true(errors.is(told[1]) and told[1].message == "read")
  end)

  it("is called once when the step is interrupted at any instruction", function()
    local n, raised = 0, nil
    repeat
      n = n + 1
      local count = 0
      local jobs = { client:spawn(function() return 1 end), sleeper(0) }
      for _, job in ipairs(jobs) do job:on_end(function() count = count + 1 end) end
      pcall(function()
        raised = helper.interrupt(n, "async/job.lua")
        for _ = 1, 3 do client:step(1) end
      end)
      debug.sethook()
      assert(client:run())
      -- One that was just to be called when the error came is not.
      assert.is_true(count <= 2 and count >= 1, count .. " calls after " .. n)
      for _, job in ipairs(jobs) do assert.not_equal("pending", job:status()) end
      assert.equal(0, client:step(0))
    until not raised()
    assert.is_true(n > 20, n)
  end)
end)
