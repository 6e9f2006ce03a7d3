-- Uncertain orders: settled by a person, adopted by a callback.

local settle = require "veo.task.settle"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("an uncertain order", function()
  local sim, place, client
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    place = helper.folder() .. "/renders.db"
    client = helper.client(sim, { ledger = place })
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
    assert.equal(1, sim:count("POST", helper.EXTEND))
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

  describe("compares", function()
    local SAME = "the boat turns"
    local function order() return lose { prompt = SAME } end
    local function refused(ref, taskId, why, options)
      local _, err = client:settle(ref, taskId, options)
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
      assert.matches(why, err.message, 1, true)
      assert.equal("uncertain", ledgers.states(place))
    end

    it("and refuses the order's own source, also by force", function()
      local ref = order()
      refused(ref, sim.source, "own source")
      refused(ref, sim.source, "own source", { force = true })
    end)

    it("and refuses a task of another row, also by force", function()
      local task = assert(client:extend { taskId = sim.source, prompt = "another" })
      local ref = order()
      for _, options in ipairs { { force = false }, { force = true } } do
        local _, err = client:settle(ref, task.taskId, options)
        assert.same({ "invalid", "taskId", "uncertain" },
          { err.code, err.field, client:tasks({ ref = ref })[1].state })
      end
    end)

    for why, record in pairs {
      ["another prompt"] = { prompt = "something else" },
      ["another source"] = { taskId = "other-source", prompt = SAME },
    } do
      it("and refuses " .. why .. ", unless forced", function()
        local ref = order()
        sim:add { taskId = "t1" }
        sim:script { { on = "status", task = "t1", data = { taskId = "t1", successFlag = 0,
          paramJson = require("cjson").encode(record) } } }
        refused(ref, "t1", why)
        assert.equal("t1", assert(client:settle(ref, "t1", { force = true })).taskId)
        local _, list = sim:charges()
        assert.equal(1, #list)
      end)
    end

    it("and refuses what is older than the order, unless forced", function()
      local ref = order()
      sim:script { { on = "status",
        data = { taskId = "old", successFlag = 0, createTime = (os.time() - 120) * 1000 } } }
      refused(ref, "old", "older")
      assert(client:settle(ref, "old", { force = true }))
    end)

    it("and takes what a record does not say for no evidence", function()
      local ref = order()
      sim:script { { on = "status", data = { taskId = "bare", successFlag = 0 } } }
      assert.equal("bare", assert(client:settle(ref, "bare")).taskId)
    end)

    it("and takes a translated prompt for the same", function()
      for _, asked in ipairs { true, "by default" } do
        sim:reset()
        sim:script { { on = "generate", close = "unanswered", charge = true, times = 1 } }
        local _, err = client:generate { prompt = "кот спит " .. tostring(asked),
          enableTranslation = asked == true or nil }
        local _, list = sim:charges()
        sim:script { { on = "status", data = { taskId = list[1].taskId, successFlag = 0,
          paramJson = '{"prompt":"a cat sleeps"}' } } }
        assert(client:settle(err.ref, list[1].taskId))
      end
    end)
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
      local plain = helper.client(sim)
      assert(plain:extend { taskId = sim.source, prompt = "b", callBackUrl = "http://127.0.0.1:1/hook?user=7" })
      plain:close()
      local sent = sim:requests { method = "POST", path = helper.EXTEND }
      assert.equal("http://127.0.0.1:1/hook?user=7&veo_ref=" .. ref .. "#here", sent[1].json.callBackUrl)
      assert.equal("http://127.0.0.1:1/hook?user=7", sent[2].json.callBackUrl)
      -- What is compared has no reference in it.
      assert.is_true(assert(client:extend { taskId = sim.source, prompt = "a",
        callBackUrl = "http://127.0.0.1:1/hook?user=7#here" }).joined)
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
      assert.is_nil(settle.callback(context(), taskId, nil, target)) -- nothing was confirmed
      assert.equal("uncertain", ledgers.states(place))
      local status = assert(client:wait(taskId))
      assert.equal("uncertain", ledgers.states(place))
      local record = assert(settle.callback(context(), taskId, status, target))
      assert.same({ ref, taskId, "done" }, { record.ref, record.taskId, record.state })
      -- Again, in any order, changes nothing.
      assert.equal("done", assert(settle.callback(context(), taskId, status, target)).state)
      assert.equal("done", assert(settle.callback(context(), taskId, status)).state)
    end)

    it("stays with the process that is waiting for its answer", function()
      local other = helper.client(sim, { ledger = place, webhook_key = false })
      sim:script { { on = "extend", delay = 0.5, times = 1 } }
      local job = client:spawn(function()
        return client:extend { taskId = sim.source, prompt = "a", callBackUrl = "http://127.0.0.1:1/hook" }
      end)
      local charge
      helper.step_until(client, function()
        charge = select(2, sim:charges())[1]
        return charge
      end)
      local body = ('{"code":200,"msg":"ok","data":{"taskId":"%s"}}'):format(charge.taskId)
      assert(other:callback({}, body, { target = charge.callBackUrl:match("^%a+://[^/]*(.*)$") }))
      assert.equal("pending", job:status())
      local path = helper.folder() .. "/{taskId}.mp4"
      assert.equal(0, assert(other:resume { path = path }).saved)
      client:run()
      assert.equal(charge.taskId, assert(job:result()).taskId)
      assert.equal(0, assert(other:resume { path = path }).saved)
      assert.equal(1, assert(client:resume { path = path }).saved)
      other:close()
    end)

    it("is adopted by the reference in the record's own parameters", function()
      local ref, taskId = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local status = assert(client:wait(taskId))
      assert.equal(ref, assert(settle.callback(context(), taskId, status)).ref)
    end)

    it("is named by a whole parameter of the query, and by no prompt", function()
      local ref = ("ab"):rep(12)
      local function found(target, params)
        return (settle.reference(target, params and { paramJson = params }))
      end
      assert.equal(ref, found("/hook?user=7&veo_ref=" .. ref))
      assert.equal(ref, found("/hook?veo_ref=" .. ref .. "#x"))
      assert.equal(ref, found("/hook?veo_ref=00&veo_ref=" .. ref)) -- ours is the last
      assert.is_nil(found("/hook?no_veo_ref=" .. ref))
      assert.is_nil(found("/hook?veo_ref=" .. ref .. "z"))
      assert.is_nil(found("/veo_ref=" .. ref))
      assert.is_nil(found("/hook#?veo_ref=" .. ref))
      assert.is_nil(found("/hook", '{"prompt":"?veo_ref=' .. ref .. '"}'))
      assert.is_nil(found("/hook", '{"prompt":"x","watermark":"a?veo_ref=' .. ref .. '"}'))
      assert.equal(ref, found("/hook", '{"prompt":"x","callBackUrl":"http://h/a?veo_ref=' .. ref .. '"}'))
      assert.equal(ref, found("/hook", '{"callBackUrl":"http://h/a?veo_ref=' .. ref .. '","input":{"prompt":"x"}}'))
      -- The record's own counts more than a target, which no signature covers.
      assert.equal(ref, found("/hook?veo_ref=00", '{"callBackUrl":"http://h/a?veo_ref=' .. ref .. '"}'))
    end)

    it("is not adopted through what a prompt says", function()
      local ref = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local task = sim:add { taskId = "t2", prompt = "a poster that says ?veo_ref=" .. ref }
      local status = assert(client:status(task.taskId))
      assert.is_nil(settle.callback(context(), task.taskId, status, "/hook"))
      assert.equal("uncertain", ledgers.states(place))
    end)

    it("does not take a task that its record contradicts for what a target names", function()
      local ref = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      for _, taskId in ipairs { sim.source, sim:add({ taskId = "t3", prompt = "something else" }).taskId } do
        local status = assert(client:status(taskId))
        assert.is_nil(settle.callback(context(), taskId, status, "/hook?veo_ref=" .. ref))
      end
      assert.equal("uncertain", ledgers.states(place))
    end)

    it("does not take the task of another order", function()
      local task = assert(client:extend { taskId = sim.source, prompt = "mine" })
      local ref = lose { callBackUrl = "http://127.0.0.1:1/hook" }
      local status = assert(client:wait(task))
      settle.callback(context(), task.taskId, status, "/hook?veo_ref=" .. ref)
      assert.equal("uncertain", assert(client:tasks { ref = ref })[1].state)
    end)
  end)
end)
