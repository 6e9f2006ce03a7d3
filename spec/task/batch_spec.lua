--- map and wait_each over the simulator.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local veo = require "veo"

local FAST = { first = 0, interval = 0.05, max_interval = 0.1 }

describe("many at once:", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 100, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST }
  end)
  after_each(function() client:close() end)

  describe("map", function()
    it("gives the results at their places, whatever the order of ending", function()
      local results, errs = client:map({ 0.15, 0.05, 0.1 }, function(seconds, i)
        client:sleep(seconds)
        return i * 10
      end)
      assert.same({ 10, 20, 30 }, results)
      assert.is_nil(errs)
    end)

    it("runs at most `limit` at a time", function()
      local now, most = 0, 0
      client:map({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, function()
        now = now + 1
        most = math.max(most, now)
        client:sleep(0.01)
        now = now - 1
        return true
      end, { limit = 3 })
      assert.equal(3, most)
    end)

    it("keeps what went wrong beside what went well", function()
      local results, errs = client:map({ "a", "b", "c" }, function(item)
        if item == "b" then error("boom") end
        if item == "c" then return client:status("no-such-task") end
        return item
      end)
      assert.same({ "a" }, results)
      assert.equal("job_failed", errs[2].code)
      assert.matches("boom", errs[2].message)
      assert.equal("not_found", errs[3].code)
    end)

    it("works inside a job, and over nothing", function()
      assert.same({}, (client:map({}, print)))
      local job = client:spawn(function() return client:map({ 1, 2 }, function(x) return x + 1 end) end)
      assert.is_true(client:run())
      assert.same({ 2, 3 }, (job:result()))
    end)

    it("ends when a call of its closes the client, and says so of those that were left", function()
      local ran = 0
      local _, errs = client:map({ 1, 2, 3 }, function()
        ran = ran + 1
        client:close()
        return "closed"
      end, { limit = 1 })
      assert.same({ 1, "closed", "closed" }, { ran, errs[2].code, errs[3].code })
    end)

    it("says so when its calls wait for each other, and ends them", function()
      local jobs = {}
      for i = 1, 2 do jobs[i] = client:spawn(function() return jobs[3 - i]:wait() end) end
      local _, problems = client:map({ 1, 2 }, function(_, i) return jobs[i]:wait() end)
      assert.same({ "busy", "busy" }, { problems[1].code, problems[2].code })
      assert.matches("wait for", problems[1].message)
    end)

    it("names what was wrong with its arguments", function()
      assert.has_error(function() client:map("x", print) end)
      assert.has_error(function() client:map({}, 1) end)
      assert.has_error(function() client:map({}, print, { limit = 0 }) end)
    end)
  end)

  describe("wait_each", function()
    it("gives tasks in the order in which they end", function()
      local slow, fast, middle = sim:add { render = 120 }, sim:add { render = 10 }, sim:add { render = 60 }
      local order = {}
      for id, status, err in client:wait_each { slow.taskId, fast.taskId, middle.taskId } do
        assert.is_nil(err)
        assert.equal("succeeded", status.state)
        order[#order + 1] = id
      end
      assert.same({ fast.taskId, middle.taskId, slow.taskId }, order)
    end)

    it("gives failures and refused ids in their turn", function()
      local good, bad = sim:add { render = 10 }, sim:add { render = 5, fail = 2 }
      local seen = {}
      for id, status, err in client:wait_each { good.taskId, "bad id\n", bad, { ref = "r1" } } do
        seen[id] = status and status.state or err.code
      end
      assert.same({ [good.taskId] = "succeeded", ["bad id\n"] = "invalid", [bad.taskId] = "failed", [""] = "invalid" },
        seen)
    end)

    it("can be left early", function()
      local a, b = sim:add { render = 5 }, sim:add { render = 500 }
      local first = client:wait_each { a.taskId, b.taskId }
      assert.equal(a.taskId, (first()))
      assert.is_truthy(client:status(b.taskId))
    end)

    it("works inside a job beside others", function()
      local ids = {}
      for i = 1, 30 do ids[i] = sim:add({ render = i }).taskId end
      local beside = 0
      local job = client:spawn(function()
        local n = 0
        local following = client:wait_each(ids, { limit = 4 })
        local id, status = following()
        while id do -- not `for … in`: Lua 5.1 cannot yield inside its iterator
          assert(status.state == "succeeded")
          n = n + 1
          id, status = following()
        end
        return n
      end)
      client:spawn(function()
        for _ = 1, 5 do
          client:sleep(0.01)
          beside = beside + 1
        end
      end)
      assert.is_true(client:run())
      assert.equal(30, (job:result()))
      assert.equal(5, beside)
    end)

    it("shares the rate of looks", function()
      local limited = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = 20 }, wait = FAST }
      local ids = {}
      for i = 1, 10 do ids[i] = sim:add({ render = 0 }).taskId end
      local began = helper.now()
      local n = 0
      for _ in limited:wait_each(ids) do n = n + 1 end
      assert.equal(10, n)
      assert.is_true(helper.now() - began > 0.4, "10 looks at 20 a second take 0.45 s")
      limited:close()
    end)

    it("costs under 1 KiB a task while it sleeps", function()
      local ids = {}
      for i = 1, 2000 do ids[i] = ("task%06d"):format(i) end
      collectgarbage()
      collectgarbage()
      local before = collectgarbage("count")
      local iterator = client:wait_each(ids, { first = 10 })
      collectgarbage()
      collectgarbage()
      local each = (collectgarbage("count") - before) * 1024 / #ids
      assert.is_function(iterator)
      assert.is_true(each < 1024, each)
    end)

    it("gives every task that is named twice twice", function()
      local a, b = sim:add { render = 5 }, sim:add { render = 0 }
      local seen = {}
      for id, status in client:wait_each { a.taskId, b.taskId, a.taskId } do
        assert.equal("succeeded", status.state)
        seen[id] = (seen[id] or 0) + 1
      end
      assert.same({ [a.taskId] = 2, [b.taskId] = 1 }, seen)
    end)

    it("waits in the queue for room, beside jobs, and is done with it when its client closes", function()
      client:close()
      client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
        max_in_flight = 2 }
      local ids = {}
      for i = 1, 40 do ids[i] = sim:add({ render = i % 7 }).taskId end
      local jobs = {}
      for i = 1, 20 do jobs[i] = client:spawn(function() return client:status(ids[i]) end) end
      local n = 0
      for _, status in client:wait_each(ids, { limit = 20 }) do
        n = n + 1
        assert.equal("succeeded", status.state)
      end
      assert.equal(40, n)
      assert.is_true(client:run())
      for i = 1, 20 do assert.is_truthy(jobs[i]:result()) end
      sim:script { { on = "status", hang = true } }
      local job = client:spawn(function() return client:wait_each(ids)() end)
      for _ = 1, 5 do client:step(0) end
      client:close()
      assert.equal("closed", select(2, job:result()).code)
    end)

    it("says that its client was closed, wherever that happens", function()
      local ids = {}
      for i = 1, 30 do ids[i] = sim:add({ render = 0 }).taskId end
      for _, when in ipairs { "before", "within", "log" } do
        local closing
        closing = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
          log = function() if when == "log" then closing:close() end end }
        local following = closing:wait_each(ids)
        if when == "before" then closing:close() end
        local id, _, err
        repeat
          id, _, err = following()
          if when == "within" then closing:close() end
        until not id or err
        assert.equal("closed", err and err.code, when)
        closing:close()
      end
    end)

    it("takes the time-outs of the queue one by one", function()
      sim:script { { on = "status", hang = true } }
      client:close()
      client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
        max_in_flight = 2, timeout = 0.2 }
      local ids = {}
      for i = 1, 2000 do ids[i] = "task" .. i end
      local n = 0
      local began = os.clock()
      for _, _, err in client:wait_each(ids, { limit = 2000, timeout = 0.1 }) do
        if err then n = n + 1 end
      end
      assert.equal(2000, n)
      assert.is_true(os.clock() - began < 2, os.clock() - began) -- seconds of CPU: 0.1, and 2.6 where each went through all
    end)

    it("keeps nothing of a look that timed out in the queue", function()
      sim:script { { on = "status", hang = true } }
      client:close()
      client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
        max_in_flight = 1 }
      local function kept()
        local ids, asked = {}, sim:count "GET"
        local hanging = client:spawn(function() return client:status "task" end)
        helper.step_until(client, function() return sim:count "GET" > asked end)
        for i = 1, 1000 do ids[i] = "task" .. i end
        for _, _, err in client:wait_each(ids, { limit = 1000, timeout = 0 }) do assert.equal("timeout", err.code) end
        hanging:cancel()
        helper.step_until(client, function() return client:step(0) == 0 end)
        ids = nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      local once = kept()
      local more = kept() - once
      assert.is_true(more < 100, more .. " KiB") -- and 500 where each of them stayed among the calls
    end)

    for _, file in ipairs { "wait_each.lua", "admission.lua", "waiting.lua", "loop.lua" } do
      it("gives each task after an interruption anywhere in " .. file, function()
        local ids = {}
        for i = 1, 3 do ids[i] = sim:add({ render = 0 }).taskId end
        local n, interrupted, miscounted = 0, 0, 0
        repeat
          n = n + 5
          client:close()
          client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
            max_in_flight = 2 }
          local following = client:wait_each(ids, { limit = 3 })
          local seen = {}
          local at
          local raised = helper.interrupt(n, file)
          local again = true
          while again do
            local ok, id, status = xpcall(following, function(message)
              at = at or debug.traceback(message)
              return message
            end)
            if raised() then debug.sethook() end
            again = not ok or id ~= nil
            if ok and id then seen[id] = status and status.state end
          end
          debug.sethook()
          local handing = at and at:match("\n[^\n]*wait_each%.lua[^\n]*\n[^\n]*client/batch%.lua") -- over: one may be lost
          for _, id in ipairs(ids) do assert.is_true(seen[id] == "succeeded" or handing ~= nil, at) end
          if raised() then interrupted = interrupted + 1 end
          if client:stats().waits ~= 0 then miscounted = miscounted + 1 end
        until not raised()
        assert.is_true(interrupted > 20, interrupted)
        -- Of a loop that was interrupted right before or behind its wait nothing else is called.
        assert.is_true(miscounted * 10 < interrupted, miscounted .. " of " .. interrupted .. " left waits behind")
      end)
    end

    for _, file in ipairs { "wait_each.lua", "wait.lua" } do
      it("goes on in jobs whose steps are interrupted again and again in " .. file, function()
        local ids, raised = {}, 0
        for i = 1, 3 do ids[i] = sim:add({ render = 0 }).taskId end
        for n = 1, 120, 7 do
          client:close()
          client = veo.new { base_url = sim.url, api_key = sim.api_key, rate = { polls = false }, wait = FAST,
            max_in_flight = 1 }
          local told, list = {}, client:wait_each(ids)
          local jobs = {}
          jobs[1] = client:spawn(function()
            for _ = 1, 3 do -- no iterator, for 5.1
              local id, status = list()
              told[#told + 1] = status and id
            end
            return list() == nil and #told
          end)
          for i = 1, 3 do jobs[i + 1] = client:spawn(function() return client:wait(ids[i], { timeout = i - 1 }) end) end
          for times = 1, 6 do
            local hit = helper.interrupt(n * times % 97 + 1, file)
            repeat local ok, left = pcall(client.step, client, 10) until hit() or ok and left == 0
            debug.sethook()
            if hit() then raised = raised + 1 end
          end
          assert(client:run())
          assert.equal(3, jobs[1]:result())
          for i = 1, 3 do assert.is_true(jobs[i + 1]:result() ~= nil or i == 1) end
          assert.equal(0, client:stats().waits)
        end
        assert.is_true(raised > 20, raised)
      end)
    end

    it("reports an on_progress that raises, and goes on", function()
      local events = {}
      local logged = veo.new { base_url = sim.url, api_key = sim.api_key, wait = FAST,
        log = function(event) events[event.event] = event end }
      local a = sim:add { render = 0 }
      local code
      for _, _, err in logged:wait_each({ a.taskId }, { on_progress = function() error("in progress") end }) do
        code = err.code
      end
      assert.equal("cancelled", code)
      logged:close()
      assert.matches("in progress", events.job_failed.message)
    end)
  end)
end)
