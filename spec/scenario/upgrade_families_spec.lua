-- One upgrade is one order, whichever family of paths it was made over: the service would charge it in each.

local canonical = require "veo.util.canonical_json"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

local CREATE, UHD, FULL_HD = "/api/v1/jobs/createTask", "/api/v1/veo/get-4k-video", "/api/v1/veo/get-1080p-video"
local OTHER = { veo = "jobs", jobs = "veo" }
local DAY = 86400

local function suite(sim, where)
  local place, folder, clients
  before_each(function()
    sim():reset()
    place, folder, clients = where(), helper.folder(), {}
  end)
  after_each(function()
    for _, client in pairs(clients) do client:close() end
    assert.same({}, sim():violations())
  end)

  -- The client of a family; each family has one.
  local function over(api, more)
    if not clients[api] or more then
      local options = { ledger = place, api = api, upgrade = { interval = 0.02 } }
      for name, value in pairs(more or {}) do options[name] = value end
      if clients[api] then clients[api]:close() end
      clients[api] = helper.client(sim(), options)
    end
    return clients[api]
  end
  local function charges() return #select(2, sim():charges()) end
  local function posts() return sim():count("POST", CREATE) + sim():count("POST", UHD) end
  local function age(seconds)
    ledgers.query(place, ("UPDATE veo_tasks SET created = created - %d, updated = updated - %d, ended = ended - %d")
      :format(seconds, seconds, seconds))
  end
  local function state() return ledgers.states(place) end

  for _, operation in ipairs { "get_1080p", "get_4k" } do
    local size = operation == "get_4k" and "4k" or "1080p"

    for first, second in pairs(OTHER) do
      -- Where the first order is a question, it has no task, no row of its own and no end.
      local is_question = operation == "get_1080p" and first == "veo"
      local function order(api, params, options)
        if type(params) ~= "table" then params = { taskId = params or sim().source } end
        local all = { index = params.index, callBackUrl = params.callBackUrl, extra = params.extra }
        for name, value in pairs(options or {}) do all[name] = value end
        return over(api):task(params.taskId):upgrade(size, all)
      end
      local function saved(task, name)
        local client = over(first)
        local status = operation == "get_4k" and assert(client:wait(task)) or task
        return assert(client:download(status, folder .. "/" .. (name or "a.mp4")))
      end
      -- The other family's repeat is the same video, and neither asks for it again nor pays.
      local function is_the_same(task, again)
        assert.same({ 1, is_question and 0 or 1 }, { charges(), posts() })
        if is_question then
          assert.same({ sim().source, "1080P" }, { again.taskId, again.version })
        else
          assert.same({ task.taskId, true }, { again.taskId, again.joined })
        end
        local client = over(second)
        local status = operation == "get_4k" and assert(client:wait(again)) or again
        assert.matches(is_question and "1080p" or again.taskId, status.video_url, 1, true)
        assert(client:download(status, folder .. "/again.mp4"))
        assert.same({ 1, is_question and 0 or 1 }, { charges(), posts() })
      end
      local title = ("%s, ordered over %s and then over %s, "):format(operation, first, second)

      it(title .. "is one order", function()
        local task = assert(order(first))
        is_the_same(task, assert(order(second)))
      end)

      it(title .. "is one order after its video was saved, days later and after prune too", function()
        local task = assert(order(first))
        saved(task)
        age(2 * DAY)
        assert(over(first):prune { days = 1 })
        is_the_same(task, assert(order(second)))
      end)

      it(title .. "is one order for other processes", function()
        local function process(api)
          return (helper.output(ledgers.script(helper.lua(), "spec/support/upgrade_process.lua", sim().url,
            sim().api_key,
            place, api, operation, sim().source)):gsub("%s+$", ""))
        end
        local task, again = process(first), process(second)
        assert.same({ is_question and sim().source or task, 1, is_question and 0 or 1 }, { again, charges(), posts() })
        assert.truthy(sim():charges()[task], task)
      end)

      it(title .. "at the same time, is one order", function()
        sim():script { { on = operation, delay = 0.3, times = 1 } }
        local one = over(first):spawn(order, first)
        helper.step_until(over(first), function() return #sim():requests { endpoint = operation } == 1 end)
        local two = over(second):spawn(order, second)
        helper.step_until(over(second), function()
          over(first):step(5)
          return one:status() ~= "pending" and two:status() ~= "pending"
        end)
        is_the_same(assert(one:result()), assert(two:result()))
      end)

      it(title .. "whose answer was lost, is not ordered again", function()
        sim():script { { on = operation, close = "unanswered", charge = true, times = is_question and 4 or 1 } }
        local _, err = order(first)
        assert.equal(is_question and "network" or "uncertain", err.code)
        local again, problem = order(second)
        if is_question then
          assert.same({ 1, 0, "1080P" }, { charges(), posts(), again.version })
          return
        end
        assert.same({ "uncertain", err.ref, "no", 1 }, { problem.code, problem.ref, problem.sent, posts() })
        assert.equal(0, sim():count("GET", FULL_HD))
        assert(over(first):settle(err.ref, "lost"))
        assert(order(second))
        assert.equal(operation == "get_4k" and 2 or 1, posts())
      end)

      it(title .. "is ordered again where nothing was ordered, or its task has failed", function()
        sim():script { { on = operation, code = 402, times = 1 } }
        assert.equal("insufficient_credits", select(2, order(first)).code)
        assert(order(second))
        assert.equal(1, charges())
        if is_question then return end
        sim():add { taskId = "another" }
        sim():script { { on = operation, fail = 3, times = 1, render = 0 } }
        local task, err = order(first, "another")
        if task then task, err = over(first):wait(task) end
        assert.same({ nil, "failed" }, { task, err.code })
        assert(order(second, "another"))
        assert.equal(3, charges())
      end)

      it(title .. "of two videos, is two orders", function()
        assert(order(first))
        sim():add { taskId = "another" }
        assert(order(second, "another"))
        assert.equal(2, charges())
      end)

      it(title .. "of two videos of one task, is two orders; the first one has the index 0", function()
        if first == "veo" then assert(order("veo", { taskId = sim().source, index = 0 })) end
        assert(order("jobs"))
        if first == "jobs" then assert(order("veo", { taskId = sim().source, index = 0 })) end
        assert.same({ 1, is_question and 0 or 1 }, { charges(), posts() })
        if first == "jobs" then
          assert(order("veo", { taskId = sim().source, index = 1 }))
          local sent = sim():requests { endpoint = operation }
          sent = sent[#sent]
          assert.equal(1, tonumber((sent.json or sent.query).index))
        end
      end)

      it(title .. "with a field that this library does not know, is another order", function()
        assert(order(first))
        assert(order(second, { taskId = sim().source, extra = { look = "warm" } }))
        local sent = sim():requests { endpoint = operation }
        sent = sent[#sent]
        assert.equal("warm", (sent.json and (sent.json.input or sent.json) or sent.query).look)
        sim():reset() -- which has noted the field as a violation
      end)

      it(title .. "is one order wherever it is called back", function()
        local url = "http://127.0.0.1:1/a"
        local takes = operation == "get_4k" and first or "jobs"
        local task = assert(order(first, takes == first and { taskId = sim().source, callBackUrl = url } or nil))
        is_the_same(task, assert(order(second,
          operation == "get_4k" and { taskId = sim().source, callBackUrl = url .. "b" } or nil)))
      end)

      it(title .. "counts once in the day's limit", function()
        local limit = { max_credits = { day = size == "4k" and 130 or 7 } }
        over(first, limit)
        over(second, limit)
        assert(order(first))
        assert(order(second))
        sim():add { taskId = "another" }
        assert.equal("budget", select(2, order(second, "another")).code)
        assert.equal(1, charges())
      end)

      if operation == "get_4k" then
        it(title .. "under a key, is that key's order", function()
          local task = assert(order(first, nil, { key = "k" }))
          is_the_same(task, assert(order(second, nil, { key = "k" })))
          sim():add { taskId = "another" }
          assert.same({ "invalid", "key" }, (function()
            local _, err = order(second, "another", { key = "k" })
            return { err.code, err.field }
          end)())
        end)

        it(title .. "to a file that is there, hands that back", function()
          local path = folder .. "/a.mp4"
          saved(assert(order(first, nil, { path = path })))
          local file = assert(order(second, nil, { path = path }))
          assert.same({ true, path, 1 }, { file.already, file.path, posts() })
        end)

        it(title .. "is another one when the service no longer keeps the saved video", function()
          saved(assert(order(first)))
          age(14 * DAY - 60)
          assert.is_true(assert(order(second)).joined)
          age(61)
          assert(order(second))
          assert.equal(2, posts())
        end)

        it(title .. "as an earlier lua-veo noted it, is one order", function()
          local task = assert(order(first, first == "veo" and { taskId = sim().source, index = 0 } or nil))
          ledgers.query(place, "UPDATE veo_tasks SET hash = ?",
            canonical.hash(ledgers.query(place, "SELECT body FROM veo_tasks")[1].body))
          is_the_same(task, assert(order(first)))
          if first == "veo" then is_the_same(task, assert(order(second))) end
        end)

        it(title .. "by the caller's word, is another one", function()
          assert(order(first))
          assert.equal("duplicate", select(2, order(second, nil, { on_duplicate = "refuse" })).code)
          assert.equal(1, posts())
          assert(order(second, nil, { on_duplicate = "allow" }))
          assert.equal(2, posts())
        end)
      else
        it(title .. "whose link has died, is fetched by a fresh one", function()
          assert(order(first))
          local again = assert(order(second))
          sim():script { { on = "media", http = 403, times = 2 } }
          assert(over(second):download(again, folder .. "/hd.mp4"))
          assert.equal(1, charges())
        end)

        it(title .. "while it is not ready, is asked for again for nothing", function()
          sim():script { { on = operation, render = 1e6, times = 1 } }
          local options = { timeout = 0.05 }
          for _, api in ipairs { first, second } do
            assert.equal("timeout", select(2, order(api, nil, options)).code, api)
          end
          assert.same({ 1, is_question and 0 or 1 }, { charges(), posts() })
        end)
      end
    end
  end

  it("an upgrade to 1080P is none to 4K", function()
    for _, api in ipairs { "veo", "jobs" } do
      assert(over(api):task(sim().source):upgrade("1080p"))
      assert(over(OTHER[api]):task(sim().source):upgrade("4k"))
    end
    assert.equal(2, charges())
    assert.is_not.matches("uncertain", state())
  end)
end

describe("an upgrade over both families", function()
  local sim
  setup(function() sim = simulator.start { speed = 5000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  describe("with SQLite:", function()
    suite(function() return sim end, function() return helper.folder() .. "/l.db" end)
  end)

  needs.block("postgresql", describe)("with PostgreSQL:", function()
    local server, used
    setup(function() server, used = postgres.start(), false end)
    teardown(function() server:stop() end)
    suite(function() return sim end, function()
      for _, name in ipairs(used and { "tasks", "charges", "upgrades", "slots" } or {}) do
        ledgers.query(server.uri, "DELETE FROM veo_" .. name)
      end
      used = true
      return server.uri
    end)
  end)
end)
