-- The queue before exchanges: who waits there, until when, and what an error, a cancel or an end of the client leaves.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("the queue before exchanges", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false, credits = 1000000 } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim, { max_in_flight = 1 })
  end)
  after_each(function() client:close() end)

  local function hang(task) sim:script { { on = "status", task = task or "hanging", hang = true } } end
  local function looker(options) return client:spawn(function() return client:status(sim.source, options) end) end
  local function hanging() return client:spawn(function() return client:status("hanging") end) end
  local function posts() return sim:count "POST" end

  local function retried() return { deadline = 0.2, retry = { attempts = 2 } } end

  -- Plain calls yield from here on; the one place is taken by what this returns.
  local function yielding()
    client:close()
    client = helper.client(sim, { max_in_flight = 1, pause = coroutine.yield })
    hang()
    local first = hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    return first
  end

  it("is left at the deadline, and nothing of it was sent", function()
    hang()
    local first = hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local began = helper.now()
    local job = client:spawn(function() return client:credits { deadline = 0.2, retry = { attempts = 1 } } end)
    local _, err = job:wait(helper.PATIENCE)
    local took = helper.now() - began
    assert.same({ "network", true, 1 }, { err.code, err.timed_out, sim:count "GET" })
    assert.is_true(took >= 0.19 and took < 20, "took " .. took) -- of 60
    first:cancel()
    assert.equal("succeeded", assert(looker():wait(helper.PATIENCE)).state)
  end)

  it("is left by each at its own deadline", function()
    hang()
    hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local left, early = 0, nil
    local patient = client:spawn(function() return client:credits() end)
    for i = 1, 200 do
      local limit = 0.05 + (i * 37 % 200) / 500
      client:spawn(function()
        local due = helper.now() + limit
        client:credits { deadline = limit, retry = { attempts = 1 } }
        left = left + 1
        if helper.now() < due - 0.002 then early = i end
      end)
    end
    helper.step_until(client, function() return left == 200 end)
    assert.is_nil(early)
    assert.equal("pending", patient:status()) -- it has a minute
  end)

  it("lets a plain call stand in it too", function()
    sim:script { { on = "status", task = "slow", delay = 0.2 } }
    local job = client:spawn(function() return client:status("slow") end)
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    assert.equal("succeeded", assert(client:status(sim.source)).state)
    assert.equal("done", job:status())
  end)

  it("moves on when one that was started in it is cancelled", function()
    hang()
    local first = hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local second, third = hanging(), looker()
    client:step(5)
    first:cancel()
    helper.step_until(client, function() return sim:count "GET" == 2 end)
    assert.equal("pending", second:status())
    assert.is_true(second:cancel())
    assert.equal("succeeded", assert(third:wait(helper.PATIENCE)).state)
    assert.equal("cancelled", select(2, second:result()).code)
  end)

  it("wakes a foreign loop when a place becomes free outside of a step", function()
    hang()
    local first = hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local second = looker()
    for _ = 1, 5 do client:step(0) end
    helper.step_until(client, function() return client.loop:timeout() > 0 end)
    first:cancel()
    assert.equal(0, client.loop:timeout())
    assert.equal("succeeded", assert(second:wait(helper.PATIENCE)).state)
  end)

  it("sends an order once that stood in it", function()
    sim:script { { on = "status", task = "slow", delay = 0.2 } }
    client:spawn(function() return client:status("slow") end)
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local jobs = {}
    for i = 1, 3 do
      jobs[i] = client:spawn(function() return client:extend { taskId = sim.source, prompt = "shot " .. i } end)
    end
    for i = 1, 3 do assert(jobs[i]:wait(helper.PATIENCE)) end
    assert.equal(3, posts())
  end)

  it("has its room counted by those that were admitted, not only by those that started", function()
    sim:script { { on = "credits", delay = 0.02 } }
    hang()
    hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local most, ended = 0, 0
    local function waiting() return sim:count "GET" - 1 - ended end
    client:close()
    client = helper.client(sim, { max_in_flight = 2 })
    for _ = 1, 20 do
      client:spawn(function()
        assert(client:credits())
        ended = ended + 1
      end)
    end
    helper.step_until(client, function()
      most = math.max(most, waiting())
      return client:step(0) == 0
    end)
    assert.is_true(most <= 2, most .. " at a time")
  end)

  it("sends no order that was cancelled there, whenever that was", function()
    sim:script { { on = "status", task = "slow", delay = 0.1, times = 1 } }
    client:spawn(function() return client:status("slow") end)
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local jobs = {}
    for i = 1, 20 do
      jobs[i] = client:spawn(function() return client:extend { taskId = sim.source, prompt = "shot " .. i } end)
    end
    local stop = helper.now() + 0.07
    while helper.now() < stop do client:step(0) end
    os.execute("sleep 0.1") -- the place is free now, and the next step tells of it
    client:step(0)
    for _, job in ipairs(jobs) do job:cancel() end
    assert(client:run())
    local sent = 0 -- on a busy machine the place may have been free sooner
    for _, job in ipairs(jobs) do
      local task, err = job:result()
      if task or err.sent ~= "no" then sent = sent + 1 end
    end
    assert.equal(sent, posts())
  end)

  it("is left in the order of coming, and no plain call passes it", function()
    sim:script { { on = "status", task = "slow", delay = 0.1, times = 1 } }
    client:spawn(function() return client:status("slow") end)
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local order = {}
    for i = 1, 3 do
      client:spawn(function()
        client:credits()
        order[#order + 1] = i
      end)
    end
    client:step(0)
    client:credits()
    order[#order + 1] = "plain"
    assert.same({ 1, 2, 3, "plain" }, order)
  end)

  it("lets an order and a save pass a thousand looks, and the looks come between many of them", function()
    local url, answered = assert(client:status(sim.source)).video_url, 0
    sim:script { { on = "status", delay = 0.005 } }
    for _ = 1, 1000 do
      client:spawn(function()
        assert(client:status(sim.source))
        answered = answered + 1
      end)
    end
    helper.step_until(client, function() return answered > 0 end)
    local order = client:spawn(client.extend, client, { taskId = sim.source, prompt = "x" })
    assert(order:wait(helper.PATIENCE))
    assert.is_true(answered < 20, "the order came after " .. answered .. " looks")
    local link = client:spawn(client.download_url, client, url)
    local before = answered
    assert(link:wait(helper.PATIENCE))
    assert.is_true(answered - before < 20, "a save's link came after " .. answered - before .. " looks")
    -- While orders come without end.
    local ended = 0
    for i = 1, 60 do
      client:spawn(function()
        assert(client:extend { taskId = sim.source, prompt = "shot " .. i })
        ended = ended + 1
      end)
    end
    before = answered
    helper.step_until(client, function() return ended == 60 end)
    assert.is_true(answered - before >= 10, answered - before .. " looks came between 60 orders")
  end)

  it("is passed by nothing but the saving of files", function()
    local folder = helper.folder()
    local job = client:spawn(function()
      return client:download(sim.media_url .. "/media/blob/1000000.mp4", folder .. "/a.mp4")
    end)
    helper.step_until(client, function() return helper.list(folder)[1] end)
    hang()
    hanging()
    looker()
    assert(job:wait(helper.PATIENCE))
    assert.same({ "a.mp4" }, helper.list(folder))
    client:close()
    helper.sweep()
  end)

  it("lets calls in before a hundred downloads that wait", function()
    client:close()
    client = helper.client(sim, { max_in_flight = 2, max_downloads = 8 })
    local ended = 0
    for _ = 1, 40 do
      client:spawn(function()
        client:download(sim.media_url .. "/media/blob/200000.mp4", function() client:sleep(0.02) end)
        ended = ended + 1
      end)
    end
    for _ = 1, 5 do client:step(1) end
    assert(looker():wait(helper.PATIENCE))
    assert.is_true(ended < 30, ended .. " downloads")
  end)

  it("keeps nobody from being told that all wait for each other", function()
    client:close()
    client = helper.client(sim, { max_in_flight = 4 })
    local one, two
    local function stream(other)
      return client:download(sim.media_url .. "/media/blob/3000000.mp4", function() other():wait() end)
    end
    one = client:spawn(stream, function() return two end)
    two = client:spawn(stream, function() return one end)
    local began = helper.now()
    local ok, err = client:run()
    assert.is_nil(ok)
    assert.equal("busy", err.code)
    assert.is_true(helper.now() - began < 20) -- of 60
  end)

  it("takes no id that the core would refuse", function()
    looker()
    local job = client:spawn(function() return client:status(("x"):rep(2 ^ 20 + 1)) end)
    local last = looker()
    assert(client:run())
    assert.equal("invalid", select(2, job:result()).code)
    assert.equal("succeeded", last:result().state)
  end)

  it("ends with a client that is closed by a job while a plain call waits", function()
    hang()
    client:spawn(function()
      client:sleep(0.05)
      client:close()
    end)
    for _ = 1, 3 do hanging() end
    sim:script { { on = "status", hang = true } }
    local ok, status, err = pcall(client.status, client, sim.source)
    assert.same({ true, nil, "closed" }, { ok, status, err and err.code })
  end)

  it("sends each look once", function()
    for i = 1, 20 do looker() end
    assert(client:run())
    assert.equal(20, sim:count "GET")
  end)

  it("starts nothing for an order that is cancelled when it has been told of its place", function()
    hang()
    local first = hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local order = client:spawn(function() return client:extend { taskId = sim.source, prompt = "x" } end)
    for _ = 1, 5 do client:step(0) end
    first:cancel()
    client:step(0) -- tells it, and ends before it goes on
    order:cancel()
    assert(client:run())
    local _, err = order:result()
    assert.same({ "cancelled", "no", 0 }, { err.code, err.sent, posts() })
  end)

  it("starts nothing for looks that are cancelled in it", function()
    hang()
    local first, jobs = hanging(), {}
    for i = 1, 10 do jobs[i] = looker() end
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    for _, job in ipairs(jobs) do job:cancel() end
    first:cancel()
    local last = looker()
    assert(client:run())
    assert.equal("succeeded", last:result().state)
    assert.equal(2, sim:count "GET")
  end)

  it("keeps a place for a second for a plain call that was told of it", function()
    local first = yielding()
    local one = coroutine.create(function() return assert(client:credits()) end)
    local two = coroutine.create(function() return assert(client:credits()) end)
    for _, co in ipairs { one, two } do assert(coroutine.resume(co)) end
    first:cancel()
    local began, credits = helper.now()
    while sim:count "GET" == 1 do
      client:step(5)
      credits = select(2, assert(coroutine.resume(two)))
    end
    assert.is_true(helper.now() - began >= 0.9, helper.now() - began)
    while coroutine.status(two) ~= "dead" do
      client:step(5)
      credits = select(2, assert(coroutine.resume(two)))
    end
    assert.is_number(credits)
    assert.equal(2, sim:count "GET")
    while coroutine.status(one) ~= "dead" do credits = select(2, assert(coroutine.resume(one))) end
    assert.is_number(credits)
  end)

  it("ends for a plain call that was told of its place when its client is closed before it goes on", function()
    local first = yielding()
    local co = coroutine.create(function() return client:credits() end)
    assert(coroutine.resume(co))
    first:cancel()
    for _ = 1, 3 do client:step(0) end
    client:close()
    local ok, credits, err = coroutine.resume(co)
    assert.same({ true, nil, "closed" }, { ok, credits, err and err.code })
  end)

  it("is not slept on after an interruption", function()
    local n, interrupted, raised = 0, 0, nil
    repeat
      n = n + 1
      client:close()
      client = helper.client(sim, { max_in_flight = 1 })
      local first, second = looker(), looker()
      pcall(function()
        raised = helper.interrupt(n, "admission.lua")
        while second:status() == "pending" do client:step(5) end -- in one of them the first ends, which makes room
      end)
      debug.sethook()
      local began = helper.now()
      assert(client:run())
      assert.is_true(helper.now() - began < 20, "slept after " .. n) -- of 60
      assert.same({ "done", "done" }, { first:status(), second:status() })
      if raised() then interrupted = interrupted + 1 end
    until n > 40 and not raised() -- on a busy machine the first may have ended before the second began
    assert.is_true(interrupted > 20, interrupted)
  end)

  it("ends with the client", function()
    hang()
    hanging()
    helper.step_until(client, function() return sim:count "GET" == 1 end)
    local look, order = looker(), client:spawn(function()
      return client:extend { taskId = sim.source, prompt = "x" }
    end)
    for _ = 1, 5 do client:step(0) end
    client:close()
    local code, sent = select(2, look:result()).code, select(2, order:result()).sent
    assert.same({ "closed", "no", 0 }, { code, sent, posts() })
  end)

  it("is kept whole by a step that is interrupted at any instruction", function()
    client:close()
    local ordered = 0
    for n = 1, 900 do
      client = helper.client(sim, { max_in_flight = 1 })
      local jobs = {}
      for i = 1, 3 do jobs[i] = looker(retried()) end
      jobs[4] = client:spawn(function()
        return client:extend { taskId = sim.source, prompt = "shot " .. n }
      end)
      jobs[5] = looker(retried())
      local left, inside, ended = n, true, false
      pcall(function()
        debug.sethook(function()
          left = left - 1
          if left == 0 and inside then error("interrupted!", 0) end
        end, "", 1)
        for _ = 1, 6 do client:step(1) end
        inside, ended = false, true
      end)
      debug.sethook()
      local deadline = helper.now() + helper.PATIENCE
      while client:step(1) > 0 do
        assert.is_true(helper.now() < deadline, "a job is left after " .. n .. " instructions")
      end
      for i = 1, 5 do assert.not_equal("pending", jobs[i]:status()) end
      local task, err = jobs[4]:result()
      if task or err and err.sent ~= "no" then ordered = ordered + 1 end
      assert.equal("succeeded", assert(client:status(sim.source, { deadline = 60 })).state, "after " .. n)
      client:close()
      if ended and n > 300 then break end
    end
    assert.is_true(posts() <= ordered, posts() .. " POSTs for " .. ordered .. " orders")
  end)

  it("knows a look that was about to start, and is begun again, as one that is not queued yet", function()
    client:close()
    local ids, lines, raised = {}, {}, 0
    for i = 1, 2 do ids[i] = sim:add({ render = 0 }).taskId end
    local n = 0
    for text in io.lines "lua/veo/async/admission.lua" do
      n = n + 1
      local name = text:match "^local function ([%w_]+)" or text:match "^function M%.([%w_]+)"
      if name then lines[name] = n end
    end
    -- Steps until an error at that instruction of a function, or to the end.
    local function interrupt(name, left)
      debug.sethook(function()
        local info = debug.getinfo(2, "S")
        if info.linedefined ~= lines[name] or not info.source:find "admission" then return end
        left = left - 1
        if left == 0 then error("interrupted!", 0) end
      end, "", 1)
      repeat local ok, pending = pcall(client.step, client, 10) until not ok or pending == 0
      debug.sethook()
      return left <= 0
    end
    for first = 6, 30, 4 do
      for second = 4, 40, 2 do
        client = helper.client(sim, { max_in_flight = 1 })
        looker()
        local jobs = {}
        for i = 1, 2 do jobs[i] = client:spawn(function() return client:wait(ids[i]) end) end
        if interrupt("start_for", first) and interrupt("begin", second) then raised = raised + 1 end
        assert(client:run())
        for i = 1, 2 do assert(jobs[i]:result()) end
        client:close()
      end
    end
    assert.is_true(raised > 20 or rawget(_G, "jit") ~= nil, raised)
  end)
end)
