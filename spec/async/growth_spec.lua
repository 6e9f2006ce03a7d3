-- What one of many costs must not grow with how many there are: a list that is gone through for each of them costs
-- thirty times as much where there are thirty times as many. Counted are the instructions of Lua, in the main program and
-- in the jobs, which no load of the machine changes; spec/bench/growth.lua measures the rest.

local core = require "veo.core"
local heaps = require "veo.util.heap"
local helper = require "spec.support.helper"
local observers = require "veo.async.observer"
local schedulers = require "veo.async.scheduler"
local semaphores = require "veo.async.semaphore"
local simulator = require "veo.simulator"

local FEW, TIMES = 250, 32
local STEP = 10 -- instructions between two ticks
local JIT = rawget(_G, "jit") ~= nil -- which counts none in what it has compiled

local ticks = 0
local function tick() ticks = ticks + 1 end

describe("many of them cost no more each:", function()
  local scheduler, frozen, told

  local function open()
    local handle = core.new { base_url = "http://127.0.0.1:1", api_key = "k" }
    scheduler = schedulers.new(handle, function() return frozen or core.now() end,
      { observer = observers.new(), on_job_error = function() told = told + 1 end })
  end

  before_each(function()
    frozen, told = nil, 0
    open()
  end)
  after_each(function() scheduler:close() end)

  -- A job whose instructions count.
  local function spawn(fn, ...)
    return scheduler:spawn(function(...)
      debug.sethook(tick, "", STEP)
      return fn(...)
    end, ...)
  end

  -- Instructions that the function which `fn(n)` returns takes for each of `n`.
  local function cost(fn, n)
    local act = fn(n)
    ticks = 0
    debug.sethook(tick, "", STEP)
    act()
    debug.sethook()
    return ticks * STEP / n
  end

  local function stays(fn, times)
    if JIT then return pending("LuaJIT counts no instructions in what it has compiled") end
    local few, many = cost(fn, FEW), cost(fn, FEW * (times or TIMES))
    assert.is_true(many <= 1.5 * few + 50, ("%.0f instructions each, and %.0f of many"):format(few, many))
  end

  local function sleepers(n)
    local jobs = {}
    for i = 1, n do jobs[i] = spawn(function() scheduler:sleep_until(core.now() + 3600) end) end
    while scheduler:has_ready() do scheduler:step(0) end
    return jobs
  end

  local function line(n, act)
    local ctx, semaphore = { scheduler = scheduler }, semaphores.new(8, "a place")
    local jobs = {}
    for i = 1, n do
      jobs[i] = spawn(function()
        local leave = semaphores.enter(ctx, semaphore, "x")
        if act then act() else scheduler:sleep_until(core.now()) end
        leave()
      end)
    end
    return jobs
  end

  it("calls in a line", function()
    stays(function(n)
      line(n)
      return function() assert(scheduler:run()) end
    end)
  end)

  it("calls that leave a line from its end, and those that stay get their turn", function()
    stays(function(n)
      local go, entered = false, 0
      local jobs = line(n + 100, function()
        while not go do scheduler:sleep_until(core.now() + 0.01) end
        entered = entered + 1
      end)
      while scheduler:has_ready() do scheduler:step(0) end
      return function()
        for i = #jobs, 101, -1 do jobs[i]:cancel() end
        debug.sethook()
        go = true
        assert(scheduler:run())
        assert.equal(100, entered)
      end
    end)
  end)

  it("exchanges, while others wait in line for them", function()
    local sim = simulator.start()
    local client = helper.client(sim)
    scheduler:close()
    stays(function(n)
      -- The client's own scheduler is not to be had from outside; its limit of downloads is such a line.
      local done = 0
      for i = 1, n do
        client:spawn(function()
          debug.sethook(tick, "", STEP)
          assert(client:download(sim.media_url .. "/media/blob/1024/" .. i .. ".mp4", function() end))
          done = done + 1
        end)
      end
      return function()
        assert(client:run())
        assert.equal(n, done)
      end
    end, 8)
    client:close()
    sim:stop()
  end)

  it("jobs that end", function()
    stays(function(n)
      for i = 1, n do spawn(function() return i end) end
      return function() assert(scheduler:run()) end
    end)
  end)

  -- `next` goes through all places of a table in which something was, and that counts as one instruction.
  it("jobs that end, of which none is looked for", function()
    local looked, was_next, was_pairs, loaded = 0, next, pairs, {}
    local function watch(fn)
      return function(t, ...)
        if t == scheduler.jobs then looked = looked + 1 end
        return fn(t, ...)
      end
    end
    for name, module in pairs(package.loaded) do
      if name:find "^veo%.async" then loaded[name], package.loaded[name] = module, nil end
    end
    _G.next, _G.pairs = watch(next), watch(pairs) -- luacheck: ignore 122
    schedulers = require "veo.async.scheduler"
    _G.next, _G.pairs = was_next, was_pairs -- luacheck: ignore 122
    scheduler:close()
    open()
    local jobs = sleepers(1000)
    looked = 0
    for i = 1, 500 do
      assert(scheduler:is_waiting())
      jobs[i]:cancel()
    end
    scheduler:close()
    assert.is_false(scheduler:is_waiting())
    assert.is_true(looked < 5, looked .. " times")
    for name, module in pairs(loaded) do package.loaded[name] = module end
    schedulers = require "veo.async.scheduler"
  end)

  it("waits for one job that give up", function()
    stays(function(n)
      local slow = spawn(function() scheduler:sleep_until(core.now() + 3600) end)
      local given_up = 0
      frozen = core.now()
      for i = 1, n do
        spawn(function()
          local _, err = slow:wait((n - i) * 1e-6) -- the last first
          assert.equal("timeout", err.code)
          given_up = given_up + 1
        end)
      end
      while scheduler:has_ready() do scheduler:step(0) end
      frozen = nil
      return function()
        while given_up < n do scheduler:step(1) end
        slow:cancel()
      end
    end)
  end)

  it("failures that nobody has asked about yet", function()
    stays(function(n)
      frozen = core.now()
      for _ = 1, n do spawn(function() error("boom", 0) end) end
      while scheduler:has_ready() do scheduler:step(0) end
      return function()
        for _ = 1, n do scheduler:step(0) end
        frozen, told = nil, 0
        assert(scheduler:run())
        assert.equal(n, told)
      end
    end)
  end)

  -- 96 each, out of a heap of as many 240.
  it("deadlines that come in their order, to take out in it", not JIT and function()
    local each = cost(function(n)
      local timers = heaps.new()
      for i = 1, n do timers:add { due = i } end
      return function()
        for _ = 1, n do timers:remove(timers:first()) end
      end
    end, FEW * TIMES)
    assert.is_true(each < 150, each .. " instructions")
  end or nil)

  -- 3.5 KiB, of which the coroutine has 2.1, and 0.59; with the last status as a table, and room for more fields in a
  -- job, 4.0 and 0.83.
  it("waits that sleep, in memory", _VERSION == "Lua 5.4" and function()
    local sim, polls, ids, others = simulator.start(), 0, {}, {}
    local client = helper.client(sim, { rate = { polls = false }, wait = { interval = 3600, max_interval = 3600,
      timeout = 7200 }, log = function(event) polls = polls + (event.event == "poll" and 1 or 0) end })
    for i = 0, 500 do
      ids[i], others[i] = "many" .. i, "more" .. i
      sim:add { taskId = ids[i], render = 1e6 }
      sim:add { taskId = others[i], render = 1e6 }
    end
    local function memory()
      for _ = 1, 3 do collectgarbage() end
      return collectgarbage "count"
    end
    -- KiB that each of 500 takes once it was looked at.
    local function weighed(begin)
      local before, after = memory(), polls + 500
      begin()
      helper.step_until(client, function() return polls == after end)
      for _ = 1, 100 do client:step(0) end
      return (memory() - before) / 500
    end
    client:spawn(function() client:wait(ids[0]) end)
    helper.step_until(client, function() return polls == 1 end)
    local each = weighed(function()
      for i = 1, 500 do client:spawn(function() client:wait(ids[i]) end) end
    end)
    local of_many = weighed(function() client:spawn(client:wait_each(others)) end)
    client:close()
    sim:stop()
    assert.is_true(each < 3.7, each .. " KiB")
    assert.is_true(of_many < 0.65, of_many .. " KiB of an id in wait_each")
  end or nil)
end)
