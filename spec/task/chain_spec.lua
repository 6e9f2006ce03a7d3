-- Chains: hop by hop, resumable, never paid twice.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("chain", function()
  local sim, place, folder, clients
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    place, clients = folder .. "/renders.db", {}
  end)
  after_each(function() for _, client in ipairs(clients) do client:close() end end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim, options)
    return clients[#clients]
  end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function order(more)
    local params = { taskId = sim.source, prompts = { "one", "two", "three" }, path = folder .. "/long.mp4" }
    for name, value in pairs(more or {}) do params[name] = value end
    return params
  end
  -- A clip of the simulator grows with its hops, so the wrong hop shows.
  local function clip(hop) return helper.read(("lua/veo/simulator/clips/hop%d.mp4"):format(hop)) end

  it("extends what it made, and saves the whole video", function()
    local result = assert(new():chain(order()))
    assert.same({ 3, folder .. "/long.mp4" }, { #result.hops, result.path })
    local sent = sim:requests { method = "POST", path = helper.EXTEND }
    assert.equal(3, #sent)
    for n, request in ipairs(sent) do
      assert.equal(n == 1 and sim.source or result.hops[n - 1].taskId, request.json.taskId)
      assert.equal(({ "one", "two", "three" })[n], request.json.prompt)
    end
    assert.equal(clip(3), helper.read(result.path))
    assert.equal("saved saved saved", ledgers.states(place))
    assert.same({ "long.mp4" }, (function()
      local names = {}
      for _, name in ipairs(helper.list(folder)) do if name:find("mp4") then names[#names + 1] = name end end
      return names
    end)())
  end)

  it("works without a ledger", function()
    local client = helper.client(sim)
    assert.equal(clip(3), helper.read(assert(client:chain(order())).path))
    client:close()
  end)

  it("gives every hop what is its own, and what all share", function()
    assert(new():chain { taskId = sim.source, model = "lite", seeds = 11111,
      prompts = { "a", { prompt = "b", seeds = 22222 }, { prompt = "c", model = "quality" } } })
    local seen = {}
    for n, request in ipairs(sim:requests { method = "POST", path = helper.EXTEND }) do
      seen[n] = request.json.model .. request.json.seeds
    end
    assert.same({ "lite11111", "lite22222", "quality11111" }, seen)
  end)

  it("saves every hop when asked", function()
    local result = assert(new():chain(order { save_hops = folder .. "/hop{hop}.mp4" }))
    assert.equal(clip(1), helper.read(folder .. "/hop1.mp4"))
    assert.equal(clip(2), helper.read(folder .. "/hop2.mp4"))
    assert.same({ folder .. "/hop1.mp4", folder .. "/hop2.mp4", folder .. "/long.mp4" },
      { result.hops[1].path, result.hops[2].path, result.hops[3].path })
  end)

  it("tells its progress over the whole", function()
    local seen, last = {}, -1
    assert(new():chain(order { on_progress = function(info)
      assert.is_true(info.fraction >= last)
      last = info.fraction
      local text = info.hop .. info.state
      if seen[#seen] ~= text then seen[#seen + 1] = text end
    end }))
    assert.equal(1, last)
    assert.equal("1submitting 1rendering 1rendered 2submitting 2rendering 2rendered 3submitting 3rendering 3rendered "
      .. "3saving 3saved", table.concat(seen, " "))
  end)

  it("goes on at the first hop that is not finished", function()
    local client = new()
    local job = client:spawn(function() return client:chain(order()) end)
    helper.step_until(client, function() return posts() == 2 end)
    client:close() -- as good as a crash: the second hop may be under way
    local states = ledgers.states(place)
    local record = ledgers.query(place, "SELECT * FROM veo_tasks ORDER BY created DESC")[1]
    client = new()
    if record.state == "uncertain" then
      local _, list = sim:charges()
      assert(client:settle(record.ref, list[2].taskId))
    end
    local result = assert(client:chain(order()))
    assert.equal(3, posts(), states)
    assert.equal(clip(3), helper.read(result.path))
    assert.is_true(result.hops[1].joined and result.hops[2].joined)
    assert.equal("cancelled", job:status())
  end)

  it("asked for again when it is all there costs nothing", function()
    local first = assert(new():chain(order()))
    local requests = #sim:requests()
    local again = assert(new():chain(order()))
    assert.same({ first.taskId, first.path, true }, { again.taskId, again.path, again.already })
    assert.equal(requests, #sim:requests())
    os.remove(first.path)
    assert.equal(clip(3), helper.read(assert(new():chain(order())).path))
    assert.equal(3, posts())
  end)

  it("is another one under another key", function()
    assert(new():chain(order { key = "a" }))
    assert(new():chain(order { key = "b", path = folder .. "/b.mp4" }))
    assert.equal(6, posts())
    local _, err = new():chain(order { key = "b", prompts = { "other" }, path = folder .. "/c.mp4" })
    assert.same({ "invalid", "key" }, { err.code, err.field })
  end)

  describe("is the same order", function()
    local function asked(more, options)
      local result = assert(new(options):chain(order(more)))
      assert.equal(3, #select(2, sim:charges()))
      return result
    end

    it("with the default model spelt out, another callback, or the other family", function()
      local hook = sim.url .. "/hook"
      local first = asked { callBackUrl = hook .. "1" }
      for i, ask in ipairs { { { model = "fast" } }, { { callBackUrl = hook .. "2" } }, { {}, { api = "jobs" } } } do
        local again = asked(ask[1], ask[2])
        assert.same({ first.taskId, true }, { again.taskId, again.already })
        ask[1].path = folder .. "/copy" .. i .. ".mp4"
        again = asked(ask[1], ask[2])
        assert.same({ first.taskId, true, nil }, { again.taskId, again.hops[1].joined, again.already })
      end
    end)

    it("in the other family first", function()
      local first = asked({}, { api = "jobs" })
      assert.equal(first.taskId, asked({ model = "fast", path = folder .. "/b.mp4" }).taskId)
      assert(new():chain(order { model = "quality", path = folder .. "/c.mp4" })) -- and another tier is another one
      assert.equal(6, #select(2, sim:charges()))
    end)

    it("as an older version named it", function()
      asked { callBackUrl = sim.url .. "/hook" }
      local canonical = require "veo.util.canonical_json"
      local before = {}
      for n, prompt in ipairs { "one", "two", "three" } do
        before[n] = { prompt = prompt, callBackUrl = sim.url .. "/hook",
          taskId = n == 1 and sim.source or "checked-later" }
        local key = ("chain:%s/%d"):format(canonical.hash(canonical.encode { api = "veo", taskId = sim.source,
          hops = before }), n)
        local row = ledgers.query(place, ("SELECT * FROM veo_tasks WHERE intent_key LIKE 'chain:%%/%d'"):format(n))[1]
        ledgers.query(place, ("UPDATE veo_tasks SET intent_key = '%s', hash = '%s' WHERE ref = '%s'"):format(key,
          canonical.hash(row.body), row.ref))
      end
      local again = asked { callBackUrl = sim.url .. "/hook", path = folder .. "/b.mp4" }
      assert.is_true(again.hops[1].joined and again.hops[2].joined and again.hops[3].joined)
    end)

    it("whose later prompt was edited, under its key too", function()
      local first = assert(new():chain(order { key = "k" }))
      local again = assert(new():chain(order { key = "k", prompts = { "one", "two", "other" },
        path = folder .. "/b.mp4" }))
      assert.same({ first.hops[2].taskId, true, nil },
        { again.hops[2].taskId, again.hops[2].joined, again.hops[3].joined })
      assert.equal(4, #select(2, sim:charges()))
      -- Both are there, and an older version's names are the key alone.
      ledgers.query(place, "UPDATE veo_tasks SET intent_key = 'chain:k/2' WHERE intent_key LIKE 'chain:k:%/2'")
      assert.is_true(assert(new():chain(order { key = "k" })).already)
      assert.is_true(assert(new():chain(order { key = "k", prompts = { "one", "two", "other" },
        path = folder .. "/b.mp4" })).already)
      assert.equal("invalid", select(2, new():chain(order { key = "k", prompts = { "uno", "two" },
        path = folder .. "/c.mp4" })).code)
      assert.equal(4, #select(2, sim:charges()))
    end)

    it("finished, also when a hop of it was made twice", function()
      sim:script { { on = "extend", fail = 2, skip = 1, times = 1 } }
      assert.equal("failed", select(2, new():chain(order())).code)
      local first = assert(new():chain(order { repeat_failed = true }))
      local count, charged = #sim:requests(), #select(2, sim:charges())
      for _, ask in ipairs { {}, { repeat_failed = true } } do
        local again = assert(new():chain(order(ask)))
        assert.same({ true, first.taskId, first.path }, { again.already, again.taskId, again.path })
      end
      assert.equal(count, #sim:requests())
      assert(new():chain(order { path = folder .. "/copy.mp4" }))
      assert.equal(charged, #select(2, sim:charges()))
    end)
  end)

  it("that cannot finish its saving saves it the next time", function()
    sim:script { { on = "media", http = 500 } }
    local _, err = new():chain(order { download = { attempts = 1 } })
    assert.equal("server", err.code)
    assert.equal(3, #err.hops)
    sim:script {}
    assert.equal(clip(3), helper.read(assert(new():chain(order())).path))
    assert.equal(3, posts())
  end)

  describe("that stops", function()
    it("at a failed hop says where, and saves what is finished under a name that says so", function()
      local prompts = { "one", "[sim:status flag=3] two", "three" }
      local _, err = new():chain(order { prompts = prompts })
      assert.same({ "failed", 2, 1, folder .. "/long-hop1.mp4" }, { err.code, err.hop, #err.hops, err.path })
      assert.equal(clip(1), helper.read(err.path))
      assert.is_nil(helper.read(folder .. "/long.mp4"))
      assert.equal(2, posts())
    end)

    it("at a refused prompt goes on where it was edited, and pays nothing twice", function()
      local _, err = new():chain(order { prompts = { "one", "two", "[sim code=400] three" } })
      assert.same({ "rejected", 3, 2 }, { err.code, err.hop, #err.hops })
      local result = assert(new():chain(order { prompts = { "one", "two", "three, but polite" } }))
      assert.is_true(result.hops[1].joined and result.hops[2].joined)
      assert.equal(clip(3), helper.read(result.path))
      assert.equal(3, #select(2, sim:charges()))
      -- What stands before an edited hop is another video.
      assert(new():chain(order { prompts = { "uno", "two" }, path = folder .. "/other.mp4" }))
      assert.equal(5, #select(2, sim:charges()))
    end)

    it("orders a failed hop again only when told so", function()
      sim:script { { on = "extend", fail = 2, skip = 1, times = 1 } }
      assert.equal("failed", select(2, new():chain(order())).code)
      local _, err = new():chain(order())
      assert.same({ "failed", 2 }, { err.code, err.hop })
      assert.equal(2, posts())
      local result = assert(new():chain(order { repeat_failed = true }))
      assert.equal(4, posts())
      assert.equal(3, #result.hops)
      assert(new():chain(order { repeat_failed = true, path = folder .. "/copy.mp4" }))
      assert.equal(4, posts())
    end)

    it("at the budget keeps what was paid", function()
      local _, err = new { max_credits = 130 }:chain(order())
      assert.same({ "budget", 3, 2, folder .. "/long-hop2.mp4" }, { err.code, err.hop, #err.hops, err.path })
      assert(new():chain(order()))
      assert.equal(3, posts())
    end)

    it("at an uncertain hop goes on once it is settled", function()
      sim:script { { on = "extend", close = "unanswered", charge = true, skip = 1, times = 1 } }
      local client = new()
      local _, err = client:chain(order())
      assert.same({ "uncertain", 2 }, { err.code, err.hop })
      assert.equal("uncertain", select(2, client:chain(order())).code)
      assert.equal(2, posts())
      local _, list = sim:charges()
      assert(client:settle(err.ref, list[2].taskId))
      assert.equal(clip(3), helper.read(assert(client:chain(order())).path))
      assert.equal(3, posts())
    end)
  end)

  describe("before it sends anything", function()
    it("checks every prompt", function()
      local _, err = new():chain(order { prompts = { "one", "", "three" } })
      assert.same({ "invalid", "prompt", 2 }, { err.code, err.field, err.hop })
      _, err = new():chain(order { prompts = { "one", { prompt = "x", seed = 3 } } })
      assert.same({ "invalid", 2 }, { err.code, err.hop })
      assert.equal(0, posts())
    end)

    it("looks at its target", function()
      helper.write(folder .. "/long.mp4", "mine")
      assert.equal("exists", select(2, new():chain(order())).code)
      assert.equal("io", select(2, new():chain(order { path = folder .. "/none/long.mp4" })).code)
      assert.equal(0, posts())
      assert.equal("mine", helper.read(folder .. "/long.mp4"))
    end)

    it("refuses an upgraded source, whoever knows of it", function()
      local client = new()
      local task = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
      assert(client:task(task.taskId):upgrade("1080p", { timeout = 30, interval = 0.05 }))
      local count = posts()
      local _, err = client:chain(order { taskId = task.taskId })
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
      _, err = new():chain(order { taskId = task.taskId })
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
      assert.equal(count, posts())
    end)

    it("refuses a source that is a 4K video by its own record", function()
      local client = helper.client(sim)
      local task = assert(client:task(sim.source):upgrade("4k"))
      assert(client:wait(task))
      local _, err = helper.client(sim):chain(order { taskId = task.taskId })
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
      assert.equal(0, posts())
      client:close()
    end)

    it("wants a source that is there", function()
      assert.equal("not_found", select(2, new():chain(order { taskId = "none" })).code)
      assert.equal(0, posts())
    end)

    it("is misuse without prompts, or with an unknown option", function()
      local client = new()
      assert.has_error(function() client:chain {} end)
      assert.has_error(function() client:chain { taskId = "a", prompts = {} } end)
      assert.has_error(function() client:chain(order { pathh = "x" }) end)
      assert.has_error(function() client:chain(order { wait = { tiemout = 3 } }) end)
    end)
  end)
end)
