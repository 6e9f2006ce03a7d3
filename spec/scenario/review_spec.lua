--- What nobody plans for: calls that are interrupted, functions of the user's that raise, loops that are left. None of it
--- may cost a paid task its record, or a client its strength.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("a client in rough hands", function()
  local sim, client, folder

  setup(function() sim = simulator.start { speed = 1000, rate = false, credits = 1000000 } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function states() return ledgers.states(folder .. "/r.db") end
  local function order(prompt) return { taskId = sim.source, prompt = prompt or "x" } end

  describe("whose pause raises", function()
    local raise

    before_each(function()
      sim:script { { on = { "status", "media", "extend" }, delay = 0.2 } } -- what is answered at once needs no pause
      raise = 0 -- orders until it does
      client = helper.client(sim, { max_in_flight = 2, max_downloads = 2, ledger = folder .. "/r.db",
        pause = function()
          if raise and sim:count "POST" >= (raise or 0) then error("stop", 0) end
        end })
    end)

    it("keeps its places, its turns at downloads and its quiet", function()
      local media = sim.media_url .. "/media/blob/100000.mp4"
      for i = 1, 5 do
        assert.same({ false, "stop" }, { pcall(client.status, client, sim.source) })
        assert.same({ false, "stop" }, { pcall(client.download, client, media, folder .. "/" .. i) })
        assert.same({ false, "stop" }, { pcall(client.wait, client, sim.source) })
      end
      raise = false
      assert.equal("succeeded", assert(client:status(sim.source)).state)
      assert(client:download(media, folder .. "/a.mp4"))
      helper.step_until(client, function() return client.loop:timeout() == nil end)
    end)

    it("writes down what an order brought that nobody waits for any more", function()
      raise = 1
      assert.same({ false, "stop" }, { pcall(client.extend, client, order()) })
      helper.step_until(client, function() return states():find "accepted" end)
      local _, list = sim:charges()
      assert.equal(list[1].taskId, client:tasks()[1].taskId)
      raise = false
      assert.is_true(assert(client:extend(order())).joined)
    end)
  end)

  it("in a program interrupted at any instruction goes on working", function()
    client = helper.client(sim, { max_in_flight = 2, ledger = folder .. "/r.db", rate = { polls = 100000 } })
    local ordered = 0
    -- LuaJIT raises in whatever coroutine runs, also in a job that hands its place on: a fifth of 150 rounds lost one.
    for n = 1, 400 do
      local left, inside = (n * 3571) % 4001, true
      pcall(function()
        debug.sethook(function()
          left = left - 1
          if left == 0 and inside then error("interrupted!", 0) end
        end, "", 1)
        helper.extend_and_wait(client, order("shot " .. n))
        inside = false
      end)
      debug.sethook()
    end
    helper.step_until(client, function() return client:step(0) == 0 end)
    for _, record in ipairs(assert(client:tasks())) do
      if record.state ~= "refused" then ordered = ordered + 1 end
    end
    assert.is_true(ordered >= #select(2, sim:charges()))
    for _ = 1, 5 do assert(client:status(sim.source, { deadline = 60 })) end
    assert(helper.extend_and_wait(client, order("the last one")))
  end)

  it("interrupted at any instruction of a call outside of jobs keeps its place for the next one", function()
    client = helper.client(sim, { max_in_flight = 1, pause = function(c) c:step(1) end })
    for n = 1, 700 do
      local left, inside = n, true
      pcall(function()
        debug.sethook(function()
          left = left - 1
          if left == 0 and inside then error("interrupted!", 0) end
        end, "", 1)
        client:credits()
        inside = false
      end)
      debug.sethook()
      local credits, err = client:credits { deadline = 60 }
      assert.is_number(credits, ("after %d instructions: %s"):format(n, tostring(err)))
    end
  end)

  it("that yields to somebody else in a job goes on by nobody but them", function()
    client = helper.client(sim, { pause = function() error("no more", 0) end })
    local job = client:spawn(function()
      assert(coroutine.yield("foreign") == "back")
      return client:extend(order())
    end)
    local driver = coroutine.create(function()
      while client:step(1) > 0 do coroutine.yield() end
    end)
    repeat
      local ok, said = coroutine.resume(driver)
      assert(ok, said)
    until said == "foreign"
    assert.is_false(pcall(client.wait, client, sim.source)) -- its pause raises, and what is changing is mended
    for _ = 1, 20 do client:step(1) end
    assert.equal("pending", job:status())
    assert.equal(0, #select(2, sim:charges()))
    assert(coroutine.resume(driver, "back"))
    while coroutine.status(driver) ~= "dead" do assert(coroutine.resume(driver)) end
    assert.is_string(assert(job:result()).taskId)
    assert.equal(1, #select(2, sim:charges()))
  end)

  describe("a job that raises in the middle of its order", function()
    local crosses = select(2, coroutine.resume(coroutine.create(function() pcall(coroutine.yield, true) end))) == true
    -- What becomes of the error on its way.
    local ways = {
      ["passed on"] = { raises = "no more", way = function(call) return call() end },
      ["with nil"] = { raises = nil, way = function(call) return call() end },
      ["caught and raised again"] = { raises = "no more", catches = true, way = function(call)
        local ok, err = pcall(call)
        if not ok then error(err, 0) end
      end },
      ["caught and wrapped"] = { raises = "no more", catches = true, wraps = true, way = function(call)
        local ok, err = pcall(call)
        if not ok then error({ inner = err }) end
      end },
      ["caught, behind which another wait raises"] = { raises = "no more", catches = true, wraps = true,
        way = function(call)
          local _, err = pcall(call)
          client:wait(sim.source, { on_progress = function() error({ inner = err }) end })
        end },
      ["inside another call"] = { raises = "no more", way = function(call)
        client:wait(sim.source, { on_progress = call })
      end },
    }

    for event, state in pairs { request = "uncertain", reply = "accepted", retry = "refused" } do
      for how, case in pairs(ways) do
        -- Where pcall cannot be yielded across, nobody catches; of an order that costs nothing no other error tells.
        if (crosses or not case.catches) and not (case.wraps and state == "refused") then
          it("at the " .. event .. ", " .. how .. ", leaves it " .. state, function()
            if event == "retry" then sim:script { { on = "extend", code = 429 } } end
            local at, inside
            client = helper.client(sim, { ledger = folder .. "/r.db", log = function(said)
              if said.event == event then at = true end
            end })
            local job = client:spawn(function()
              inside = coroutine.running()
              debug.sethook(function()
                if at and coroutine.running() == inside then
                  at = false
                  error(case.raises, 0)
                end
              end, "", 1)
              return case.way(function() return client:extend(order()) end)
            end)
            client:run()
            assert.equal("failed", job:status())
            local _, err = job:result()
            if case.wraps then assert.equal("no more", err.cause.inner) else assert.equal(case.raises, err.cause) end
            local record = client:tasks()[1]
            assert.equal(state, record.state)
            assert.equal(record.taskId, err.taskId)
            assert.equal(record.ref, err.ref)
          end)
        end
      end
    end
  end)

  it("is not harmed by a log function that yields", function()
    client = helper.client(sim, { ledger = folder .. "/r.db", log = coroutine.yield })
    local job = client:spawn(function() return client:extend(order()) end)
    client:run()
    assert(job:result())
    assert.equal("accepted", states())
  end)

  it("closed by a job writes down the orders of the others", function()
    sim:script { { on = "extend", delay = 1 } }
    client = helper.client(sim, { ledger = folder .. "/r.db" })
    local job = client:spawn(function() return client:extend(order()) end)
    client:spawn(function()
      client:sleep(0.1)
      client:close()
    end)
    helper.step_until(client, function() return job:status() ~= "pending" end)
    assert.equal("uncertain", select(2, job:result()).code)
    assert.equal("uncertain", states():match "%a+")
  end)

  it("says of a cancelled wait which task goes on", function()
    client = helper.client(sim, { wait = { first = 60 } })
    local job = client:spawn(function() return helper.extend_and_wait(client, order()) end)
    helper.step_until(client, function() return sim:count("POST", helper.EXTEND) == 1 end)
    client:step(50)
    client:step(50)
    assert.is_true(job:cancel())
    local _, err = job:result()
    local _, list = sim:charges()
    assert.same({ "cancelled", list[1].taskId }, { err.code, err.taskId })
  end)

  it("is not slowed down by loops that were left and functions that raised", function()
    client = helper.client(sim, { rate = { polls = 10 } })
    local ids = {}
    for i = 1, 100 do ids[i] = sim:add({ render = i == 1 and 0 or 1000000 }).taskId end
    assert.equal(ids[1], (client:wait_each(ids)()))
    for _ = 1, 50 do
      assert.is_false((pcall(client.wait, client, sim.source, { on_progress = function() error "no" end })))
    end
    local looks = 0
    client:wait(ids[2], { timeout = 1, on_progress = function() looks = looks + 1 end })
    assert.is_true(looks > 3)
  end)

  it("ends a map whose calls wait for each other", function()
    client = helper.client(sim)
    local jobs = {}
    local _, errs = client:map({ 1, 2 }, function(_, i)
      jobs[i] = client:spawn(function()
        client:sleep(0)
        return jobs[3 - i]:wait()
      end)
      return jobs[i]:wait()
    end)
    assert.same({ "busy", "busy" }, { errs[1].code, errs[2].code })
  end)
end)
