-- Generation and upgrades in the jobs family: each is an order with a task of its own, paid once whatever happens.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CREATE = "/api/v1/jobs/createTask"

describe("orders of the jobs family", function()
  local sim, client, folder

  setup(function() sim = simulator.start { speed = 5000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
  end)
  after_each(function()
    assert.same({}, sim:violations())
    client:close()
  end)

  local function charges() return select(2, sim:charges()) end
  local function posts() return sim:count("POST", CREATE) end
  local function open(more)
    local options = { api = "jobs" }
    for name, value in pairs(more or {}) do options[name] = value end
    client = helper.client(sim, options)
    return client
  end

  local ORDERS = {
    generate = { model = "veo-3-1", credits = 60, call = function(options)
      return client:generate({ prompt = "a boat", imageUrls = { "https://a.example/b.png" }, aspect_ratio = "16:9",
        seeds = 12345 }, options)
    end },
    get_4k = { model = "veo/get-4k-video", credits = 120, call = function(options)
      return client:task(sim.source):upgrade("4k", options)
    end },
    get_1080p = { model = "veo/get-1080p-video", credits = 5, call = function()
      return client:task(sim.source):upgrade("1080p", { interval = 0.02 })
    end },
  }

  for operation, order in pairs(ORDERS) do
    for _, kind in ipairs { "without a ledger", "with one" } do
      local with = kind == "with one"

      it(operation .. " is ordered, waited for and saved over its own paths, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        local task = assert(order.call())
        local status = assert(client:wait(task))
        assert.is_not.equal(sim.source, task.taskId)
        assert.is_nil(task.taskId:find("record", 1, true))
        local file = assert(client:download(operation == "get_1080p" and task or status, folder .. "/a.mp4"))
        assert.is_true(file.bytes > 0)
        local sent = sim:requests({ endpoint = operation })[1]
        assert.same({ CREATE, order.model }, { sent.path, sent.json.model })
        for _, request in ipairs(sim:requests { listener = "api" }) do
          assert.is_truthy(request.path:find("^/api/v1/jobs/"), request.path)
        end
        assert.same({ 1, order.credits, operation, task.taskId },
          { #charges(), charges()[1].credits, charges()[1].operation, charges()[1].taskId })
        if not with then return end
        local row = assert(client:tasks())[1]
        assert.same({ operation, "saved", order.credits }, { row.operation, row.state, row.consumed })
        assert.same({ order.credits, 1 }, { client:spent().consumed, client:spent().orders })
      end)

      it(operation .. " is sent once when its answer is lost, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        sim:script { { on = operation, close = "unanswered" } }
        local task, err = order.call()
        assert.is_nil(task)
        assert.same({ "uncertain", 1 }, { err.code, posts() })
      end)
    end

    it(operation .. " without a taskId is uncertain, and its recordId no task", function()
      open()
      sim:script { { on = operation, task_id_form = "record" } }
      local _, err = order.call()
      assert.same({ "uncertain", 1 }, { err.code, posts() })
      assert.is_nil(err.taskId)
      assert.matches("^record%-of", err.recordId)
    end)

    it(operation .. " is repeated when it was turned away, and final when refused", function()
      open()
      sim:script { { on = operation, code = 429, times = 2 } }
      assert(order.call())
      assert.same({ 3, 1 }, { posts(), #charges() })
      sim:reset()
      client:close()
      open()
      sim:script { { on = operation, code = 402 } }
      assert.equal("insufficient_credits", select(2, order.call()).code)
      assert.same({ 1, 0 }, { posts(), #charges() })
    end)

    it(operation .. " is sent as what costs: HTTP/1.1 on a connection of its own", function()
      open()
      assert(client:status(sim.source))
      assert(order.call())
      local sent = sim:requests({ endpoint = operation })[1]
      local before = sim:requests({ endpoint = "status" })[1]
      assert.is_not.equal(before.connection, sent.connection)
      assert.is_nil(sent.headers.expect)
    end)
  end

  for _, operation in ipairs { "get_1080p", "get_4k" } do
    local order = ORDERS[operation]

    for _, kind in ipairs { "without a ledger", "with one" } do
      local with = kind == "with one"

      it(operation .. " asked for again is the same order, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        local first = assert(order.call())
        local again = assert(order.call())
        assert.same({ first.taskId, true }, { again.taskId, again.joined })
        local jobs = {}
        for i = 1, 3 do jobs[i] = client:spawn(order.call) end
        for i = 1, 3 do assert.equal(first.taskId, assert(jobs[i]:wait()).taskId) end
        assert.same({ 1, 1 }, { posts(), #charges() })
      end)

      it(operation .. " by three jobs at once is one order, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        sim:script { { on = operation, delay = 0.2 } }
        local jobs = {}
        for i = 1, 3 do jobs[i] = client:spawn(order.call) end
        local first = assert(jobs[1]:wait())
        for i = 2, 3 do assert.equal(first.taskId, assert(jobs[i]:wait()).taskId) end
        assert.same({ 1, 1 }, { posts(), #charges() })
      end)

      it(operation .. " asked for again after a lost answer stays uncertain, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        sim:script { { on = operation, close = "unanswered", times = 1 } }
        assert.equal("uncertain", select(2, order.call()).code)
        assert.same({ "uncertain", 1 }, { select(2, order.call()).code, posts() })
      end)

      it(operation .. " is ordered again once its task has failed, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        sim:script { { on = operation, fail = 3, times = 1, render = 0 } }
        local task, err = order.call()
        if task then task, err = client:wait(task) end
        assert.is_nil(task)
        assert.same({ "failed", 1 }, { err.code, posts() })
        assert(client:wait(assert(order.call())))
        assert.equal(2, posts())
      end)

      it(operation .. " keeps the video from being extended, " .. kind, function()
        open { ledger = with and folder .. "/l.db" or nil }
        assert(order.call())
        local _, err = client:extend { taskId = sim.source, prompt = "x" }
        assert.same({ "invalid", "taskId", 1 }, { err.code, err.field, posts() })
      end)
    end

    it(operation .. " that was cancelled under way is not ordered again", function()
      open()
      sim:script { { on = operation, delay = 0.2 } }
      local job = client:spawn(order.call)
      helper.step_until(client, function() return posts() == 1 end)
      job:cancel()
      local again = assert(order.call())
      assert.same({ 1, 1, charges()[1].taskId }, { posts(), #charges(), again.taskId })
    end)
  end

  it("get_1080p that takes too long is paid, and asked for again for nothing", function()
    open()
    sim:script { { on = "get_1080p", render = 5000, times = 1 } }
    local _, err = client:task(sim.source):upgrade("1080p", { interval = 0.02, timeout = 0.05 })
    assert.same({ "timeout", "get_1080p", charges()[1].taskId }, { err.code, err.operation, err.taskId })
    local result = assert(client:task(sim.source):upgrade("1080p", { interval = 0.05 }))
    assert.same({ err.taskId, sim.source, "1080p", 1 }, { result.taskId, result.source, result.resolution, #charges() })
    assert.equal(5, result.creditsConsumed)
    assert.equal(result.taskId, assert(client:task(result):upgrade("1080p")).taskId)
    assert.equal(1, #charges())
  end)

  it("a 1080P version whose link has died is fetched by its own record", function()
    open()
    local result = assert(client:task(sim.source):upgrade("1080p", { interval = 0.02 }))
    sim:script { { on = "media", http = 403, times = 2 } }
    assert(client:download(result, folder .. "/hd.mp4"))
    assert.same({ 1, 1 }, { posts(), #charges() })
  end)

  it("a dead link of the other family's 1080P version orders nothing", function()
    open()
    local veo = helper.client(sim)
    local result = assert(veo:task(sim.source):upgrade("1080p", { interval = 0.02 }))
    veo:close()
    sim:script { { on = "media", http = 403 } }
    local _, err = client:download(result, folder .. "/hd.mp4")
    assert.same({ "expired", 0, 1 }, { err.code, posts(), #charges() })
  end)

  it("gives back the price of a call that is cancelled while it waits for the same upgrade", function()
    open { max_credits = 10 }
    sim:add { taskId = "another" }
    sim:script { { on = "get_1080p", delay = 0.5, times = 1 } }
    local first = client:spawn(ORDERS.get_1080p.call)
    local second = client:spawn(ORDERS.get_1080p.call)
    helper.step_until(client, function() return posts() == 1 end)
    second:cancel()
    assert(client:task("another"):upgrade("1080p", { interval = 0.02 }))
    client:run()
    assert(first:result())
    assert.equal(2, posts())
  end)

  it("counts in max_credits, where a generation needs a price", function()
    open { max_credits = 124 }
    assert.equal("budget", select(2, client:generate { prompt = "x" }).code)
    assert(client:task(sim.source):upgrade("4k"))
    assert.equal("budget", select(2, client:task(sim.source):upgrade("1080p")).code)
    assert.same({ 1, 1 }, { posts(), #charges() })
  end)

  it("a key is one order, and another family's is none of it", function()
    open { ledger = folder .. "/l.db" }
    local first = assert(client:generate({ prompt = "x" }, { key = "k" }))
    assert.equal(first.taskId, assert(client:generate({ prompt = "x" }, { key = "k" })).taskId)
    local veo = helper.client(sim, { ledger = folder .. "/l.db" })
    assert.equal("invalid", select(2, veo:generate({ prompt = "x" }, { key = "k" })).code)
    veo:close()
    assert.equal(1, #charges())
  end)

  it("a 1080P order that nobody waited for is saved by resume", function()
    local place = folder .. "/l.db"
    open { ledger = place }
    sim:script { { on = "get_1080p", render = 1000, times = 1 } }
    local _, err = client:task(sim.source):upgrade("1080p", { interval = 0.02, timeout = 0.05 })
    assert.equal("timeout", err.code)
    client:close()
    open { ledger = place }
    local summary = assert(client:resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 1, 1 }, { summary.saved, #charges() })
  end)
end)
