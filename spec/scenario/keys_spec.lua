-- A key belongs to whatever may be paid under it, whoever has given which of its orders up; and an order that stands in
-- the way for ever has a way out. Counted at the simulator, on both databases where these have a part in it.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

describe("the key of an order", function()
  local sim, server, place, clients

  setup(function()
    sim, server = simulator.start { speed = 10000, rate = false }, postgres.start()
  end)
  teardown(function()
    sim:stop()
    server:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    clients = {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local places = {}
  function places.sqlite() return helper.folder() .. "/renders.db" end
  function places.postgresql() return ledgers.fresh(server) end

  local function new(more)
    local options = { ledger = place, webhook_key = false }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim, options)
    return clients[#clients]
  end
  local function charges() return select(2, sim:charges()) end
  local function extend(client, more, options)
    local params = { taskId = sim.source, prompt = "the boat turns" }
    for name, value in pairs(more or {}) do params[name] = value end
    return client:extend(params, options or { key = "shot" })
  end
  local function lose(more, ...)
    local rule = { on = "extend", close = "unanswered", charge = true, times = 1 }
    for name, value in pairs(more or {}) do rule[name] = value end
    rule.close = rule.close or nil
    sim:script { rule, ... }
  end
  local function joins(client, taskId, count)
    local task = assert(extend(client))
    assert.same({ taskId, true, count or 1 }, { task.taskId, task.joined, #charges() })
  end
  local function call_back(client, taskId, charge)
    local body = ('{"code":200,"msg":"ok","data":{"taskId":"%s","info":{"resultUrls":[]}}}'):format(taskId)
    assert(client:callback({}, body, { target = charge.callBackUrl:match("^http://[^/]*(.*)$") }))
  end
  local HOOK = { callBackUrl = "http://127.0.0.1:9/hook" }

  for kind, place_of in pairs(places) do
    local function case(name, fn)
      needs.block(kind, it)(name .. ", on " .. kind, function()
        place = place_of()
        fn(new())
      end)
    end
    local function on_sqlite(...) if kind == "sqlite" then case(...) end end

    case("comes back with the task of an order that was given up", function(client)
      lose()
      local _, err = extend(client)
      assert(client:settle(err.ref, "lost"))
      assert.equal("shot", assert(client:settle(err.ref, charges()[1].taskId)).key)
      joins(client, charges()[1].taskId)
    end)

    case("comes back with the callback of an order that was refused", function(client)
      lose { close = false, code = 400 }
      local _, err = extend(client, HOOK)
      assert.equal("rejected", err.code)
      call_back(client, charges()[1].taskId, charges()[1])
      local task = assert(extend(client, HOOK))
      assert.same({ charges()[1].taskId, true, 1 }, { task.taskId, task.joined, #charges() })
    end)

    case("goes to the row that a callback makes beside an order given up", function(client)
      lose()
      local _, err = extend(client, HOOK)
      assert(client:settle(err.ref, "lost"))
      call_back(client, charges()[1].taskId, charges()[1])
      assert.equal("lost", client:tasks({ ref = err.ref })[1].state)
      local task = assert(extend(client, HOOK))
      assert.same({ charges()[1].taskId, true, 1 }, { task.taskId, task.joined, #charges() })
    end)

    -- A pruned row no longer says what it ordered, so nothing contradicts a callback that names another order's task.
    case("has one row for the task that a callback named for another order first", function(client)
      local first = assert(extend(client, HOOK, { key = "first" }))
      assert(client:wait(first))
      assert(client:settle(first.ref, "saved"))
      assert.equal(1, assert(client:prune { before = os.time() + 100 }).pruned)
      sim:script { { on = "extend", delay = 0.3, times = 1 } }
      local other, folder = new(), helper.folder()
      local job = other:spawn(extend, other, { prompt = "the harbour" })
      helper.step_until(other, function() return #charges() == 2 end)
      local taskId = charges()[2].taskId
      call_back(client, taskId, charges()[1])
      assert.equal(1, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
      helper.step_until(other, function() return job:status() ~= "pending" end)
      local task, rows = assert(job:result()), {}
      for _, row in ipairs(client:tasks { taskId = taskId }) do
        if row.state ~= "lost" then rows[#rows + 1] = row end
      end
      assert.same({ taskId, 1 }, { task.taskId, #rows })
      assert.same({ task.ref, "saved", "shot" }, { rows[1].ref, rows[1].state, rows[1].key })
      assert.same({ 2, 120 }, { #charges(), assert(client:spent()).credits })
      assert.is_true(assert(client:download(taskId, folder .. "/" .. taskId .. ".mp4")).already)
    end)

    case("stays with the order that was made under it meanwhile", function(client)
      lose()
      local _, err = extend(client)
      assert(client:settle(err.ref, "lost"))
      local again = assert(extend(client))
      assert.is_nil(assert(client:settle(err.ref, charges()[1].taskId)).key)
      joins(client, again.taskId, 2)
    end)

    -- The first try's answer is lost, the second is on its way: `meanwhile`, then what became of the second.
    local function during_repeat(rule, first, meanwhile)
      rule.on, rule.delay, rule.times = "extend", 0.3, 1
      lose(first, rule)
      local client, other = new { retry = { base = 0.01, attempts = 2, ambiguous = true } }, new()
      local job = client:spawn(extend, client)
      helper.step_until(client, function() return sim:count("POST", helper.EXTEND) == 2 end)
      local second = meanwhile(other, other:tasks({ state = "uncertain" })[1].ref)
      helper.step_until(client, function()
        other:step(5)
        return job:status() == "done" and (not second or second:status() == "done")
      end)
      return other, job, second
    end

    case("goes to the repeat that is on its way when the first try is given up", function()
      local _, job, second = during_repeat({}, { charge = false }, function(other, ref)
        assert(other:settle(ref, "lost"))
        return other:spawn(extend, other)
      end)
      local task = assert(job:result())
      assert.same({ task.taskId, true, 1 }, { second:result().taskId, second:result().joined, #charges() })
    end)

    case("goes back when the first try has its task and the repeat is refused", function()
      local other = during_repeat({ code = 402 }, nil, function(other, ref)
        assert(other:settle(ref, "lost"))
        assert(other:settle(ref, charges()[1].taskId))
      end)
      joins(other, charges()[1].taskId)
    end)

    case("stays with a repeat whose process died when the first try is given up", function()
      lose({ charge = false }, { on = "extend", close = "unanswered", charge = true, times = 1 })
      local client = new { retry = { base = 0.01, attempts = 2, ambiguous = true } }
      extend(client)
      local first = client:tasks({ key = "shot" })[1].ref
      ledgers.query(place, "UPDATE veo_tasks SET state = 'intent', sending = 1, lease = 0 WHERE repeats IS NOT NULL")
      assert(client:settle(first, "lost"))
      local _, err = extend(client)
      assert.same({ "uncertain", 1 }, { err.code, #charges() })
    end)

    -- An order that stands in the way ----------------------------------------------------------------------------------

    -- As if its answer had come long ago.
    local function age()
      ledgers.query(place, "UPDATE veo_tasks SET created = created - 100, updated = updated - 100")
    end

    case("is free once its task, which the service does not know, is given up", function(client)
      local task = assert(extend(client))
      sim:reset()
      local _, err = client:settle(task.ref, "lost")
      assert.equal("invalid", err.code)
      assert.matches("does not know its task " .. task.taskId .. " yet", err.message, 1, true)
      age()
      _, err = new():extend_and_save({ taskId = sim.source, prompt = "the boat turns" }, helper.folder() .. "/boat.mp4",
        { key = "shot", wait = { grace = 0 } })
      assert.equal("not_found", err.code)
      assert.matches(('client:settle("%s", "lost")'):format(task.ref), err:explain(), 1, true)
      assert.equal("lost", assert(client:settle(task.ref, "lost")).state)
      assert.is_nil(assert(extend(client)).joined)
      assert.equal(1, #charges()) -- since the reset
    end)

    on_sqlite("is not freed while the service knows its task, but by force", function(client)
      local task = assert(extend(client))
      age()
      local _, err = client:settle(task.ref, "lost")
      assert.same({ "invalid", "ref" }, { err.code, err.field })
      assert.matches("the service knows its task " .. task.taskId .. ".*force = true", err.message)
      joins(client, task.taskId)
      assert(client:wait(task))
      assert.equal("invalid", select(2, client:settle(task.ref, "lost")).code)
      assert.equal("lost", assert(client:settle(task.ref, "lost", { force = true })).state)
    end)

    on_sqlite("is not freed when the service does not say", function(client)
      local task = assert(extend(client))
      age()
      sim:script { { on = "status", code = 500 } }
      assert.equal("server", select(2, client:settle(task.ref, "lost", { retry = { attempts = 1 } })).code)
      sim:script {}
      joins(client, task.taskId)
    end)

    -- A clock that is off ----------------------------------------------------------------------------------------------

    -- As the order stands in the ledger of a machine whose clock is fast.
    local function fast(seconds)
      ledgers.query(place, "UPDATE veo_tasks SET created = created + " .. seconds)
    end

    on_sqlite("is its answer's candidate's, also by a clock that is ten minutes fast", function(client)
      lose { close = false, task_id_form = "bare" }
      assert.equal("uncertain", select(2, extend(client)).code)
      fast(600)
      assert.equal(1, assert(client:resume()).adopted)
      joins(client, charges()[1].taskId)
    end)

    on_sqlite("is not a candidate's that is days older", function(client)
      lose { close = false, task_id_form = "bare" }
      extend(client)
      fast(2 * 86400)
      assert.equal(0, assert(client:resume()).adopted)
      assert.equal("uncertain", select(2, extend(client)).code)
    end)

    on_sqlite("is that of a callback with its reference, also by a clock that is ten minutes fast", function(client)
      lose()
      extend(client, HOOK)
      fast(600)
      local charge = charges()[1]
      sim:script { { on = "status",
        data = { taskId = charge.taskId, successFlag = 0, createTime = os.time() * 1000 } } }
      call_back(client, charge.taskId, charge)
      local task = assert(extend(client, HOOK))
      assert.same({ charge.taskId, true, 1 }, { task.taskId, task.joined, #charges() })
    end)
  end
end)
