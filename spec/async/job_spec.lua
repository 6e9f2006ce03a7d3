-- Jobs: the same calls, but they yield; ended early, none of them loses money.

local errors = require "veo.errors"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local socket = require "socket"

describe("a job", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function extend(c, prompt) return (c or client):extend { taskId = sim.source, prompt = prompt or "x" } end
  local function posts() return sim:count("POST", helper.EXTEND) end

  it("runs from the next step on, with its arguments, and hands its values out", function()
    local ran
    local job = client:spawn(function(...)
      ran = { ... }
      return "a", nil, "c", nil
    end, 1, nil, 3)
    assert.is_nil(ran)
    assert.equal("pending", job:status())
    assert.matches("pending", tostring(job))
    assert.equal(0, client:step())
    assert.same({ 1, nil, 3 }, ran)
    assert.equal("done", job:status())
    assert.equal(4, select("#", job:result()))
    assert.same({ "a", nil, "c" }, { job:result() })
    assert.same({ "a", nil, "c" }, { job:wait() })
  end)

  it("has no result before its end", function()
    local job = client:spawn(function() client:sleep(0.05) return 1 end)
    local value, err = job:result()
    assert.is_nil(value)
    assert.equal("busy", err.code)
    assert.equal(1, job:wait())
  end)

  it("makes every call beside others", function()
    sim:script { { on = "status", hang = true } }
    local jobs = {}
    local function look() return client:status(sim.source) end
    for i = 1, 10 do jobs[i] = client:spawn(look) end
    helper.step_until(client, function() return sim:count "GET" == 10 end) -- and none of them has an answer
    for i = 1, 10 do jobs[i]:cancel() end
    sim:script {}
    for i = 1, 10 do jobs[i] = client:spawn(look) end
    assert.is_true(client:run())
    for i = 1, 10 do assert.equal("succeeded", jobs[i]:result().state) end
  end)

  it("goes on before thousands that are new begin", function()
    assert(client:status(sim.source)) -- the connection is there
    sim:script { { on = "status", delay = 0.05 } }
    local tries, begun = 0
    repeat -- until the answer lay in the socket
      assert.is_true(client:run())
      tries = tries + 1
      local looks = sim:count "GET"
      local answered = client:spawn(function() return client:status(sim.source) end)
      helper.step_until(client, function() return sim:count "GET" > looks end)
      socket.sleep(0.3 * tries)
      begun = 0
      for _ = 1, 50000 do client:spawn(function() begun = begun + 1 end) end
      while answered:status() == "pending" do client:step(0) end
    until begun < 50000 or tries == 5
    assert.is_true(begun < 50000, begun)
    assert.is_true(client:run())
    assert.equal(50000, begun)
  end)

  it("begins beside others that take all of every frame", function()
    local busy = {}
    for i = 1, 2 do
      busy[i] = client:spawn(function()
        while true do
          local till = helper.now() + 0.001
          while helper.now() < till do end -- luacheck: ignore
          client:sleep(0)
        end
      end)
    end
    for _ = 1, 5 do client:step(0) end
    local begun, frames = 0, 0
    for _ = 1, 2000 do client:spawn(function() begun = begun + 1 end) end
    while begun < 2000 do
      client:step(0)
      frames = frames + 1
    end
    assert.is_true(frames < 1000, frames)
    for _, job in ipairs(busy) do job:cancel() end
  end)

  it("does the whole work", function()
    local folder = helper.folder()
    local job = client:spawn(function()
      local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
      return assert(client:download(status, folder .. "/x.mp4")), assert(client:credits())
    end)
    local file, credits = job:wait()
    assert.equal(#helper.read(folder .. "/x.mp4"), file.bytes)
    assert.equal(9940, credits)
    helper.sweep()
  end)

  it("can spawn jobs and wait for them", function()
    local job = client:spawn(function()
      local inner = client:spawn(function() client:sleep(0.02) return 7 end)
      return inner:wait() + 1
    end)
    assert.equal(8, job:wait())
  end)

  it("can be waited for by several", function()
    local job = client:spawn(function() client:sleep(0.03) return 7 end)
    local others = {}
    for i = 1, 3 do others[i] = client:spawn(function() return job:wait() end) end
    client:run()
    for i = 1, 3 do assert.equal(7, others[i]:result()) end
  end)

  it("wait gives up after its timeout; the job goes on", function()
    local go_on
    local job = client:spawn(function()
      repeat client:sleep(0.01) until go_on
      return 7
    end)
    local value, err = job:wait(0.05)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.equal("pending", job:status())
    go_on = true
    assert.equal(7, job:wait())
  end)

  it("cannot wait for itself, nor for what nothing can bring about", function()
    local job, _, err
    job = client:spawn(function() return job:wait() end)
    _, err = job:wait()
    assert.equal("busy", err.code)
    local a, b
    a = client:spawn(function() return b:wait() end)
    b = client:spawn(function() return a:wait() end)
    _, err = a:wait()
    assert.equal("busy", err.code)
    _, err = client:run()
    assert.equal("busy", err.code)
  end)

  describe("that raises", function()
    it("keeps the message and a traceback", function()
      local function deep() error("a nail in the boat") end
      local job = client:spawn(function()
        client:sleep(0.01)
        deep()
      end)
      local value, err = job:wait()
      assert.is_nil(value)
      assert.equal("failed", job:status())
      assert.equal("job_failed", err.code)
      assert.matches("a nail in the boat", err.message)
      assert.matches("job_spec.lua", err.traceback)
      assert.matches("deep", err.traceback)
    end)

    it("an error of ours gives that error", function()
      local job = client:spawn(function()
        local _, err = client:status("nobody")
        error(err)
      end)
      local _, err = job:wait()
      assert.is_true(errors.is(err))
      assert.equal("not_found", err.code)
    end)

    it("any value keeps it", function()
      local value = {}
      local _, err = client:spawn(function() error(value) end):wait()
      assert.equal("job_failed", err.code)
      assert.equal(value, err.cause)
    end)

    it("harms no other", function()
      local bad = client:spawn(function() error("x") end)
      local good = client:spawn(function() return client:status(sim.source) end)
      assert.is_true(client:run())
      assert.equal("failed", bad:status())
      assert.equal("succeeded", good:result().state)
    end)

    it("is logged once when nobody asks", function()
      local seen = {}
      local other = helper.client(sim, { log = function(event)
        if event.event == "job_failed" then seen[#seen + 1] = event end
      end })
      other:spawn(function() error("nobody asks") end)
      local asked = other:spawn(function() error("somebody asks") end)
      asked:wait()
      other:run()
      other:run()
      other:close()
      assert.equal(1, #seen)
      assert.matches("nobody asks", seen[1].message)
      assert.matches("job_spec", seen[1].traceback)
    end)
  end)

  describe("that is cancelled", function()
    it("ends at once in a sleep, a wait or a look", function()
      sim:script { { on = "status", hang = true } }
      local ran = 0
      for _, fn in ipairs {
        function() client:sleep(60) ran = ran + 1 end,
        function() client:wait(sim.source) ran = ran + 1 end,
        function() client:status(sim.source) ran = ran + 1 end,
        function() client:spawn(function() client:sleep(60) end):wait() ran = ran + 1 end,
      } do
        local job = client:spawn(fn)
        client:step(20)
        local began = helper.now()
        assert.is_true(job:cancel())
        assert.equal("cancelled", job:status())
        local value, err = job:result()
        assert.is_nil(value)
        assert.equal("cancelled", err.code)
        assert.is_false(job:cancel())
        client:step(0)
        assert.is_true(helper.now() - began < 20) -- of 60
      end
      assert.equal(0, ran)
    end)

    it("before it has begun, never begins", function()
      local ran
      local job = client:spawn(function() ran = true end)
      assert.is_true(job:cancel())
      client:step()
      assert.is_nil(ran)
    end)

    it("by itself, ends at its next call", function()
      local after, job
      job = client:spawn(function()
        assert.is_false(job:cancel())
        client:sleep(0)
        after = true
      end)
      local _, err = job:wait(helper.PATIENCE)
      assert.equal("cancelled", err.code)
      assert.is_nil(after)
    end)

    it("by another job", function()
      local one = client:spawn(function() client:sleep(60) end)
      local two = client:spawn(function() client:sleep(0.01) return one:cancel() end)
      assert.is_true(two:wait())
      assert.equal("cancelled", one:status())
      assert.is_true(client:run())
    end)

    it("wakes whoever waits for it", function()
      local job = client:spawn(function() client:sleep(60) end)
      local waiter = client:spawn(function() return job:wait() end)
      client:step(5)
      job:cancel()
      local _, err = waiter:wait(helper.PATIENCE)
      assert.equal("cancelled", err.code)
    end)

    it("a thousand at once, in little time", function()
      local jobs = {}
      for i = 1, 1000 do jobs[i] = client:spawn(function() client:sleep(60) end) end
      client:step(0)
      while client:step(0) > 0 and helper.now() do
        local waiting = 0
        for _, job in ipairs(jobs) do if job.waiter then waiting = waiting + 1 end end
        if waiting == 1000 then break end
      end
      local began = os.clock()
      for _, job in ipairs(jobs) do job:cancel() end
      assert.equal(0, client:step(0))
      assert.is_true(os.clock() - began < 5)
    end)
  end)

  describe("that is cancelled with a billable call under way", function()
    it("ends once the answer is there: uncertain, with the taskId", function()
      sim:script { { on = "extend", delay = 0.3 } }
      local after
      local job = client:spawn(function()
        extend()
        after = true
      end)
      helper.step_until(client, function() return posts() == 1 end)
      assert.is_false(job:cancel())
      assert.equal("pending", job:status())
      local _, err = job:wait()
      assert.equal("cancelled", job:status())
      assert.same({ "uncertain", "yes" }, { err.code, err.charged })
      local by_task, list = sim:charges()
      assert.equal(1, #list)
      assert.is_truthy(by_task[err.taskId])
      assert.is_nil(after)
      assert.equal(1, posts())
    end)

    it("ends uncertain when no answer comes, within the call's timeout", function()
      sim:script { { on = "extend", hang = true } }
      local job = client:spawn(function()
        return client:extend({ taskId = sim.source, prompt = "x" }, { timeout = 1 })
      end)
      helper.step_until(client, function() return posts() == 1 end)
      assert.is_false(job:cancel())
      local began = helper.now()
      local _, err = job:wait()
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.same({ "uncertain", "maybe" }, { err.code, err.sent })
      assert.is_nil(err.taskId)
    end)

    it("is not sent again after a refusal", function()
      sim:script { { on = "extend", code = 429, delay = 0.2 } }
      local job = client:spawn(extend)
      helper.step_until(client, function() return posts() == 1 end)
      job:cancel()
      local _, err = job:wait()
      assert.equal("rate_limited", err.code)
      assert.equal(1, posts())
    end)

    it("is not sent again when it was pausing before a repeat", function()
      sim:script { { on = "extend", code = 455, times = 1 } }
      local pausing
      local slow = helper.client(sim, { retry = { base = 60, max = 60 },
        log = function(event) pausing = pausing or event.event == "retry" end })
      local job = slow:spawn(extend, slow)
      helper.step_until(slow, function() return pausing end)
      job:cancel()
      local began = helper.now()
      local _, err = job:wait()
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.equal("cancelled", err.code)
      slow:step(50)
      slow:close()
      assert.equal(1, posts())
      assert.same({}, (sim:charges()))
    end)

    it("stays uncertain when it was pausing before the repeat that it was told to make", function()
      sim:script { { on = "extend", close = "unanswered", times = 1 } }
      local pausing
      local slow = helper.client(sim, { retry = { base = 30, max = 30, ambiguous = true },
        log = function(event) pausing = pausing or event.event == "retry" end })
      local job = slow:spawn(extend, slow)
      helper.step_until(slow, function() return pausing end)
      job:cancel()
      local _, err = job:wait()
      slow:close()
      assert.same({ "uncertain", "maybe", 1 }, { err.code, err.sent, posts() })
    end)

    it("is not sent at all when it waited for a rate slot", function()
      local slow = helper.client(sim, { rate = { count = 1, window = 30 } })
      assert(extend(slow))
      local job = slow:spawn(extend, slow)
      slow:step(20)
      job:cancel()
      local _, err = job:wait(helper.PATIENCE)
      slow:close()
      assert.same({ "cancelled", "no" }, { err.code, err.sent })
      assert.equal(1, posts())
    end)

    it("is not sent when its pause had ended but its turn had not come", function()
      sim:script { { on = "extend", code = 455, retry_after = 3, times = 1 } }
      local refused
      local other = helper.client(sim, { log = function(event) refused = refused or event.event == "retry" end })
      local job = other:spawn(extend, other)
      helper.step_until(other, function() return refused end)
      local killer = other:spawn(function()
        other:sleep(0.001)
        return job:cancel()
      end)
      other:step(0)
      os.execute("sleep 3.1") -- a host that hangs: both sleeps end in its next step, the killer's first
      other:step(0)
      assert.equal("done", killer:status())
      local _, err = job:wait(helper.PATIENCE)
      other:step(20)
      other:close()
      assert.equal("cancelled", err.code)
      assert.equal(1, posts())
    end)

    it("is cut while nothing has left: in TLS", function()
      local server = fault.start { mute = { tls = "hang" } }
      local other = helper.client("https://127.0.0.1:" .. server.port.mute)
      local job = other:spawn(extend, other)
      other:step(100)
      job:cancel()
      local began = helper.now()
      local _, err = job:wait()
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.same({ "cancelled", "no" }, { err.code, err.sent })
      other:close()
      server:stop()
    end)

    it("is cut while nothing has left: in DNS", function()
      local other = helper.client("https://no-such-host.invalid")
      local job = other:spawn(extend, other)
      other:step(0)
      job:cancel()
      local began = helper.now()
      local _, err = job:wait()
      other:close()
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.is_true(err.code == "cancelled" or err.code == "network")
      assert.equal("no", err.sent)
    end)

    it("is cut while it is queued", function()
      local narrow = helper.client(sim, { max_in_flight = 1 })
      sim:script { { on = "extend", delay = 2, times = 1 } }
      local first = narrow:spawn(extend, narrow, "one")
      helper.step_until(narrow, function() return posts() == 1 end)
      local second = narrow:spawn(extend, narrow, "two")
      narrow:step(20)
      second:cancel()
      local _, err = second:wait(helper.PATIENCE)
      assert.same({ "cancelled", "no" }, { err.code, err.sent })
      assert.is_truthy(first:wait())
      narrow:close()
      assert.equal(1, posts())
    end)
  end)

  describe("that yields elsewhere", function()
    it("has its yields passed on to whoever steps", function()
      local got
      local job = client:spawn(function()
        got = { coroutine.yield("to the host", 2) }
        client:sleep(0.01)
        return "end"
      end)
      local host = coroutine.create(function() return client:step(0) end)
      local ok, one, two = coroutine.resume(host)
      assert.same({ true, "to the host" }, { ok, one })
      -- Only the first value is the host's to read on every Lua; the rest may come.
      assert.is_true(two == nil or two == 2)
      assert.is_true(coroutine.resume(host, "back", 3))
      assert.same({ "back", 3 }, got)
      assert.equal("dead", coroutine.status(host))
      assert.equal("end", job:wait())
    end)

    it("fails, saying so, when step runs in the main program", function()
      -- busted runs specs in a coroutine, so a plain script is the main program here.
      local script = [[
        local veo = require "veo"
        local client = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:9" }
        local job = client:spawn(function() coroutine.yield(1) end)
        client:step(0)
        print(job:status(), (select(2, job:result())))]]
      local folder = helper.folder()
      helper.write(folder .. "/x.lua", script)
      local text = helper.output(helper.lua() .. " " .. folder .. "/x.lua")
      helper.sweep()
      assert.matches("^failed", text)
      assert.matches("yielded outside", text)
    end)

    it("may be cancelled meanwhile", function()
      local job = client:spawn(function()
        coroutine.yield()
        error("not reached")
      end)
      local host = coroutine.create(function() return client:step(0) end)
      coroutine.resume(host)
      job:cancel()
      coroutine.resume(host)
      assert.equal("cancelled", job:status())
    end)
  end)

  describe("busy", function()
    it("is a call from a coroutine inside a job", function()
      local _, err = client:spawn(function()
        return coroutine.wrap(function() return client:status(sim.source) end)()
      end):wait()
      assert.equal("busy", err.code)
      assert.equal(0, #sim:requests())
    end)

    it("is step or run inside step", function()
      local answers = {}
      client:spawn(function()
        answers[1] = select(2, client:step(0))
        answers[2] = select(2, client:run())
      end):wait()
      assert.equal("busy", answers[1].code)
      assert.equal("busy", answers[2].code)
      assert.equal(0, client:step(0))
    end)

    it("is a call from the log", function()
      local err, other
      other = helper.client(sim, { log = function(event)
        if event.event == "poll" and not err then err = select(2, other:status(sim.source)) end
      end })
      other:spawn(function() return other:wait(sim.source) end):wait()
      other:close()
      assert.equal("busy", err.code)
    end)
  end)

  describe("of a client that is closed", function()
    it("ends", function()
      sim:script { { on = "status", hang = true } }
      local jobs = {
        client:spawn(function() client:sleep(60) end),
        client:spawn(function() client:status(sim.source) end),
        client:spawn(function() client:wait(sim.source) end),
      }
      client:step(50)
      client:close()
      for _, job in ipairs(jobs) do
        assert.equal("cancelled", job:status())
        local _, err = job:result()
        assert.equal("closed", err.code)
      end
      client:close()
    end)

    it("ends uncertain when a billable call was under way", function()
      sim:script { { on = "extend", hang = true } }
      local job = client:spawn(extend)
      helper.step_until(client, function() return posts() == 1 end)
      local began = helper.now()
      client:close()
      assert.is_true(helper.now() - began < 20) -- of 60
      local _, err = job:result()
      assert.same({ "uncertain", "maybe" }, { err.code, err.sent })
    end)

    it("may be the one that closes it", function()
      local job = client:spawn(function()
        client:close()
        return "closed"
      end)
      client:step(0)
      assert.is_true(job:status() ~= "pending")
      assert.matches("closed", tostring(client))
    end)
  end)
end)
