-- Raw sockets that mean harm, of every kind that spec/support/hostile.lua has, while one program orders, waits, is called
-- back and saves. VEO_FIGURES=1 tells the longest turn for each kind alone, by the thread's CPU (and the wall clock): with
-- Lua's collector aside, with its steps made finer as the README advises, and as Lua has it.

local cqueues = require "cqueues"
local hostile = require "spec.support.hostile"
local helper = require "spec.support.helper"
local receivers = require "veo.receiver"
local simulator = require "veo.simulator"
local turns = require "spec.support.turns"

local KEY = "whsec-42"
local FEW = #hostile.names() -- one of each kind, and less than a receiver serves at once
local MANY = 500
-- Seconds of its thread's CPU for which one turn may hold the loop.
local TURN = 0.025
-- More than that, and the heap is collected between two turns.
local HEAP = 64 * 1024

local function running(step, size)
  collectgarbage("restart")
  if _VERSION == "Lua 5.4" then collectgarbage("incremental", 200, step, size) end
end

-- How Lua's collector is set: with the others its steps are in the turns of whoever allocates.
local COLLECTORS = {
  aside = function() collectgarbage("stop") end,
  default = function() running(100, 13) end,
  fine = function() running(20, 10) end, -- as the README advises
}

-- Only a callback ends a wait in time.
local LATE = { first = 300, interval = 300, max_interval = 300, timeout = 600 }

describe("under attack", function()
  local sim, client, dir, attack

  -- At the service's own speed: it waits 15 s for an answer to a callback, and three callbacks are all.
  setup(function() sim = simulator.start { render = 1, rate = false, webhook_key = KEY } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    dir = helper.folder()
    client = helper.client(sim, { webhook_key = KEY, wait = LATE })
  end)
  after_each(function()
    COLLECTORS.default()
    if attack then attack:close() end
    attack = nil
    client:close()
  end)

  local function order(url)
    return client:spawn(function()
      local task = assert(client:extend { taskId = sim.source, prompt = "x", callBackUrl = url })
      local status = assert(client:wait(task))
      return assert(client:download(status, dir .. "/a.mp4"))
    end)
  end

  -- Runs a receiver under attack until an order of its client's is saved. Returns its loop.
  local function endure(count, kind, collector)
    local called = 0
    local loop = turns.loop()
    local receiver = assert(receivers.new { client = client, loop = loop,
      on_status = function() called = called + 1 end })
    local beats = 0
    loop.loop:wrap(function() -- not timed
      while not receiver.closed do
        cqueues.sleep(0.01)
        beats = beats + 1
        if collector == "aside" and collectgarbage("count") > HEAP then
          collectgarbage()
          collectgarbage("stop")
        end
      end
    end)
    attack = hostile.start(helper.lua(), receiver.port, "/veo/callback", count, kind)
    local job, deadline = order(receiver.url), helper.now() + 120
    collectgarbage()
    COLLECTORS[collector]()
    repeat
      receiver:run(0.1)
    until job:status() ~= "pending" and called > 0 and beats > 10 or helper.now() > deadline
    attack:close()
    attack = nil
    receiver:close()
    assert.equal("done", job:status())
    assert(job:result())
    assert.is_true(called >= 1) -- no look would have seen the end by then
    assert.is_true(beats > 10, beats)
    return loop
  end

  local function afresh()
    client:close()
    sim:reset()
    dir = helper.folder()
    client = helper.client(sim, { webhook_key = KEY, wait = LATE })
  end

  -- What a connection costs, it costs each time; what the machine adds (an interrupt, a cold cache) comes by chance. So
  -- it is the least of three runs that counts.
  local function longest_turn(count, kind, collector)
    local least
    for n = 1, 3 do
      if n > 1 then afresh() end
      local loop = endure(count, kind, collector)
      if not least or loop.cpu < least.cpu then least = loop end
      if least.cpu <= TURN then break end
    end
    return least
  end

  for _, count in ipairs { FEW, MANY } do
    it(("the receiver goes on: none of %d holds its loop, the service gets through #timing"):format(count), function()
      local longest = longest_turn(count, nil, "aside").cpu
      -- 0.7 to 4.1 ms, mostly 1 to 2, also under a load of 13; quadratic reading took 3.6 and 36 s
      assert.is_true(longest <= TURN, longest)
    end)
  end

  it("the receiver goes on with the collector's steps in its turns #timing", function()
    local longest = longest_turn(MANY, nil, "fine").cpu
    -- 1 to 4.4 ms; with Lua's own setting 3 to 15. The steps of another Lua are what they are.
    assert.is_true(longest <= TURN or _VERSION ~= "Lua 5.4", longest)
  end)

  it("the simulator goes on", function()
    attack = hostile.start(helper.lua(), sim.port, helper.EXTEND, MANY)
    os.execute "sleep 0.5" -- of an attack
    local polling = helper.client(sim, { wait = { timeout = 60 } })
    local job = polling:spawn(function()
      return polling:extend_and_save({ taskId = sim.source, prompt = "x" }, dir .. "/a.mp4")
    end)
    helper.step_until(polling, function() return job:status() ~= "pending" end)
    assert(job:result())
    polling:close()
    assert.equal(1, #select(2, sim:charges()))
  end)

  if os.getenv "VEO_FIGURES" then
    for _, kind in ipairs(hostile.names()) do
      it(kind, function()
        local line, loops = ("%-34s"):format(kind), {}
        for n, collector in ipairs { "aside", "fine", "default" } do
          if n > 1 then afresh() end
          local loop = collector == "default" and endure(MANY, kind, collector) or longest_turn(MANY, kind, collector)
          loops[collector] = loop
          line = line .. (" %s %5.2f (%5.2f) ms"):format(collector, loop.cpu * 1000, loop.wall * 1000)
        end
        io.stderr:write(line, "\n")
        assert.is_true(loops.aside.cpu <= TURN, loops.aside.cpu)
        assert.is_true(loops.fine.cpu <= TURN or _VERSION ~= "Lua 5.4", loops.fine.cpu)
      end)
    end
  end
end)
