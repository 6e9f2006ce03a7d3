-- max_credits, prices and evidence.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local budgets = require "veo.policy.budget"
local simulator = require "veo.simulator"

describe("the price table", function()
  it("is veo.prices, and veo.money says so", function()
    assert.same(budgets.prices, require("veo").prices)
    for _ = 1, 2 do
      local found, message = pcall(require, "veo.money")
      assert.is_false(found)
      assert.matches("veo%.prices", message)
    end
  end)

  it("is dated and says nothing where it knows nothing", function()
    assert.truthy(budgets.prices.as_of:find("^%d%d%d%d%-%d%d%-%d%d$"))
    assert.equal(60, budgets.price("extend", {}))
    assert.equal(250, budgets.price("extend", { model = "quality" }))
    assert.equal(30, budgets.price("extend", { model = "lite" }))
    assert.equal(120, budgets.price("get_4k", {}))
    assert.equal(60, budgets.price("extend", { model = "veo/extend", input = {} }))
    assert.is_nil(budgets.price("extend", { model = "new" }))
    assert.is_nil(budgets.price("extend", { model = "default" }))
    assert.is_nil(budgets.price("generate", { model = "veo3" }))
  end)

  it("gives way to the client's own prices", function()
    local own = { generate = 80, extend = { fast = 50, new = 70 } }
    assert.equal(80, budgets.price("generate", {}, own))
    assert.equal(50, budgets.price("extend", {}, own))
    assert.equal(70, budgets.price("extend", { model = "new" }, own))
    assert.equal(250, budgets.price("extend", { model = "quality" }, own))
  end)
end)

describe("a price older than 90 days", function()
  local function warnings(prices, operation, limit)
    local told = {}
    local budget = budgets.budget(limit, prices, function(event) told[#told + 1] = event.message end)
    for _ = 1, 2 do budgets.reserve(budget, operation or "extend", {}) end
    return table.concat(told, "\n")
  end
  local function ago(days) return os.date("!%Y-%m-%d", os.time() - days * 86400) end
  local as_of = budgets.prices.as_of
  after_each(function() budgets.prices.as_of = as_of end)

  it("is told of once, of the list that counts", function()
    budgets.prices.as_of = ago(89)
    assert.equal("", warnings())
    budgets.prices.as_of = ago(91)
    assert.matches("^the price of extend counts as it was on " .. ago(91):gsub("%-", "%%-") .. "[^\n]*$", warnings())
    assert.equal("", warnings { extend = 60 }) -- the caller's own, without a date
    assert.matches(ago(100), warnings { as_of = ago(100), extend = 60 }, 1, true)
    assert.equal("", warnings { as_of = ago(2), extend = 60 })
    assert.matches(ago(91), warnings({ as_of = ago(2), generate = 80 }, "extend"), 1, true)
    assert.equal("", warnings(nil, "generate"))
  end)

  it("is told by the client that is held to it", function()
    local told = {}
    local function log(event) if event.event == "warning" then told[#told + 1] = event.message end end
    local sim = simulator.start { speed = 10000 }
    for _, more in ipairs { {}, { max_credits = 100 }, { ledger = helper.folder() .. "/r.db" } } do
      more.prices, more.log = { as_of = "2020-02-20", extend = 60 }, log
      local client = helper.client(sim, more)
      assert(client:extend { taskId = sim.source, prompt = "x" })
      client:close()
    end
    sim:stop()
    helper.sweep()
    assert.equal(2, #told) -- without a limit or a ledger no price counts
    assert.matches("2020%-02%-20", told[1])
    for _, wrong in ipairs { "today", "2026", 20260924 } do
      assert.has_error(function() helper.client("http://127.0.0.1:1", { prices = { as_of = wrong } }) end)
    end
  end)
end)

describe("a budget", function()
  local sim, place, clients
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    place, clients = helper.folder() .. "/renders.db", {}
  end)
  after_each(function() for _, client in ipairs(clients) do client:close() end end)

  local function new(more)
    clients[#clients + 1] = helper.client(sim, more)
    return clients[#clients]
  end
  local count = 0
  local function shot(model)
    count = count + 1
    return { taskId = sim.source, prompt = "shot " .. count, model = model }
  end
  local function posts() return sim:count("POST", helper.EXTEND) end

  it("of a client holds, with and without a ledger", function()
    for _, ledger in ipairs { false, place } do
      sim:reset()
      local client = new { max_credits = 130, ledger = ledger or nil }
      assert(client:extend(shot()))
      assert(client:extend(shot()))
      local _, err = client:extend(shot())
      assert.same({ "budget", 60, 120, 130 }, { err.code, err.price, err.spent, err.limit })
      assert.equal(2, posts())
    end
  end)

  it("counts in thousandths: three times 0.1 fit into 0.3, and not once more", function()
    local client = new { max_credits = 0.3, prices = { extend = 0.1 } }
    sim:script { { on = "extend", code = 400, times = 50 } }
    for _ = 1, 50 do client:extend(shot()) end -- given back, all of it
    for _ = 1, 3 do assert(client:extend(shot())) end
    local _, err = client:extend(shot())
    assert.same({ "budget", 0.1, 0.3, 0.3, 53 }, { err.code, err.price, err.spent, err.limit, posts() })
    assert.matches("0%.1 credits more would exceed max_credits: 0%.3 of this client's 0%.3 are spent", err.message)
    assert.equal(3, select(2, ledgers.charged(sim)))
  end)

  it("rounds a price up to a thousandth, so that no budget is passed bit by bit", function()
    local client = new { max_credits = 0.003, prices = { extend = 0.0004 } }
    for _ = 1, 3 do assert(client:extend(shot())) end
    assert.equal("budget", select(2, client:extend(shot())).code)
  end)

  it("is given back on a refusal, and kept for an uncertain order", function()
    local client = new { max_credits = 60, ledger = place }
    sim:script { { on = "extend", code = 400, times = 1 },
      { on = "extend", close = "unanswered", charge = true, times = 1 } }
    assert.equal("rejected", select(2, client:extend(shot())).code)
    assert.equal("uncertain", select(2, client:extend(shot())).code)
    assert.equal("budget", select(2, client:extend(shot())).code)
    assert.equal(2, posts())
  end)

  it("refuses what it cannot price", function()
    local client = new { max_credits = 1000 }
    local _, err = client:extend(shot "brand-new")
    assert.same({ "budget", "prices" }, { err.code, err.field })
    assert.equal("budget", select(2, client:generate { prompt = "a" }).code)
    assert.equal(0, sim:count("POST"))
    client = new { max_credits = 1000, prices = { generate = 600, extend = { ["brand-new"] = 300 } } }
    assert.equal("rejected", select(2, client:extend(shot "brand-new")).code) -- sent; the service's word
    assert(client:generate { prompt = "a" })
    assert.equal("budget", select(2, client:generate { prompt = "b" }).code)
  end)

  it("of a day is shared by all clients of a ledger", function()
    local limited = { max_credits = { day = 130 }, ledger = place }
    local a, b = new(limited), new(limited)
    assert(a:extend(shot()))
    assert(b:extend(shot()))
    local _, err = a:extend(shot())
    assert.same({ "budget", 120, 130 }, { err.code, err.spent, err.limit })
    assert(a:extend(shot "lite") == nil)
    ledgers.query(place, "UPDATE veo_tasks SET day = day - 1")
    assert(a:extend(shot()))
    assert.equal(3, posts())
  end)

  it("of a day counts 1080P versions, each once, whoever asks", function()
    local limited = { max_credits = { day = 130 }, ledger = place }
    local a, b = new(limited), new(limited)
    for i = 1, 3 do sim:add { taskId = "hd" .. i } end
    sim:script { { on = "get_1080p", task = "hd1", code = 402, times = 1 } }
    assert.equal("insufficient_credits", select(2, a:task("hd1"):upgrade("1080p")).code) -- nothing ordered
    for _, client in ipairs { a, b, a } do assert(client:task("hd1"):upgrade("1080p", { interval = 0.02 })) end
    assert(a:extend(shot()))
    assert(b:extend(shot()))
    assert(a:task("hd2"):upgrade("1080p", { interval = 0.02 }))
    local asked = sim:count("GET", "/api/v1/veo/get-1080p-video")
    local _, err = b:task("hd3"):upgrade("1080p")
    assert.same({ "budget", 130, 130, "no" }, { err.code, err.spent, err.limit, err.sent })
    assert.equal(asked, sim:count("GET", "/api/v1/veo/get-1080p-video"))
    assert(new(limited):task("hd2"):upgrade("1080p", { interval = 0.02 })) -- a client that knows of it by the ledger alone
    ledgers.query(place, "UPDATE veo_charges SET day = day - 1")
    assert(b:task("hd3"):upgrade("1080p", { interval = 0.02 }))
  end)

  it("of a day keeps the price of a 1080P version that may have been ordered", function()
    local client = new { max_credits = { day = 5 }, ledger = place, retry = { attempts = 1 } }
    for i = 1, 2 do sim:add { taskId = "hd" .. i } end
    sim:script { { on = "get_1080p", task = "hd1", close = "unanswered", times = 1 } }
    assert.equal("network", select(2, client:task("hd1"):upgrade("1080p")).code)
    assert.equal("budget", select(2, client:task("hd2"):upgrade("1080p")).code)
    assert(client:task("hd1"):upgrade("1080p", { interval = 0.02 }))
  end)

  it("of a day keeps it too when a later try is refused, or the client is closed meanwhile", function()
    for i = 1, 2 do sim:add { taskId = "hd" .. i } end
    local limited = { max_credits = { day = 5 }, ledger = place }
    sim:script { { on = "get_1080p", task = "hd1", close = "unanswered", times = 1 },
      { on = "get_1080p", task = "hd1", code = 401, times = 1 } }
    local client = new(limited)
    assert.equal("unauthorized", select(2, client:task("hd1"):upgrade("1080p")).code)
    assert.equal("budget", select(2, client:task("hd2"):upgrade("1080p")).code)
    assert.equal("budget", select(2, new(limited):task("hd2"):upgrade("1080p")).code)
    ledgers.query(place, "DELETE FROM veo_charges")
    sim:script { { on = "get_1080p", delay = 0.3 } }
    local closing = new(limited)
    closing:spawn(function()
      closing:sleep(0.1)
      closing:close()
    end)
    assert.equal("closed", select(2, closing:task("hd1"):upgrade("1080p")).code)
    assert.equal("budget", select(2, new(limited):task("hd2"):upgrade("1080p")).code)
  end)

  it("of a day takes nothing from a client that asked the same and was not refused", function()
    for i = 1, 2 do sim:add { taskId = "hd" .. i } end
    local limited = { max_credits = { day = 5 }, ledger = place }
    local a, b = new(limited), new(limited)
    sim:script { { on = "get_1080p", task = "hd1", code = 402, delay = 0.3, times = 1 } }
    local job = a:spawn(function() return a:task("hd1"):upgrade("1080p") end)
    helper.step_until(a, function() return sim:count("GET", "/api/v1/veo/get-1080p-video") == 1 end)
    assert(b:task("hd1"):upgrade("1080p", { interval = 0.02 }))
    assert.equal("insufficient_credits", select(2, job:wait()).code)
    assert.equal("budget", select(2, b:task("hd2"):upgrade("1080p")).code)
    assert.equal(1, #ledgers.query(place, "SELECT ref FROM veo_charges"))
  end)

  it("of a client counts a 1080P version that another asked for and did not get", function()
    for i = 1, 2 do sim:add { taskId = "hd" .. i } end
    local a, b = new { ledger = place }, new { max_credits = 5, ledger = place }
    sim:script { { on = "get_1080p", task = "hd1", code = 402, delay = 0.3, times = 1 } }
    local job = a:spawn(function() return a:task("hd1"):upgrade("1080p") end)
    helper.step_until(a, function() return sim:count("GET", "/api/v1/veo/get-1080p-video") == 1 end)
    assert(b:task("hd1"):upgrade("1080p", { interval = 0.02 }))
    job:wait()
    assert.equal("budget", select(2, b:task("hd2"):upgrade("1080p")).code)
    local c = new { max_credits = 5, ledger = place }
    assert(c:task("hd1"):upgrade("1080p", { interval = 0.02 })) -- known to be ordered: it costs nothing more
    assert(c:task("hd2"):upgrade("1080p", { interval = 0.02 }))
  end)

  it("of a day gives the price of a 1080P version back that was never asked for", function()
    for i = 1, 2 do sim:add { taskId = "hd" .. i } end
    local client = new { max_credits = { day = 5 }, ledger = place, retry = { attempts = 2 } }
    sim:script { { on = "get_1080p", task = "hd1", code = 429 } }
    assert.equal("rate_limited", select(2, client:task("hd1"):upgrade("1080p")).code)
    assert(client:task("hd2"):upgrade("1080p", { interval = 0.02 }))
  end)

  it("of a day lets no 1080P version be ordered while the ledger cannot say", function()
    local client = new { max_credits = { day = 5 }, ledger = helper.folder() .. "/no/such/folder.db" }
    assert.same({ "ledger", "no" }, { select(2, client:task(sim.source):upgrade("1080p")).code,
      select(2, client:task(sim.source):upgrade("1080p")).sent })
    assert.equal(0, sim:count("GET", "/api/v1/veo/get-1080p-video"))
  end)

  it("of a day takes a settled order back", function()
    local client = new { max_credits = { day = 60 }, ledger = place }
    sim:script { { on = "extend", close = "unanswered", times = 1 } }
    local _, err = client:extend(shot())
    assert.equal("budget", select(2, client:extend(shot())).code)
    assert(client:settle(err.ref, "lost"))
    assert(client:extend(shot()))
  end)

  it("holds with many jobs at once", function()
    local client = new { max_credits = 300, ledger = place }
    local good = 0
    for _ = 1, 12 do
      client:spawn(function() if client:extend(shot()) then good = good + 1 end end)
    end
    assert(client:run())
    assert.equal(5, good)
    assert.equal(5, posts())
  end)

  it("is misuse when it means nothing", function()
    for _, wrong in ipairs { { max_credits = -1 }, { max_credits = {} }, { max_credits = { week = 3 } },
      { max_credits = { day = 5 } }, { prices = { extend = "dear" } }, { prices = { extend = { fast = -1 } } } } do
      assert.has_error(function() helper.client(sim, wrong) end)
    end
  end)
end)

describe("evidence", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  it("names the credits before and after an uncertain order", function()
    for _, charge in ipairs { true, false } do
      sim:reset()
      local place = helper.folder() .. "/renders.db"
      local client = helper.client(sim, { ledger = place, evidence = true })
      sim:script { { on = "extend", close = "unanswered", charge = charge, times = 1 } }
      local _, err = client:extend { taskId = sim.source, prompt = "x" }
      assert.equal("uncertain", err.code)
      assert.same({ 10000, charge and 9940 or 10000, charge and 60 or 0, 60 }, { err.evidence.credits_before,
        err.evidence.credits_after, err.evidence.difference, err.evidence.price })
      assert.equal(err.evidence.difference, assert(client:tasks { state = "uncertain" })[1].evidence.difference)
      client:close()
    end
  end)

  it("is not gathered for an order that is cancelled meanwhile: nothing is sent", function()
    for _, place in ipairs { false, helper.folder() .. "/renders.db" } do
      sim:reset()
      sim:script { { on = "credits", hang = true } }
      local client = helper.client(sim, { ledger = place or nil, evidence = true })
      local job = client:spawn(client.extend, client, { taskId = sim.source, prompt = "x" })
      helper.step_until(client, function() return sim:count "GET" == 1 end)
      job:cancel()
      local _, err = job:wait(helper.PATIENCE)
      assert.same({ "cancelled", "no", 0 }, { err.code, err.sent, sim:count "POST" })
      client:close()
    end
  end)

  it("needs no ledger, and harms no call", function()
    sim:reset()
    local client = helper.client(sim, { evidence = true, retry = { attempts = 1 } })
    sim:script { { on = "credits", http = 500, code = 500 } }
    assert(client:extend { taskId = sim.source, prompt = "x" })
    client:close()
  end)
end)
