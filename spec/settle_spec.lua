-- Uncertain orders: settled by a person, adopted by a callback.

local adopt = require "veo.adopt"
local kit = require "spec.support.kit"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("an uncertain order", function()
  local sim, place, client
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    kit.sweep()
  end)
  before_each(function()
    sim:reset()
    place = kit.folder() .. "/renders.db"
    client = kit.client(sim, { ledger = place })
  end)
  after_each(function() client:close() end)

  -- Charged at the service, its answer lost; returns its reference and the task that nobody told us of.
  local function lose(more)
    sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
    local params = { taskId = sim.source, prompt = "lost " .. os.time() .. math.random() }
    for name, value in pairs(more or {}) do params[name] = value end
    local _, err = client:extend(params)
    assert.equal("uncertain", err.code)
    local _, list = sim:charges()
    return err.ref, list[#list].taskId, list[#list]
  end

  it("stays visible until it is settled", function()
    local ref = lose()
    for _ = 1, 3 do
      assert.equal(ref, assert(client:tasks { state = "uncertain" })[1].ref)
      assert.equal(ref, assert(client:resume()).uncertain[1].ref)
    end
    assert.equal(1, sim:count("POST", kit.EXTEND))
  end)

  it("is settled with a taskId that the service knows", function()
    local ref, taskId = lose()
    local record = assert(client:settle(ref, taskId))
    assert.equal(taskId, record.taskId)
    assert.truthy(record.state == "done" or record.state == "accepted")
    assert.equal(0, #client:tasks { state = "uncertain" })
    assert(client:wait(taskId))
    assert.equal("done", ledgers.states(place))
  end)

  it("is not settled with a taskId that the service does not know", function()
    local ref = lose()
    local _, err = client:settle(ref, "no-such-task")
    assert.equal("not_found", err.code)
    assert.equal("uncertain", ledgers.states(place))
  end)

  it("is not settled with a task that belongs to another order", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "another" })
    local ref = lose()
    local _, err = client:settle(ref, task.taskId)
    assert.same({ "invalid", "taskId" }, { err.code, err.field })
  end)

  it("is settled as lost, once", function()
    local ref = lose()
    assert.equal("lost", assert(client:settle(ref, "lost")).state)
    assert.equal("invalid", select(2, client:settle(ref, "lost")).code)
    assert.equal("invalid", select(2, client:settle(ref, "saved")).code)
  end)

  it("only an uncertain order can be lost; a task can be saved elsewhere", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "a" })
    assert.equal("invalid", select(2, client:settle(task.ref, "lost")).code)
    assert.equal("saved", assert(client:settle(task, "saved")).state)
    assert.equal("invalid", select(2, client:settle("none", "lost")).code)
    assert.has_error(function() client:settle(task.ref) end)
    assert.has_error(function() client:settle(nil, "lost") end)
  end)

  it("whose reply named a task is adopted by resume", function()
    sim:script { { on = "extend", code = 500, charge = true, times = 1 } }
    local _, err = client:extend { taskId = sim.source, prompt = "named" }
    assert.equal("uncertain", err.code)
    local _, list = sim:charges()
    ledgers.query(place, "UPDATE veo_tasks SET task_id = ?", list[1].taskId)
    local summary = assert(client:resume())
    assert.equal(1, summary.adopted)
    assert.equal("done", ledgers.states(place))
  end)

  it("that was given up as lost is found again, without its key", function()
    sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
    local _, err = client:extend({ taskId = sim.source, prompt = "a" }, { key = "k" })
    assert(client:settle(err.ref, "lost"))
    local again = assert(client:extend({ taskId = sim.source, prompt = "a" }, { key = "k" }))
    local _, list = sim:charges()
    local record = assert(client:settle(err.ref, list[1].taskId))
    assert.same({ list[1].taskId, nil }, { record.taskId, record.key })
    assert.equal(again.taskId, assert(client:extend({ taskId = sim.source, prompt = "a" }, { key = "k" })).taskId)
  end)

  describe("with a callback URL", function()
    it("goes out with its reference, and only with a ledger", function()
      assert(client:extend { taskId = sim.source, prompt = "a", callBackUrl = "http://127.0.0.1:1/hook?user=7#here" })
      local ref = ledgers.query(place, "SELECT ref FROM veo_tasks")[1].ref
      local plain = kit.client(sim)
      assert(plain:extend { taskId = sim.source, prompt = "b", callBackUrl = "http://127.0.0.1:1/hook?user=7" })
      plain:close()
      local sent = sim:requests { method = "POST", path = kit.EXTEND }
      assert.equal("http://127.0.0.1:1/hook?user=7&veo_ref=" .. ref .. "#here", sent[1].json.callBackUrl)
      assert.equal("http://127.0.0.1:1/hook?user=7", sent[2].json.callBackUrl)
      -- What is compared has no reference in it.
      local _, err = client:extend { taskId = sim.source, prompt = "a",
        callBackUrl = "http://127.0.0.1:1/hook?user=7#here" }
      assert.equal("duplicate", err.code)
    end)

    -- The rooms below client:callback: what it does once it has verified and looked.
    local function context()
      local found
      local function find(value)
        if type(value) == "table" and rawget(value, "scheduler") then found = value end
      end
      for _, value in pairs(client) do find(value) end
      return found
    end

    it("is adopted by what it names, once the service's record was seen", function()
      local ref, taskId, charge = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local target = charge.callBackUrl:match("^http://[^/]*(.*)$")
      assert.truthy(target:find(ref, 1, true))
      assert.is_nil(adopt.callback(context(), taskId, nil, target)) -- nothing was confirmed
      assert.equal("uncertain", ledgers.states(place))
      local status = assert(client:wait(taskId))
      assert.equal("uncertain", ledgers.states(place))
      local record = assert(adopt.callback(context(), taskId, status, target))
      assert.same({ ref, taskId, "done" }, { record.ref, record.taskId, record.state })
      -- Again, in any order, changes nothing.
      assert.equal("done", assert(adopt.callback(context(), taskId, status, target)).state)
      assert.equal("done", assert(adopt.callback(context(), taskId, status)).state)
    end)

    it("is adopted by the reference in the record's own parameters", function()
      local ref, taskId = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local status = assert(client:wait(taskId))
      assert.equal(ref, assert(adopt.callback(context(), taskId, status)).ref)
    end)

    it("does not take the task of another order", function()
      local task = assert(client:extend { taskId = sim.source, prompt = "mine" })
      local ref = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local status = assert(client:wait(task))
      adopt.callback(context(), task.taskId, status, "/hook?veo_ref=" .. ref)
      assert.equal("uncertain", assert(client:tasks { ref = ref })[1].state)
    end)
  end)
end)
