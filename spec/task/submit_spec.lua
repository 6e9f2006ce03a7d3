-- Billable calls against the simulator: what is sent, what is repeated, what it costs by the simulator's own count.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("extend", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function posts() return sim:count("POST", helper.EXTEND) end

  local function charged()
    local _, list = sim:charges()
    return #list
  end

  local function extend(more, options, params)
    client = client or helper.client(sim, more)
    return client:extend(params or { taskId = sim.source, prompt = "the boat turns" }, options)
  end

  it("sends the wire's own fields and returns the task", function()
    local task = assert(extend(nil, nil, { taskId = sim.source, prompt = "turn", seeds = 12345, model = "quality",
      watermark = "mine", callBackUrl = "http://127.0.0.1:9/hook", extra = { novelty = true } }))
    assert.is_string(task.taskId)
    assert.equal(task.taskId, task.raw.data.taskId)
    local request = sim:requests({ endpoint = "extend" })[1]
    assert.same({ taskId = sim.source, prompt = "turn", seeds = 12345, model = "quality", watermark = "mine",
      callBackUrl = "http://127.0.0.1:9/hook", novelty = true }, request.json)
    assert.is_nil(request.body:find("12345.", 1, true))
    assert.equal("Bearer " .. sim.api_key, request.headers.authorization)
    assert.equal("application/json", request.headers.accept)
    assert.matches("^lua%-veo/", request.headers["user-agent"])
    assert.is_nil(request.headers.expect)
    local by_task = sim:charges()
    assert.same({ count = 1, credits = 250 }, by_task[task.taskId])
  end)

  it("does not touch the caller's table", function()
    local params = { taskId = sim.source, prompt = "turn", seeds = 12345 }
    assert(extend(nil, nil, params))
    assert.same({ taskId = sim.source, prompt = "turn", seeds = 12345 }, params)
  end)

  it("makes no error where there is none", function()
    local made, new = 0, errors.new
    errors.new = function(fields)
      made = made + 1
      return new(fields)
    end
    local task = extend()
    errors.new = new
    assert.is_string(task.taskId)
    assert.equal(0, made)
  end)

  describe("sends nothing when a parameter is outside its rules", function()
    for name, case in pairs {
      ["no taskId"] = { { prompt = "x" }, "taskId" },
      ["an empty taskId"] = { { taskId = "", prompt = "x" }, "taskId" },
      ["no prompt"] = { { taskId = "a" }, "prompt" },
      ["an empty prompt"] = { { taskId = "a", prompt = "" }, "prompt" },
      ["a small seed"] = { { taskId = "a", prompt = "x", seeds = 9999 }, "seeds" },
      ["a large seed"] = { { taskId = "a", prompt = "x", seeds = 100000 }, "seeds" },
      ["a fractional seed"] = { { taskId = "a", prompt = "x", seeds = 12345.5 }, "seeds" },
      ["a seed in a string"] = { { taskId = "a", prompt = "x", seeds = "12345" }, "seeds" },
      ["a callback that is no URL"] = { { taskId = "a", prompt = "x", callBackUrl = "ftp://x" }, "callBackUrl" },
      ["a NUL in the taskId"] = { { taskId = "a\0b", prompt = "x" }, "taskId" },
      ["a line break in the taskId"] = { { taskId = "a\r\nb", prompt = "x" }, "taskId" },
      ["an unknown field"] = { { taskID = "a", prompt = "x" }, "taskID", "taskId" },
      ["a function"] = { { taskId = "a", prompt = print }, "prompt" },
    } do
      it(name, function()
        local task, err = extend(nil, nil, case[1])
        assert.is_nil(task)
        assert.equal("invalid", err.code)
        assert.equal(case[2], err.field)
        assert.equal(case[3], err.suggestion)
        assert.is_string(err.given)
        assert.is_string(err.expected)
        assert.matches(case[2], err.message, 1, true)
        assert.equal(0, posts())
      end)
    end
  end)

  it("sends an unknown model, with a warning", function()
    local warnings = {}
    sim:script { { on = "extend", body = '{"code":200,"data":{"taskId":"t"}}' } }
    assert(extend({ log = function(event)
      if event.event == "warning" then warnings[#warnings + 1] = event end
    end }, nil, { taskId = sim.source, prompt = "x", model = "ultra" }))
    assert.equal(1, #warnings)
    assert.matches("ultra", warnings[1].message)
    assert.equal(1, posts())
  end)

  for _, code in ipairs { 429, 455 } do
    it("repeats what was turned away before it was accepted: " .. code, function()
      sim:script { { on = "extend", code = code, times = 2 } }
      assert.is_truthy(extend())
      assert.equal(3, posts())
      assert.equal(1, charged())
    end)

    it("gives up after `attempts`: " .. code, function()
      sim:script { { on = "extend", code = code } }
      local _, err = extend(nil, { retry = { attempts = 3 } })
      assert.equal(code == 429 and "rate_limited" or "unavailable", err.code)
      assert.same({ 3, code, "yes" }, { err.attempts, err.service_code, err.sent })
      assert.equal(3, posts())
      assert.equal(0, charged())
    end)
  end

  describe("waits as Retry-After says", function()
    for name, value in pairs { seconds = 1, ["a date"] = "date:2" } do
      it("in " .. name, function()
        sim:script { { on = "extend", code = 429, retry_after = value, times = 1 } }
        local began = helper.now()
        assert.is_truthy(extend())
        local took = helper.now() - began
        assert.is_true(took >= (name == "seconds" and 1 or 0.5), "came after " .. took .. " s")
        assert.is_true(took < 20) -- of the hours between two time zones
        assert.equal(2, posts())
      end)
    end

    it("with HTTP 429 too", function()
      sim:script { { on = "extend", http = 429, retry_after = 1, times = 1 } }
      local began = helper.now()
      assert.is_truthy(extend())
      assert.is_true(helper.now() - began >= 1)
    end)

    it("and has the client's other orders wait as well, as one of another cause does not", function()
      for code, pause in pairs { [429] = 1, [455] = 60 } do
        sim:reset()
        sim:script { { on = "extend", code = code, retry_after = pause, times = 1 } }
        local pausing
        client = helper.client(sim, { log = function(event) pausing = pausing or event.event == "retry" end })
        local began = helper.now()
        local refused = client:spawn(extend)
        helper.step_until(client, function() return pausing end)
        assert.is_truthy(extend())
        local took = helper.now() - began
        if code == 429 then
          assert.is_true(took >= 1, "took " .. took)
          assert.is_truthy(refused:wait(helper.PATIENCE))
        else
          assert.is_true(took < 20, "took " .. took) -- of 60
          assert.equal("pending", refused:status())
        end
        client:close()
      end
    end)

    it("but not when it is more than 120 s: gives up at once, with the value", function()
      sim:script { { on = "extend", code = 429, retry_after = 121 } }
      local began = helper.now()
      local _, err = extend()
      assert.is_true(helper.now() - began < 20) -- of 121
      assert.same({ "rate_limited", 121, 1 }, { err.code, err.retry_after, err.attempts })
      assert.matches("121 seconds", err:explain())
      assert.equal(1, posts())
    end)

    it("but another order, which would have to wait for it as well, not past its own deadline", function()
      sim:script { { on = "extend", code = 429, retry_after = 500000, times = 1 } }
      client = client or helper.client(sim)
      assert.equal(500000, select(2, extend()).retry_after)
      local patient = client:spawn(extend, nil, { deadline = 1000 })
      client:step(20)
      for _ = 1, 2 do
        local _, err = client:spawn(extend, nil, { deadline = 60 }):wait(20)
        assert.same({ "rate_limited", "no", true }, { err.code, err.sent, err.retry_after > 100 })
      end
      assert.equal("pending", patient:status())
      patient:cancel()
      assert.same({ 1, 0 }, { posts(), charged() })
    end)

    it("but not past the deadline", function()
      sim:script { { on = "extend", code = 429, retry_after = 100 } }
      local began = helper.now()
      local _, err = extend(nil, { deadline = 60 })
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.same({ "rate_limited", 100, 1 }, { err.code, err.retry_after, err.attempts })
    end)
  end)

  it("stops repeating at the deadline", function()
    sim:script { { on = "extend", code = 455, delay = 0.1 } }
    local _, err = extend(nil, { deadline = 2, retry = { attempts = 100, base = 0.05, max = 0.05, budget = false } })
    assert.equal("unavailable", err.code)
    assert.is_true(err.attempts >= 2 and err.attempts <= 21)
    assert.equal(err.attempts, posts())
  end)

  it("stops repeating when the client's retry budget is used up, and gets a little back by success", function()
    sim:script { { on = "extend", code = 455 } }
    client = helper.client(sim, { retry = { attempts = 10, budget = { tokens = 12, retry = 5, success = 1 } } })
    local _, err = extend()
    assert.equal(3, err.attempts) -- two repeats for ten of twelve tokens
    _, err = extend()
    assert.equal(1, err.attempts)
    sim:script {}
    for _ = 1, 3 do assert.is_truthy(extend()) end -- 2 + 3 = 5 tokens
    sim:script { { on = "extend", code = 455 } }
    _, err = extend()
    assert.equal(2, err.attempts)
  end)

  it("keeps within 20 orders in 10 s by itself", function()
    client = helper.client(sim, { rate = { count = 3, window = 0.5 } })
    local began = helper.now()
    for _ = 1, 7 do assert.is_truthy(extend()) end
    local took = helper.now() - began
    assert.is_true(took >= 1, "took " .. took)
    local times = {}
    for _, request in ipairs(sim:requests { endpoint = "extend" }) do times[#times + 1] = request.time end
    for i = 1, #times - 3 do assert.is_true(times[i + 3] - times[i] >= 0.48, "four in a window") end
  end)

  it("sends orders in turn when the rate window is full", function()
    client = helper.client(sim, { rate = { count = 2, window = 0.3 } })
    for i = 1, 8 do
      client:spawn(function() assert(client:extend { taskId = sim.source, prompt = "turn " .. i }) end)
    end
    assert(client:run())
    for at, post in ipairs(sim:requests { endpoint = "extend" }) do
      local i = tonumber(post.json.prompt:match "turn (%d+)")
      assert.equal(math.floor((i - 1) / 2), math.floor((at - 1) / 2), "order " .. i .. " was sent as number " .. at)
    end
  end)

  it("lets the next order come when one that got its turn was cancelled before it took it", function()
    client = helper.client(sim, { rate = { count = 1, window = 3 } })
    local jobs = {}
    for i = 1, 3 do jobs[i] = client:spawn(client.extend, client, { taskId = sim.source, prompt = "turn " .. i }) end
    helper.step_until(client, function() return jobs[1]:status() == "done" end)
    jobs[2]:cancel() -- its place goes on to the third ...
    jobs[3]:cancel() -- ... which has not noticed yet
    for _ = 1, 20 do client:step(0) end
    assert.equal(0, client:step(0), "it sleeps out the window")
    assert.equal("cancelled", select(2, jobs[3]:result()).code)
    assert.is_truthy(extend())
  end)

  -- An error at any instruction, as an allocation or another thread's hook may bring one, loses one order and no turn.
  local function interrupt_each(file)
    sim:credits(1000000)
    local n, missed = 0, 0 -- where the machine is slow, the second order may not have to wait: then with more room
    repeat
      if missed == 0 then n = n + 1 end
      local one = helper.client(sim, { rate = { count = 1, window = 0.05 * 4 ^ missed } })
      local function order(prompt) return one:extend { taskId = sim.source, prompt = prompt } end
      local raised
      one:spawn(order, "first")
      one:spawn(function()
        raised = helper.interrupt(n, file)
        order("second")
        debug.sethook()
      end)
      local last = one:spawn(order, "third")
      assert(one:run())
      assert.equal("done", last:status())
      assert.is_truthy(last:result(), file .. ", point " .. n)
      assert.is_truthy(order("fourth"), file .. ", point " .. n)
      one:close()
      debug.sethook()
      missed = raised() and 0 or missed + 1
    until missed == 3
    return n
  end

  it("goes on in turn after an error at any instruction of the line #timing", function()
    local n = interrupt_each "semaphore.lua"
    assert.is_true(n > 20, n)
    n = interrupt_each "queue.lua"
    assert.is_true(n > 10, n)
  end)

  it("does not count the wait for a rate slot as part of its deadline", function()
    client = helper.client(sim, { rate = { count = 1, window = 2.5 } })
    assert.is_truthy(extend())
    sim:script { { on = "extend", code = 455, times = 1 } }
    assert.is_truthy(extend(nil, { deadline = 2 }))
    assert.equal(3, posts())
  end)

  it("is uncertain when charged and unanswered, and is not sent again", function()
    for _, rule in ipairs {
      { close = "unanswered" }, { close = "headers" }, { cut = 10 }, { form = "html", charge = true },
      { task_id_form = "absent" }, { task_id_form = "data_null" }, { garbage = true },
    } do
      sim:reset()
      rule.on = "extend"
      sim:script { rule }
      local task, err = extend()
      assert.is_nil(task)
      assert.equal("uncertain", err.code)
      assert.equal(1, posts())
      assert.equal("maybe", errors.codes[err.code].charged)
      assert.is_true(charged() <= 1)
    end
  end)

  it("is repeated when its fate is unknown only by an explicit word", function()
    sim:script { { on = "extend", close = "unanswered", times = 1 } }
    assert.is_truthy(extend(nil, { retry = { ambiguous = true } }))
    assert.equal(2, posts())
    assert.equal(2, charged()) -- which is what the word risks
  end)

  it("gives the taskId when the uncertain answer named one", function()
    sim:script { { on = "extend", code = 500, data = { taskId = "named-1" } } }
    local _, err = extend()
    assert.same({ "uncertain", "named-1" }, { err.code, err.taskId })
  end)

  it("ends within its timeout when the service says nothing", function()
    sim:script { { on = "extend", hang = true } }
    local began = helper.now()
    local _, err = extend(nil, { timeout = 1 })
    assert.is_true(helper.now() - began < 20) -- of 60
    assert.same({ "uncertain", "maybe", true, 1 }, { err.code, err.sent, err.timed_out, posts() })
  end)

  it("breaks no rule of the service", function()
    assert.is_truthy(extend())
    local status = client:wait((assert(extend())))
    assert.equal("succeeded", status.state)
    assert.is_truthy(client:credits())
    assert.same({}, sim:violations())
  end)
end)
