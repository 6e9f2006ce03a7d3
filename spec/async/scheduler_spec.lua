-- Driving: steps of a frame, plain calls that cooperate with a foreign loop, one descriptor that loses no wake-up.

local has_native, native = pcall(require, "native")
local cqueues = require "cqueues"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("the scheduler", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function hang_status() sim:script { { on = "status", hang = true } } end

  describe("step", function()
    it("counts the jobs that have not ended", function()
      assert.equal(0, client:step())
      client:spawn(function() client:sleep(0.03) end)
      client:spawn(function() client:sleep(0.01) end)
      assert.equal(2, client:step(0))
      helper.step_until(client, function() return client:step(5) == 0 end)
    end)

    it("never sleeps with 0, whatever is under way", function()
      hang_status()
      client:spawn(function() client:status(sim.source) end)
      client:spawn(function() client:sleep(60) end)
      for _ = 1, 5 do client:step(0) end
      local began = helper.now()
      for _ = 1, 1000 do client:step(0) end
      assert.is_true(helper.now() - began < 20) -- of 60
    end)

    it("sleeps at most as long as it is told, and less when something comes", function()
      client:spawn(function() client:sleep(60) end)
      client:step(0)
      local began = helper.now()
      client:step(100)
      local took = helper.now() - began
      assert.is_true(took >= 0.09 and took < 20, "took " .. took) -- of 60
      client:spawn(function() client:sleep(0.05) end)
      client:step(0)
      began = helper.now()
      client:step(60000)
      assert.is_true(helper.now() - began < 20) -- of 60
    end)

    it("costs nothing for ten thousand sleeping waits #timing", function()
      local function cost(count)
        for _ = 1, count do client:spawn(function() client:sleep(3600) end) end
        for _ = 1, 50000 do client:step(0) end -- until all of them sleep
        local began = os.clock()
        for _ = 1, 20000 do client:step(0) end
        return (os.clock() - began) / 20000
      end
      local few, many = cost(10), cost(10000)
      assert.is_true(many < 100e-6, ("%.1f µs a step"):format(many * 1e6))
      assert.is_true(many < few * 10 + 2e-6, ("%.2f and %.2f µs"):format(few * 1e6, many * 1e6))
    end)

    it("gives a frame a bounded time of many ready jobs", function()
      local done = 0
      for _ = 1, 300 do
        client:spawn(function()
          local stop = helper.now() + 0.0005
          while helper.now() < stop do end
          done = done + 1
        end)
      end
      client:step(0)
      assert.is_true(done < 100)
      assert(client:run())
      assert.equal(300, done)
    end)
  end)

  it("sleeps as long as it should, in a job and out of it", function()
    client:spawn(client.sleep, client, 60)
    for _, call in ipairs {
      function() return client:sleep(0.1) end,
      function() return client:spawn(function() return client:sleep(0.1) end):wait() end,
    } do
      local began = helper.now()
      assert.is_true(call())
      local took = helper.now() - began
      assert.is_true(took >= 0.1 and took < 20, "took " .. took) -- of 60
    end
  end)

  it("wakes sleepers in the order of their times", function()
    local order = {}
    for _, n in ipairs { 3, 1, 2 } do
      client:spawn(function()
        client:sleep(n * 0.3)
        order[#order + 1] = n
      end)
    end
    client:run()
    assert.same({ 1, 2, 3 }, order)
  end)

  it("lets jobs go on while a plain call waits", function()
    hang_status()
    local ticks = 0
    client:spawn(function()
      for _ = 1, 5 do
        client:sleep(0.02)
        ticks = ticks + 1
      end
      client:close() -- or the call would wait for an answer that never comes
    end)
    local _, err = client:status("slow")
    assert.same({ 5, "closed" }, { ticks, err.code })
  end)

  it("keeps to max_in_flight, and starts the rest in their order", function()
    client:close()
    client = helper.client(sim, { max_in_flight = 3 })
    sim:script { { on = "status", delay = 0.05 } }
    local began = helper.now()
    for i = 1, 9 do client:spawn(function() return client:status("sim.x-" .. i) end) end
    client:run()
    local took = helper.now() - began
    assert.is_true(took >= 0.14, "took " .. took)
    local seen = {}
    for _, request in ipairs(sim:requests()) do seen[#seen + 1] = tonumber(request.query.taskId:match("%d+$")) end
    for group = 0, 2 do
      local three = { seen[group * 3 + 1], seen[group * 3 + 2], seen[group * 3 + 3] }
      table.sort(three)
      assert.same({ group * 3 + 1, group * 3 + 2, group * 3 + 3 }, three)
    end
  end)

  it("does not burn the processor while a plain call waits and others are done", function()
    sim:script { { on = "status", task = "slow", delay = 1 } }
    client.loop:pollfd()
    for _ = 1, 3 do client:spawn(function() return client:status(sim.source) end) end
    local began = os.clock()
    client:status("slow")
    assert.is_true(os.clock() - began < 0.5)
  end)

  describe("in a foreign loop", function()
    local function pause(it) cqueues.poll(it.loop) end

    -- No pcall around what waits: Lua 5.1 cannot yield across one. The loop hands on what is raised.
    local function run(...)
      local loop = cqueues.new()
      for _, fn in ipairs { ... } do loop:wrap(fn) end
      local ok, why = loop:loop(20) -- who is not woken sleeps for 60 s
      assert.is_truthy(ok, tostring(why))
      assert.is_true(loop:empty(), "a coroutine still sleeps")
    end

    it("cqueues.poll(client.loop) is woken for answers and for sleeps", function()
      sim:script { { on = "status", delay = 0.1 } }
      local job = client:spawn(function()
        client:sleep(0.05)
        return client:status(sim.source)
      end)
      local began = helper.now()
      run(function()
        while client:step(0) > 0 do cqueues.poll(client.loop) end
      end)
      local took = helper.now() - began
      assert.is_true(took >= 0.14, "took " .. took)
      assert.equal("succeeded", job:result().state)
    end)

    it("wakes every one of several coroutines that watch it", function()
      local polling = helper.client(sim, { pause = pause })
      for _, id in ipairs { "a", "b", "c" } do sim:add { taskId = id } end
      sim:script { { on = "status", task = "c", hang = true }, { on = "status", delay = 0.1 } }
      local ended, code = {}, nil
      local function ask(id)
        return function()
          for _ = 1, 3 do assert(polling:status(id)) end
          ended[id] = true
        end
      end
      run(ask "a", ask "b", function() code = select(2, polling:status "c").code end, function()
        polling:sleep(0.25)
        ended.sleep = true
      end, function()
        repeat cqueues.sleep(0.02) until ended.a and ended.b and ended.sleep
        cqueues.cancel(polling.loop:pollfd())
        polling:close()
      end)
      assert.equal("closed", code)
    end)

    it("wakes a coroutine whose answer another one collected", function()
      -- The other's step reads the answer off the socket, so nothing is left to make the descriptor readable by itself.
      local polling = helper.client(sim, { pause = pause })
      -- Late enough that libcurl's timers of a connection's first 200 ms do not wake it by chance.
      sim:script { { on = "status", delay = 0.5 } }
      local answered
      run(function() answered = polling:status(sim.source) end, function()
        cqueues.sleep(0.4)
        local stop = helper.now() + 0.2
        while helper.now() < stop do polling:step(10) end
        cqueues.sleep(0.5)
      end)
      polling:close()
      assert.is_truthy(answered)
    end)

    it("a plain call waits in a coroutine that nobody resumes, where pause sleeps and does not yield", function()
      if not has_native then return pending("make test builds what this needs") end
      local slept = 0
      local sleeping = helper.client(sim, { pause = function()
        slept = slept + 1
        os.execute "sleep 0.01"
      end })
      local ok, state = native.detached(function()
        return assert(assert(sleeping:extend { taskId = sim.source, prompt = "x" }):wait()).state
      end)
      assert.same({ true, "succeeded" }, { ok, state })
      assert.is_true(slept > 0)
      -- Within sort, a pause that yields would raise after the order had left.
      local before, err, _ = sim:count("POST", helper.EXTEND), nil, nil
      native.detached(function()
        table.sort({ 2, 1 }, function(a, b)
          _, err = sleeping:extend { taskId = sim.source, prompt = "y" }
          return a < b
        end)
      end)
      assert.same({ "busy", before }, { err.code, sim:count("POST", helper.EXTEND) })
      sleeping:close()
    end)

    it("a plain call leaves room for others", function()
      local polling = helper.client(sim, { pause = pause })
      sim:script { { on = "status", delay = 0.3 } }
      local ticks = 0
      run(function() polling:status(sim.source) end, function()
        for _ = 1, 10 do
          cqueues.sleep(0.02)
          ticks = ticks + 1
        end
      end)
      polling:close()
      assert.equal(10, ticks)
      local requests = sim:requests()
      assert.equal(1, #requests)
    end)

    it("jobs and plain calls go together", function()
      local polling = helper.client(sim, { pause = pause })
      local results = {}
      run(function()
        local job = polling:spawn(function()
          polling:sleep(0.05)
          return assert(helper.extend_and_wait(polling, { taskId = sim.source, prompt = "x" }))
        end)
        results[1] = job:wait()
      end, function() results[2] = polling:wait(sim.source) end)
      polling:close()
      assert.same({ "succeeded", "succeeded" }, { results[1].state, results[2].state })
    end)
  end)

  it("hands a pause that raises on, and stays usable", function()
    local raise = true
    local other = helper.client(sim, { pause = function(c)
      if raise then error("no pause today") end
      c:step(5)
    end })
    local ok, message = pcall(other.sleep, other, 0.05)
    assert.is_false(ok)
    assert.matches("no pause today", message)
    raise = false
    assert.is_truthy(other:status(sim.source))
    other:close()
  end)

  describe("interrupted at some instruction of a step", function()
    -- A job that has slept once; whether the interrupt came, and whether the job ends by the steps that follow.
    local function goes_on(step, ...)
      local job = client:spawn(function()
        client:sleep(0)
        client:sleep(0)
      end)
      client:step(0)
      local hit = step(...)
      debug.sethook()
      for _ = 1, 20 do
        if job:status() ~= "pending" then break end
        client:step(1)
      end
      local ended = job:status() ~= "pending"
      job:cancel()
      return hit, ended
    end

    it("goes on, also when what makes that good is interrupted too", function()
      local second, n, lost = 0, 0, {}
      repeat
        local m, first, more = 1
        n = n + 1
        repeat
          m = m + 5 -- not the first, at which that has not begun
          local hit, ended = goes_on(function()
            local raised = helper.interrupt(n, "async/waiting.lua", false, { m, "async/recovery.lua" })
            first = not pcall(client.step, client, 0)
            return raised()
          end)
          more, second = hit, second + (hit and 1 or 0)
          if not ended then lost[#lost + 1] = n .. "," .. m end
        until not more
      until not first
      assert.is_true(second > 30, second)
      assert.same({}, lost)
    end)

    -- Lua 5.1 has no pcall there that a job could yield across.
    for _, how in ipairs { "ends by it", "catches it" } do
      it("goes on, when the coroutine that made the step " .. how, function()
        local n, hit, ended = 0
        repeat
          n = n + 1
          hit, ended = goes_on(function()
            local raised
            coroutine.resume(coroutine.create(function()
              raised = helper.interrupt(n, "async/waiting.lua")
              if how == "ends by it" then client:step(0) else pcall(client.step, client, 0) end
              debug.sethook()
            end))
            return raised()
          end)
          assert.is_true(ended, n)
        until not hit
        assert.is_true(n > 20, n)
        assert.is_truthy(client:status(sim.source))
      end)
    end
  end)

  describe("close, with exchanges in flight", function()
    it("frees everything at once", function()
      hang_status()
      local jobs = {}
      for i = 1, 20 do jobs[i] = client:spawn(function() return client:status("t" .. i) end) end
      helper.step_until(client, function() return sim:count() == 20 end)
      local began = helper.now()
      client:close()
      assert.is_true(helper.now() - began < 20) -- of 60
      for _, job in ipairs(jobs) do assert.equal("closed", select(2, job:result()).code) end
    end)

    it("from a job ends the others and the plain call that drives", function()
      hang_status()
      client:spawn(function()
        client:sleep(0.05)
        client:close()
      end)
      local other = client:spawn(function() return client:status("t") end)
      local value, err = client:status("u")
      assert.is_nil(value)
      assert.equal("closed", err.code)
      assert.equal("closed", select(2, other:result()).code)
    end)

    it("leaves nothing running when the client is only forgotten", function()
      hang_status()
      do
        local lost = helper.client(sim)
        lost:spawn(function() lost:status("t") end)
        lost:step(20)
      end
      collectgarbage()
      collectgarbage()
      assert.equal(0, client:step(0))
    end)
  end)
end)
