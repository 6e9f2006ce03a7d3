-- A ledger that an earlier lua-veo made: it opens, its keys stay paid, and what was open is taken up.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local schema = require "veo.ledger.schema"
local simulator = require "veo.simulator"

-- What commit 06f5e79 left, in either database: the SQL is the same.
local function fill(place)
  local connection = ledgers.connect(place)
  local text = helper.read("spec/support/ledger_06f5e79.sql"):gsub("^%-%-[^\n]*\n", ""):gsub("^%-%-[^\n]*\n", "")
  for statement in text:gmatch("(.-);\n") do ledgers.query(connection, statement) end
  connection:close()
end

local function suite(sim, where)
  local place, clients
  before_each(function()
    sim():reset()
    place, clients = where(), {}
    fill(place)
    for _, row in ipairs(ledgers.query(place, "SELECT task_id FROM veo_tasks WHERE task_id IS NOT NULL")) do
      sim():add { taskId = row.task_id, source = sim().source }
    end
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim(), options)
    return clients[#clients]
  end
  local function posts() return sim():count("POST", helper.EXTEND) end
  local function shot(prompt, more)
    local params = { taskId = sim().source, prompt = prompt }
    for name, value in pairs(more or {}) do params[name] = value end
    return params
  end

  it("opens, with all that it holds", function()
    local client = new { create = false }
    local states = {}
    for _, record in ipairs(assert(client:tasks())) do states[#states + 1] = record.state end
    table.sort(states)
    -- What was under way when its process was killed is uncertain: of another boot only the lease speaks.
    assert.equal("accepted accepted accepted done done failed refused saved saved saved uncertain uncertain",
      table.concat(states, " "))
    assert.equal(tostring(schema.version),
      ledgers.query(place, "SELECT value FROM veo_meta WHERE name = 'schema'")[1].value)
    assert.is_true(client:check_ledger())
  end)

  it("joins the same key and body, and sends nothing", function()
    local client, ids = new(), {}
    for _, record in ipairs(assert(client:tasks())) do
      if record.key then ids[record.key] = record.taskId end
    end
    local all = { seeds = 12345, model = "fast", watermark = "w", callBackUrl = "https://example.com/hook?a=1#f" }
    local same = {
      { "keyed", shot("keyed \206\177 \"quoted\"\n\t\\ \195\169", all) }, { "saved", shot "saved" },
    }
    for _, order in ipairs(same) do
      local task = assert(client:extend(order[2], { key = order[1] }))
      assert.same({ true, ids[order[1]] }, { task.joined, task.taskId })
    end
    assert.equal(ids.jobs, assert(new({ api = "jobs" }):extend(shot "jobs", { key = "jobs" })).taskId)
    local _, err = client:extend(shot "other", { key = "keyed" })
    assert.equal("invalid", err.code)
    for _, key in ipairs { "uncertain", "killed" } do
      local _, lost = client:extend(shot(key), { key = key })
      assert.equal("uncertain", lost.code, key)
    end
    -- One that is not finished is known without a key too, however old it is.
    local open = assert(client:extend(shot "open", { on_duplicate = "join" }))
    assert.is_true(open.joined)
    assert.equal(0, posts())
    assert(client:extend(shot "refused", { key = "refused" }))
    assert.equal(1, posts())
  end)

  it("knows a finished chain, and an upgraded video", function()
    local client, folder = new(), helper.folder()
    local chain = assert(client:chain { taskId = sim().source, prompts = { "one", "two" }, key = "film",
      path = folder .. "/film.mp4" })
    assert.equal(2, #chain.hops)
    local upgraded = ledgers.query(place, "SELECT task_id FROM veo_upgrades")[1].task_id
    local _, err = client:extend(shot("more", { taskId = upgraded }))
    assert.same({ "invalid", "taskId" }, { err.code, err.field })
    assert.equal(0, posts())
  end)

  it("gives what was open to resume", function()
    local folder = helper.folder()
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 0, 2 }, { summary.open, #summary.uncertain })
    assert.equal("failed refused saved saved saved saved saved saved saved saved uncertain uncertain",
      (function()
        local states = {}
        for word in ledgers.states(place):gmatch "%S+" do states[#states + 1] = word end
        table.sort(states)
        return table.concat(states, " ")
      end)())
    assert.equal(0, posts())
  end)
end

describe("a ledger of an earlier lua-veo", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  describe("on SQLite", function()
    suite(function() return sim end, function() return helper.folder() .. "/renders.db" end)
  end)

  needs.block("postgresql", describe)("on PostgreSQL", function()
    local server
    setup(function() server = postgres.start() end)
    teardown(function() server:stop() end)
    local function fresh() return ledgers.fresh(server) end
    suite(function() return sim end, fresh)

    it("opens when it takes longer than an order's transaction may", function()
      sim:reset()
      local place = fresh()
      fill(place)
      ledgers.query(place, [[INSERT INTO veo_tasks SELECT ref || g, 'saved', operation, api, body, md5(hash || g), NULL,
        md5('task' || g), price, day, client, owner, claim, lease, sending, created, updated, result, error, evidence,
        path FROM (SELECT * FROM veo_tasks LIMIT 1) AS one, generate_series(1, 100000) AS g]])
      local client = helper.client(sim, { ledger = place, timeout = 4 }) -- then it is 1.2 s
      finally(function() client:close() end)
      assert(client:extend { taskId = sim.source, prompt = "a" })
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim) })
    end)
  end)
end)
