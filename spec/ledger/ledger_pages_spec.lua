-- Reading a ledger holds nobody up, finds its rows by an index, and holds a page at a time; on both databases.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local modules = require "veo.ledger"
local unpack = table.unpack or unpack -- luacheck: ignore

local world = both { setup = setup, teardown = teardown, describe = describe }
local sim

-- Rows as a client leaves them; several share a time.
local function fill(place, count, state)
  local to = ledgers.connect(place)
  local insert = assert(to:prepare [[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, intent_key, task_id,
    price, day, client, owner, lease, sending, created, updated)
    VALUES (?, ?, ?, 'veo', ?, ?, ?, ?, 60, 20000, 'c', NULL, 0, 0, ?, ?)]])
  ledgers.query(to, "BEGIN")
  local first = os.time() - 3600
  for i = 1, count do
    assert(insert:execute(("%06x"):format(i * 7919 % 16777216), state or i % 5 > 0 and "saved" or "done",
      i % 2 > 0 and "extend" or "generate", '{"prompt":"' .. ("shot " .. i .. " "):rep(20) .. '"}', "hash" .. i,
      "key" .. i, "task" .. i, first + math.floor(i / 3) + 0.25, first))
  end
  insert:close()
  ledgers.query(to, "COMMIT")
  if place:find("^postgres") then ledgers.query(to, "ANALYZE") end
  to:close()
end

local function suite(where)
  local place, client

  before_each(function()
    sim = world.sim
    sim:reset()
    place = where()
    client = helper.client(sim, { ledger = place })
    assert(client:tasks())
  end)
  after_each(function() client:close() end)

  local function refs_of(filter)
    local refs = {}
    for task, err in assert(client:each_task(filter)) do
      if not task then error(err) end
      refs[#refs + 1] = task.ref
    end
    return refs
  end

  it("waits for no writer and is waited for by none", function()
    fill(place, 10)
    local writer = ledgers.connect(place)
    ledgers.query(writer, place:find("^postgres") and "BEGIN" or "BEGIN IMMEDIATE")
    if place:find("^postgres") then
      ledgers.query(writer, "SELECT 1 AS got FROM (SELECT pg_advisory_xact_lock(860824531)) AS held")
    end
    ledgers.query(writer, "UPDATE veo_tasks SET state = 'failed'")
    assert.equal(10, #assert(client:tasks()))
    assert.equal(2, #refs_of { state = "done" })
    ledgers.query(writer, "ROLLBACK")
    writer:close()
    -- In the middle of a list another client orders.
    local other = helper.client(sim, { ledger = place, timeout = 10 })
    for task in assert(client:each_task()) do
      assert(other:extend({ taskId = sim.source, prompt = "x" }, { key = task.ref }))
    end
    other:close()
  end)

  it("brings every record once, in order, however many pages", function()
    fill(place, 1000)
    local all = assert(client:tasks())
    assert.equal(1000, #all)
    for i = 2, #all do
      assert.is_true(all[i - 1].created < all[i].created
        or all[i - 1].created == all[i].created and all[i - 1].ref < all[i].ref)
    end
    local seen = {}
    for i, ref in ipairs(refs_of()) do
      assert.is_nil(seen[ref])
      assert.equal(all[i].ref, ref)
      seen[ref] = true
    end
    assert.equal(200, #refs_of { open = true })
    assert.equal(800, #refs_of { open = false })
    assert.equal(500, #refs_of { operation = "extend", since = all[1].created })
    for _, limit in ipairs { 0, 1, 199, 200, 201, 400, 2000, 2 ^ 53, 2 ^ 63, 1e308 } do
      assert.equal(math.min(limit, 1000), #refs_of { limit = limit })
    end
    local later = 0
    for _, record in ipairs(all) do later = later + (record.created >= all[400].created and 1 or 0) end
    assert.equal(later, #refs_of { since = all[400].created })
  end)

  it("goes on while orders are made behind it", function()
    fill(place, 300)
    local each, count = assert(client:each_task()), 0
    for _ = 1, 150 do count = count + (each() and 1 or 0) end
    ledgers.query(place, "UPDATE veo_tasks SET state = 'failed', updated = updated + 1")
    assert(client:extend { taskId = sim.source, prompt = "later" })
    while each() do count = count + 1 end
    assert.equal(301, count)
  end)

  it("says where it could not go on", function()
    fill(place, 300)
    local last, problem, n
    n = 0
    for task, err in assert(client:each_task()) do
      n, last, problem = n + 1, task, err
      if n == 100 then ledgers.query(place, "ALTER TABLE veo_tasks RENAME TO veo_other") end
    end
    assert.same({ 201, false, "ledger" }, { n, last, problem.code })
    local each, err = client:each_task()
    assert.is_nil(each)
    assert.equal("ledger", err.code)
  end)

  it("holds a page, not the list", function()
    fill(place, 3000)
    local function held()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local before, most, n = held(), 0, 0
    for _ in assert(client:each_task()) do
      n = n + 1
      if n % 500 == 0 then most = math.max(most, held() - before) end
    end
    assert.equal(3000, n)
    assert.is_true(most < 2048, most .. " KiB") -- the list holds 6,000
  end)

  it("finds what it is asked for by an index", function()
    fill(place, 3000)
    local ledger = modules.new(place, { now = helper.now, timeout = 10, rate = { count = 20, window = 10 } })
    ledger:find() -- connects
    local asked = {}
    for _, method in ipairs { "select", "run" } do
      ledger.db[method] = function(db, sql, ...)
        if sql:find("veo_tasks", 1, true) and not sql:find("INSERT", 1, true) then
          asked[#asked + 1] = { sql = sql, n = select("#", ...), ... }
        end
        return getmetatable(db).__index[method](db, sql, ...)
      end
    end
    local first = assert(ledger:tasks { limit = 1 })[1]
    for _, filter in ipairs { {}, { key = "key77" }, { taskId = "task77" }, { ref = first.ref }, { open = true },
      { since = os.time() - 60 }, { operation = "generate" }, { state = "done" }, { state = "done", since = 1 },
      { state = "done", taskId = "task77", operation = "extend" }, { key = "key77", operation = "extend" } } do
      filter.limit = filter.limit or 250 -- a page, and one that goes on behind it
      assert(ledger:tasks(filter))
      assert.is_not_nil(ledger:find(filter))
    end
    assert(ledger:claim { limit = 150, since = 7200, round = "r" })
    -- An order's life, with a key and without.
    for _, key in ipairs { "k", false } do
      local found = assert(ledger:open { operation = "extend", api = "veo", body = { prompt = key or "x" }, price = 60,
        key = key or nil, day_limit = 1e9, on_duplicate = "refuse", timeout = 10, source = "s" })
      assert(ledger:accepted(found.request, "made" .. tostring(key)))
      ledger:ended("made" .. tostring(key), { state = "succeeded" })
    end
    assert(ledger:alike { operation = "extend", api = "veo", body = "{}", hash = "h" })
    local explain = place:find("^postgres") and "EXPLAIN " or "EXPLAIN QUERY PLAN "
    local plans = ledgers.connect(place)
    -- So few rows are sometimes read faster without one; whether one can be used is asked.
    if place:find("^postgres") then ledgers.query(plans, "SET enable_seqscan TO off") end
    for _, statement in ipairs(asked) do
      local text, sql = {}, statement.sql
      for i, row in ipairs(ledgers.query(plans, explain .. sql, unpack(statement, 1, statement.n))) do
        text[i] = row.detail or row["QUERY PLAN"]
      end
      text = table.concat(text, "; ")
      for column, index in pairs { hash = "hash", intent_key = "key", task_id = "task_id", path = "path",
        day = "day" } do
        if sql:find("[ %(]" .. column .. " = ") and sql:find("WHERE", 1, true) and not sql:find("ref = ", 1, true) then
          assert.is_not_nil(text:find("veo_tasks_[%l_]*" .. index), sql .. "\n" .. text)
        end
      end
      local scan = sql:find("WHERE", 1, true) and text:find("SCAN veo_tasks", 1, true)
        and not (text:find("veo_tasks_open", 1, true) or text:find("veo_tasks_intents", 1, true)) -- which hold few alone
      assert.is_nil(scan or text:find("Seq Scan on veo_tasks", 1, true), sql .. "\n" .. text)
      assert.is_not_nil(text:lower():find("index", 1, true), sql .. "\n" .. text)
    end
    assert.is_true(#asked > 25)
    plans:close()
    ledger:close()
  end)

  it("frees all that a dead process held, and resumes it", function()
    fill(place, 250, "done")
    local dead = require("veo.ledger.process").name("x"):gsub(":%d+:%d+:", ":4194999:1:")
    ledgers.query(place, "UPDATE veo_tasks SET owner = ?, lease = 99999999999", dead)
    for i = 1, 250 do sim:add { taskId = "task" .. i } end
    local summary = assert(client:resume())
    assert.equal(250, summary.done)
  end)
end

world.describe("reading a ledger", suite)
