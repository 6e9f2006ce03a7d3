--- Foreign event loops: the examples run unmodified, no wake-up is lost, nothing spins, foreign yields come through.

local core = require "veo.core"
local simulators = require "veo.simulator"
local veo = require "veo"

local has_cqueues, cqueues = pcall(require, "cqueues")
local has_luv, uv = pcall(require, "luv")

local LUA = "lua5.4"
for i = 0, -9, -1 do
  if arg and arg[i] then LUA = arg[i] end -- the lowest is the interpreter
end

-- What a waiting coroutine may cost of the time it waits: a loop that spins costs all of it, the checked core has cost
-- 0.12. And how long a loop may take: whoever misses his time is woken by nothing for 60 s.
local IDLE, PATIENCE = 0.3, 20

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

describe("example", function()
  local folder = os.tmpname()
  local running = {}

  -- One beside the other: each takes three seconds, and hardly any of them on the processor.
  setup(function()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    for name, needs in pairs { frame_loop = "socket", cqueues = "cqueues", luv = "luv", copas = "copas" } do
      if pcall(require, needs) then
        running[name] = io.popen(("VEO_SIMULATE=1 %s examples/%s.lua %s/%s.mp4 2>&1; echo status $?; times"):format(
          quote(LUA), name, folder, name))
      end
    end
  end)

  teardown(function()
    for _, pipe in pairs(running) do pipe:close() end
    os.execute("rm -r " .. folder)
  end)

  for name, files in pairs {
    frame_loop = { "frame_loop" }, luv = { "luv" },
    cqueues = { "cqueues-1", "cqueues-2", "cqueues-3" }, copas = { "copas-1", "copas-2" },
  } do
    it(name .. " saves its videos and leaves the processor alone", function()
      if not running[name] then return pending("its loop is not installed for this Lua") end
      local said = running[name]:read("*a")
      assert.is_truthy(said:find("status 0", 1, true), said)
      for _, file in ipairs(files) do
        assert.are.equal("ftyp", read(folder .. "/" .. file .. ".mp4"):sub(5, 8))
      end
      local user, system = said:match("\n0m([%d.]+)s 0m([%d.]+)s%s*$") -- of the shell's children
      assert.is_true(user + system < 1.5, said)
      local longest = said:match("longest step%(0%) ([%d.]+) ms")
      if longest then assert.is_truthy(tonumber(longest), said) end
    end)
  end
end)

describe("in a foreign loop", function()
  local sim, client

  setup(function() sim = simulators.start { speed = 100, rate = false } end)
  teardown(function() sim:stop() end)
  after_each(function()
    if client then client:close() end
    client = nil
    sim:reset()
  end)

  local function new(pause)
    client = veo.new { base_url = sim.url, api_key = sim.api_key, pause = pause, rate = { polls = false },
      wait = { first = 0.05, interval = 0.1, growth = 1, jitter = 0 } }
    return client
  end

  -- Has libuv call `step` until it answers true: by the client's descriptor, by a timer where there is none.
  local function step_by_uv(step)
    local fd = client.loop:pollfd()
    local watcher = fd and uv.new_poll(fd) or uv.new_timer()
    local function watch() if step() then watcher:close() end end
    if fd then watcher:start("r", watch) else watcher:start(0, 20, watch) end
  end

  -- Runs `fn` and returns what share of the time it took was spent on the processor.
  local function share(fn)
    local clock, now = os.clock(), core.now()
    fn()
    return (os.clock() - clock) / (core.now() - now)
  end

  describe("of cqueues", function()
    if not has_cqueues then return pending("cqueues is not installed for this Lua") end

    local function pause(it) cqueues.poll(it.loop) end

    it("wakes each of many sleepers in time and idles meanwhile", function()
      new(pause)
      local loop, woken = cqueues.new(), 0
      -- After the last of them nothing happens for so long that whoever misses his time shows.
      client:spawn(client.sleep, client, 60)
      for _, seconds in ipairs { 0.3, 0.2, 0.1, 0.1, 0.2, 0.3, 1.5, 1.5 } do
        loop:wrap(function()
          assert(client:sleep(seconds))
          woken = woken + 1
        end)
      end
      local busy = share(function() assert(loop:loop(PATIENCE)) end)
      assert.are.equal(8, woken)
      assert.is_true(busy < IDLE, busy)
    end)

    -- Over plain http nobody waits for another's first reply to learn whether one connection would do for all.
    it("wakes each of many exchanges as its answer comes", function()
      new(pause)
      sim:script { { on = "status", delay = 0.8 } }
      local loop, answers = cqueues.new(), 0
      client:spawn(client.sleep, client, 60)
      for i = 1, 20 do
        loop:wrap(function()
          cqueues.sleep(0.02 * i)
          assert(client:status(sim.source))
          answers = answers + 1
        end)
      end
      assert(loop:loop(PATIENCE))
      assert.are.equal(20, answers)
    end)

    it("idles while several wait for one slow answer each", function()
      new(pause)
      sim:script { { on = "status", delay = 1 } }
      local loop, answers = cqueues.new(), 0
      for _ = 1, 5 do
        loop:wrap(function()
          assert(client:status(sim.source))
          answers = answers + 1
        end)
      end
      local busy = share(function() assert(loop:loop(PATIENCE)) end)
      assert.are.equal(5, answers)
      assert.is_true(busy < IDLE, busy)
    end)

    it("lets plain calls, jobs and another client go on together", function()
      local other = new(pause)
      new(pause)
      local loop, done = cqueues.new(), {}
      local first, second, third = sim:add { render = 50 }, sim:add { render = 30 }, sim:add { render = 40 }
      local job = client:spawn(function() return assert(client:wait(first)).state end)
      loop:wrap(function() done.plain = assert(client:wait(second)).state end)
      loop:wrap(function() done.job = job:wait() end)
      loop:wrap(function() done.other = assert(other:wait(third)).state end)
      assert(loop:loop(PATIENCE))
      other:close()
      assert.are.same({ plain = "succeeded", job = "succeeded", other = "succeeded" }, done)
    end)

    it("hands a job's foreign yields on through step", function()
      new()
      local loop, order = cqueues.new(), {}
      client:spawn(function()
        cqueues.sleep(0.2)
        assert(client:status(sim.source))
        cqueues.sleep(0.1)
        order[#order + 1] = "job"
      end)
      loop:wrap(function()
        while client:step(0) > 0 do cqueues.poll(client.loop) end
        order[#order + 1] = "stepper"
      end)
      loop:wrap(function()
        cqueues.sleep(0.05)
        order[#order + 1] = "beside"
      end)
      assert(loop:loop(PATIENCE))
      assert.are.same({ "beside", "job", "stepper" }, order)
    end)

    it("fails a job that yields to a loop which cannot take it", function()
      new()
      local job = client:spawn(function() coroutine.yield("somebody") end)
      client:step(0)
      local _, err = job:result()
      assert.are.equal("job_failed", err.code)
      assert.is_truthy(err.message:find("yielded outside", 1, true))
    end)

    it("ends who waits when the client is closed, and serves the next client", function()
      new(pause)
      local loop, ended, again = cqueues.new(), nil, nil
      loop:wrap(function()
        local _, err = client:sleep(60)
        ended = err.code
      end)
      loop:wrap(function()
        cqueues.sleep(0.1)
        cqueues.cancel(client.loop:pollfd()) -- the next client most often gets the same number
        client:close()
        new(pause)
        assert(client:sleep(0.1))
        again = assert(client:status(sim.source)).state
      end)
      assert(loop:loop(PATIENCE))
      assert.are.equal("closed", ended)
      assert.are.equal("succeeded", again)
    end)
  end)

  describe("of libuv", function()
    if not has_luv then return pending("luv is not installed for this Lua") end

    it("steps jobs by one poll handle, in time, and idles meanwhile", function()
      new()
      local began, left = core.now(), 10
      local jobs, long = {}, client:spawn(client.sleep, client, 60)
      for i = 1, 10 do
        jobs[i] = client:spawn(function()
          assert(client:sleep(0.1 * i))
          left = left - 1
          if left == 0 then long:cancel() end
          return assert(client:status(sim.source)).state
        end)
      end
      step_by_uv(function() return client:step(0) == 0 end)
      local busy = share(function() uv.run() end)
      for _, job in ipairs(jobs) do assert.are.equal("succeeded", (job:result())) end
      assert.is_true(core.now() - began < PATIENCE, core.now() - began)
      assert.is_true(busy < IDLE, busy)
    end)

    it("resumes coroutines that make plain calls", function()
      local waiting, left = {}, 5
      new(function()
        waiting[#waiting + 1] = coroutine.running()
        coroutine.yield()
      end)
      -- libuv has one handle for a descriptor: it wakes everybody who waits.
      step_by_uv(function()
        local woken = waiting
        waiting = {}
        for _, co in ipairs(woken) do assert(coroutine.resume(co)) end
        return left == 0
      end)
      for i = 1, 5 do
        coroutine.wrap(function()
          assert(client:sleep(0.1 * i))
          assert(client:status(sim.source))
          left = left - 1
        end)()
      end
      local busy = share(function() uv.run() end)
      assert.are.equal(0, left)
      assert.is_true(busy < IDLE, busy)
    end)
  end)
end)
