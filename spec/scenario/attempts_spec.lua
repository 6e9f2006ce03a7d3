-- What an error says of money is the sum of its attempts: after one that may have been charged, nothing that follows
-- makes the call free. The simulator counts what it charged.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

-- What the service says to the second attempt, and the code of that.
local REFUSALS = { [400] = "rejected", [401] = "unauthorized", [402] = "insufficient_credits", [422] = "rejected",
  [429] = "rate_limited", [433] = "key_limit" }
local AGAIN = { attempts = 2, ambiguous = true }

describe("an order sent again after its answer was lost", function()
  local sims, server, clients, sim = {}, nil, {}, nil

  setup(function()
    sims.plain = simulator.start { speed = 10000, rate = false }
    sims.tls = simulator.start { speed = 10000, rate = false, tls = true }
    server = postgres.start()
  end)
  teardown(function()
    for _, one in pairs(sims) do one:stop() end
    server:stop()
    helper.sweep()
  end)
  before_each(function()
    sim = sims.plain
    for _, one in pairs(sims) do one:reset() end
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
    clients = {}
  end)

  local places = {}
  function places.sqlite() return helper.folder() .. "/renders.db" end
  function places.postgresql() return ledgers.fresh(server) end

  local function new(more)
    clients[#clients + 1] = helper.client(sim, more)
    return clients[#clients]
  end
  local function charged()
    local _, list = sim:charges()
    return #list
  end
  local function extend(client, options)
    return client:extend({ taskId = sim.source, prompt = "the boat turns" }, options)
  end
  local function lose(...)
    sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 }, ... }
  end

  local function is_open(err, cause)
    assert.same({ "uncertain", "maybe", cause }, { err.code, err.charged, err.cause.code })
    assert.is_true(errors.is(err.cause))
    assert.matches("may have been charged", err:explain(), 1, true)
    assert.is_nil(err:explain():find("costs nothing", 1, true))
  end

  for listener in pairs { plain = true, tls = true } do
    for code, class in pairs(REFUSALS) do
      it("is uncertain although the service then said " .. code .. ", over " .. listener, function()
        sim = sims[listener]
        lose { on = "extend", code = code }
        local _, err = extend(new { retry = AGAIN })
        is_open(err, class)
        assert.same({ 2, code, 1, 2 }, { err.attempts, err.cause.service_code, charged(),
          sim:count("POST", helper.EXTEND) })
      end)
    end
  end

  for kind, place_of in pairs(places) do
    local it = needs.block(kind, it)
    for code, class in pairs(kind == "sqlite" and REFUSALS or { [402] = REFUSALS[402], [429] = REFUSALS[429] }) do
      it("keeps key, price and row when the service then says " .. code .. ", on " .. kind, function()
        local place = place_of()
        lose { on = "extend", code = code, times = 1 }
        local client = new { ledger = place, max_credits = { client = 130, day = 130 }, retry = AGAIN }
        local _, err = extend(client, { key = "shot" })
        is_open(err, class)
        local first = client:tasks({ state = "uncertain" })[1]
        assert.same({ err.ref, "shot", 60, "uncertain refused" }, { first.ref, first.key, first.price,
          ledgers.states(place) })
        local _, again = extend(client, { key = "shot" })
        assert.same({ "uncertain", err.ref, 1 }, { again.code, again.ref, charged() })
        -- 60 of 130 stay reserved: one more order has its place, and no second one.
        assert(client:extend { taskId = sim.source, prompt = "another" })
        assert.equal("budget", select(2, client:extend { taskId = sim.source, prompt = "a third" }).code)
        assert.equal(2, charged())
      end)
    end

    it("gives its key to the task that the second attempt made, on " .. kind, function()
      local place = place_of()
      lose()
      local client = new { ledger = place, retry = AGAIN }
      local task = assert(extend(client, { key = "shot" }))
      assert.equal("uncertain accepted", ledgers.states(place))
      local rows = client:tasks()
      assert.same({ "shot", rows[1].ref }, { rows[2].key, rows[2].repeats })
      assert.is_nil(rows[1].key)
      assert.equal(task.taskId, assert(extend(client, { key = "shot" })).taskId)
      assert.equal(2, charged()) -- which is what the word risks
    end)

    it("that is lost too has one key for both, on " .. kind, function()
      local place = place_of()
      lose { on = "extend", close = "unanswered", charge = true, times = 1 }
      local client = new { ledger = place, retry = AGAIN }
      local _, err = extend(client, { key = "shot" })
      assert.same({ "uncertain", 2, 2 }, { err.code, err.attempts, charged() })
      assert(client:settle(err.ref, "lost"))
      local _, second = extend(client, { key = "shot" })
      assert.equal("uncertain", second.code)
      assert.not_equal(err.ref, second.ref)
      assert(client:settle(second.ref, "lost"))
      assert(extend(client, { key = "shot" }))
      assert.equal(3, charged())
    end)

    it("is not sent again when its task became known meanwhile, on " .. kind, function()
      local place = place_of()
      lose()
      local client = new { ledger = place, retry = AGAIN, log = function(event)
        if event.event ~= "retry" then return end
        local _, list = sim:charges()
        ledgers.query(place, "UPDATE veo_tasks SET state = 'accepted', task_id = ?", list[1].taskId)
      end }
      local task = assert(extend(client, { key = "shot" }))
      assert.same({ true, 1, 1 }, { task.joined, charged(), sim:count("POST", helper.EXTEND) })
      assert.equal(task.taskId, client:tasks()[1].taskId)
    end)

    it("whose process dies before the second attempt has its key all the same, on " .. kind, function()
      local place = place_of()
      lose { on = "extend", code = 402 }
      extend(new { ledger = place, retry = AGAIN }, { key = "shot" })
      -- As a kill between the intent's commit and its first byte leaves it.
      ledgers.query(place, "UPDATE veo_tasks SET state = 'intent', sending = 0, lease = 0 WHERE state = 'refused'")
      local _, err = extend(new { ledger = place }, { key = "shot" })
      assert.same({ "uncertain", 1 }, { err.code, charged() })
    end)
  end

  for _, ledger in ipairs { false, true } do
    local with = ledger and " with a ledger" or " without a ledger"
    local function options(more)
      more.ledger = ledger and places.sqlite() or nil
      return more
    end

    it("is uncertain when then nobody is there" .. with, function()
      sim = simulator.start { speed = 10000, rate = false }
      lose()
      local count
      local client = new(options { deadline = 1, retry = AGAIN, log = function(event)
        if event.event ~= "retry" or count then return end
        count = charged()
        sim:stop()
      end })
      local _, err = extend(client)
      is_open(err, "network")
      assert.same({ "no", 1, 1 }, { err.cause.sent, count, err.attempts })
    end)

    it("is uncertain when it is then cancelled" .. with, function()
      lose()
      local pausing
      local client = new(options { retry = { base = 30, max = 30, ambiguous = true },
        log = function(event) pausing = pausing or event.event == "retry" end })
      local job = client:spawn(extend, client)
      helper.step_until(client, function() return pausing end)
      job:cancel()
      local _, err = job:wait(60)
      is_open(err, "cancelled")
      assert.equal(1, charged())
    end)

    it("is uncertain when its client is then closed" .. with, function()
      lose { on = "extend", code = 429 }
      local tries = 0
      local client = new(options { retry = { base = 30, max = 30, ambiguous = true }, log = function(event)
        if event.event == "reply" then tries = tries + 1 end
      end })
      local job = client:spawn(extend, client)
      helper.step_until(client, function() return tries == 1 end)
      client:step(20)
      client:close()
      local _, err = job:result()
      is_open(err, err.cause.code)
      assert.equal(1, charged())
    end)

    it("is uncertain when its deadline then passes" .. with, function()
      lose { on = "extend", code = 429, retry_after = 60 }
      local _, err = extend(new(options { retry = { attempts = 9, ambiguous = true } }), { deadline = 5 })
      is_open(err, "rate_limited")
      assert.equal(1, charged())
    end)

    it("is uncertain when then the budget forbids it" .. with, function()
      lose()
      local _, err = extend(new(options { max_credits = 100, retry = AGAIN }))
      is_open(err, "budget")
      assert.same({ 1, 1 }, { charged(), sim:count("POST", helper.EXTEND) })
    end)

    it("keeps the task that the second answer names" .. with, function()
      lose { on = "extend", code = 429, data = { taskId = "named-1" } }
      local _, err = extend(new(options { retry = AGAIN }))
      is_open(err, "rate_limited")
      assert.same({ "named-1", true }, { err.taskId, err.candidate })
    end)
  end

  -- Calls that are made of several -------------------------------------------------------------------------------------

  it("is none of the kind that a 1080P version is: asked again, it says that it may have been charged", function()
    sim:script { { on = "get_1080p", close = "unanswered", charge = true, times = 1 },
      { on = "get_1080p", code = 402 } }
    local _, err = new():task(sim.source):upgrade("1080p")
    assert.same({ "insufficient_credits", "maybe", 1 }, { err.code, err.charged, charged() })
    assert.matches("asking again costs nothing more", err:explain(), 1, true)
  end)

  it("extend_and_wait: what fails behind the order does not make it free", function()
    sim:script { { on = "status", code = 401 } }
    local _, err = helper.extend_and_wait(new(), { taskId = sim.source, prompt = "x" })
    assert.same({ "unauthorized", "yes", 1 }, { err.code, err.charged, charged() })
    assert.is_nil(err:explain():find("costs nothing", 1, true))
  end)

  it("a chain: a refused hop does not make those before it free", function()
    sim:script { { on = "extend", nth = 2, code = 402 } }
    local _, err = new():chain { taskId = sim.source, prompts = { "a", "b" } }
    assert.same({ "insufficient_credits", "yes", 2, 1 }, { err.code, err.charged, err.hop, charged() })
    assert.is_nil(err:explain():find("costs nothing", 1, true))
  end)

  it("a job that is cancelled while it waits has paid its order", function()
    local accepted
    local client = new { log = function(event) accepted = accepted or event.event == "reply" and event.taskId end }
    local job = client:spawn(function()
      return helper.extend_and_wait(client, { taskId = sim.source, prompt = "[sim render=100000]" })
    end)
    helper.step_until(client, function() return accepted end)
    client:step(20)
    job:cancel()
    local _, err = job:result()
    assert.same({ "cancelled", "yes", accepted, 1 }, { err.code, err.charged, err.taskId, charged() })
  end)
end)
