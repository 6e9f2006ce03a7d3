-- Many workers at one ledger: what needs the orders' lock and what does not, who is known to live, and who takes over.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local modules = require "veo.ledger"
local needs = require "spec.support.needs"
local processes = require "veo.ledger.process"

local world = both { setup = setup, teardown = teardown, describe = describe }
local sim

local function dead(name) return (processes.name(name):gsub(":%d+:%d+:", ":4194999:1:")) end

-- Open tasks, oldest first: task1, task2, …
local function fill(place, count, owner)
  modules.new(place, { now = helper.now, timeout = 10, rate = {} }):find()
  local to = ledgers.connect(place)
  ledgers.query(to, "BEGIN")
  for i = 1, count do
    ledgers.query(to, [[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, task_id, day, client, owner,
      lease, sending, created, updated)
      VALUES (?, 'accepted', 'extend', 'veo', '{}', 'h', ?, 20000, 'c', ?, ?, 0, ?, 0)]],
      ("ref%03d"):format(i), "task" .. i, owner, owner and 99999999999 or 0, 1e9 + i)
  end
  ledgers.query(to, "COMMIT")
  to:close()
end

local function suite(where)
  local place, opened
  before_each(function()
    sim = world.sim
    sim:reset()
    place, opened = where(), {}
  end)
  after_each(function()
    for _, each in ipairs(opened) do each:close() end
  end)
  local function ledger(more)
    local options = { now = helper.now, timeout = 10, rate = { count = 20, window = 10 } }
    for name, value in pairs(more or {}) do options[name] = value end
    opened[#opened + 1] = modules.new(place, options)
    return opened[#opened]
  end
  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    opened[#opened + 1] = helper.client(sim, options)
    return opened[#opened]
  end
  local function count(where_)
    return ledgers.query(place, "SELECT COUNT(*) AS n FROM veo_tasks WHERE " .. where_)[1].n
  end
  local function claim(of, limit, request)
    request = request or { round = of.owner:sub(-4) }
    request.limit = limit
    return assert(of:claim(request)), request
  end

  it("gives each task to one of two", function()
    fill(place, 30)
    local a, b, taken = ledger(), ledger(), {}
    for _, rows in ipairs { claim(a, 20), claim(b, 20), (claim(a, 20)) } do
      for _, row in ipairs(rows) do
        assert.is_nil(taken[row.ref])
        taken[row.ref] = true
      end
    end
    assert.equal(30, count "owner IS NOT NULL")
  end)

  it("knows what a worker holds by one row, whatever it holds", function()
    fill(place, 30)
    local now = 0
    local a, b = ledger { lease = 3, now = function() return now end }, ledger()
    claim(a, 30)
    ledgers.query(place, "UPDATE veo_tasks SET lease = 1, boot_lease = 1")
    assert.same({}, (claim(b, 30))) -- its own lease goes on
    ledgers.query(place, "UPDATE veo_workers SET lease = 1, boot_lease = 1")
    now = 1.1
    assert.is_true(a:beat())
    assert.equal(30, count "lease = 1")
    assert.same({}, (claim(b, 30)))
    ledgers.query(place, "UPDATE veo_workers SET lease = 1, boot_lease = 1")
    assert.same({}, (claim(b, 30))) -- now they are free
    assert.equal(30, #(claim(b, 30)))
    a:close()
    assert.equal(1, ledgers.query(place, "SELECT COUNT(*) AS n FROM veo_workers")[1].n)
  end)

  it("counts the living, and forgets who left or died", function()
    fill(place, 3)
    local told = {}
    local a = ledger { share = function(clients) told.a = clients end }
    local b = ledger { share = function(clients) told.b = clients end }
    claim(a, 1)
    claim(b, 1)
    claim(a, 1)
    assert.same({ a = 2, b = 2 }, told)
    b:close()
    claim(a, 0)
    assert.equal(1, told.a)
    ledgers.query(place, "INSERT INTO veo_workers (owner, lease) VALUES (?, 99999999999)", dead "b")
    claim(a, 0)
    assert.equal(1, told.a)
    assert.equal(1, ledgers.query(place, "SELECT COUNT(*) AS n FROM veo_workers")[1].n)
  end)

  it("divides the rate of looks among those who share it", function()
    fill(place, 2)
    for i = 1, 2 do sim:add { taskId = "task" .. i } end
    sim:script { { on = "status", state = "generating" } }
    local a, b = new { rate = { polls = 8 } }, ledger()
    claim(b, 1)
    local job = a:spawn(a.resume, a, { wait = { first = 0, interval = 0.01, max_interval = 0.01, timeout = 60 } })
    local function looks() return sim:count("GET", helper.STATUS) end
    helper.step_until(a, function() return looks() >= 2 end) -- the first was booked before
    local began = helper.now()
    helper.step_until(a, function() return looks() >= 6 end)
    job:cancel()
    assert.is_true(helper.now() - began > 0.9, helper.now() - began) -- four, at 4 a second
  end)

  -- A worker without room neither claims nor lets others wait.
  it("frees what a dead one held although it has no room itself", function()
    fill(place, 3)
    for i = 1, 3 do sim:add { taskId = "task" .. i } end
    sim:script { { on = "status", state = "generating" } }
    local full = new()
    local job = full:spawn(full.resume, full, { limit = 1, wait = { timeout = 60 } })
    helper.step_until(full, function() return count "owner IS NOT NULL" == 1 end)
    ledgers.query(place, "UPDATE veo_tasks SET owner = ?, lease = 99999999999 WHERE owner IS NULL", dead "c")
    assert.equal(3, count "owner IS NOT NULL")
    helper.step_until(full, function() return count "owner IS NULL" == 2 end)
    job:cancel()
  end)

  it("goes on claiming as soon as there is room", function()
    fill(place, 60)
    for i = 1, 60 do sim:add { taskId = "task" .. i, render = i == 1 and 1e12 or 0 } end
    local client, told = new { rate = { polls = false } }, 0
    local job = client:spawn(client.resume, client, { limit = 10, wait = { first = 0, interval = 0.01, timeout = 60 },
      on_result = function() told = told + 1 end })
    helper.step_until(client, function() return told == 59 end) -- one claim each 5 s would take 30
    job:cancel()
  end)

  it("claims while tasks end all the time, not only when all that it held have ended", function()
    fill(place, 240)
    for i = 1, 240 do sim:add { taskId = "task" .. i } end
    local client, before, between = new { rate = { polls = false } }, 120, false
    assert(client:resume { limit = 120, wait = { first = 0, interval = 0.01, timeout = 60 }, on_result = function()
      local claimed = count "claim IS NOT NULL"
      between = between or claimed > before and count "state = 'saved'" < before
      before = math.max(before, claimed)
    end })
    assert.is_true(between)
    assert.equal(240, count "state = 'saved'")
  end)

  it("makes the steps of many tasks, but for those whose claim is lost", function()
    fill(place, 30)
    local a, entries = ledger(), {}
    for i, row in ipairs((claim(a, 30))) do
      local fields = { state = "done", status = { taskId = row.task_id, state = "succeeded", creditsConsumed = i } }
      entries[i] = { row = row, fields = i ~= 7 and fields or { state = "failed", err = { code = "failed" } } }
    end
    ledgers.query(place, "UPDATE veo_tasks SET claim = 'x' WHERE ref IN ('ref005', 'ref030')")
    ledgers.query(place, "UPDATE veo_tasks SET ended = 7, result = 'r', consumed = 3 WHERE ref IN ('ref006', 'ref007')")
    local made = {}
    while #made < 30 do -- in as many commits as it takes
      local rest = {}
      for i = #made + 1, 30 do rest[#rest + 1] = entries[i] end
      for _, held in ipairs(assert(a:steps(rest, #rest))) do made[#made + 1] = held end
    end
    for i = 1, 30 do assert.equal(i ~= 5 and i ~= 30, made[i], i) end
    assert.equal(2, count "state = 'accepted' AND result IS NULL AND ended IS NULL")
    assert.equal(1, count "ref = 'ref006' AND state = 'done' AND ended = 7 AND result LIKE '%task6%' AND consumed = 6")
    assert.equal(1, count "ref = 'ref007' AND state = 'failed' AND ended = 7 AND result = 'r' AND error LIKE '%fail%'")
    assert.equal(27, count "state = 'done' AND ended > 0 AND lease > 0 AND error IS NULL AND result LIKE '%succeeded%'")
  end)
end

world.describe("a fleet", suite)

needs.block("postgresql", describe)("a fleet on PostgreSQL", function()
  -- Another process's order that takes its time.
  it("claims, keeps, steps and ends tasks while an order holds the lock", function()
    local place = world.fresh()
    fill(place, 3)
    local ledger = modules.new(place, { now = helper.now, timeout = 10, rate = { count = 20, window = 10 } })
    ledger:find()
    local holder = ledgers.connect(place)
    ledgers.query(holder, "BEGIN")
    ledgers.query(holder, "SELECT 1 AS got FROM (SELECT pg_advisory_xact_lock(860824531)) AS held")
    local rows = assert(ledger:claim { limit = 3, round = "r" })
    assert.equal(3, #rows)
    ledger.beat_at = 0
    assert.is_true(ledger:beat())
    assert.same({ true }, ledger:steps({ { row = rows[1], fields = { state = "done" } } }, 1))
    assert.equal(1, ledger:ended("task2", { state = "succeeded" }))
    assert.equal(1, ledger:release(rows[3]))
    local saved = { state = "saved", file = { path = "/x", size = 1 } }
    local _, err = ledger:steps({ { row = rows[1], fields = saved } }, 1)
    assert.equal("ledger", err.code) -- the names of files are the orders' too
    ledgers.query(holder, "COMMIT")
    holder:close()
    ledger:close()
  end)

  -- A statement is a round trip, which takes longer than what it does.
  it("makes the steps of twenty tasks in one statement, and leaves its host as much time as a commit took", function()
    local place, now = world.fresh(), 10
    fill(place, 20)
    local ledger = modules.new(place, { now = function() return now end, timeout = 10, rate = {} })
    local entries = {}
    for i, row in ipairs(assert(ledger:claim { limit = 20, round = "r" })) do
      entries[i] = { row = row, fields = { state = "done" } }
    end
    assert.equal(20, #assert(ledger:steps(entries, 20)))
    local seen = ledgers.query(place, [[SELECT CAST(COUNT(DISTINCT CAST(cmin AS TEXT)) AS INTEGER) AS n FROM veo_tasks
      WHERE state = 'done']])
    assert.equal(1, seen[1].n)
    now = 12
    assert.same({ 14, 12 }, { ledger:turn(10, true), ledger:turn(10) })
    ledger:close()
  end)

  it("claims what another one is not just claiming", function()
    local place = world.fresh()
    fill(place, 3)
    local ledger = modules.new(place, { now = helper.now, timeout = 10, rate = { count = 20, window = 10 } })
    local other = ledgers.connect(place)
    ledgers.query(other, "BEGIN")
    ledgers.query(other, "UPDATE veo_tasks SET owner = 'x' WHERE ref = 'ref001'")
    local rows = assert(ledger:claim { limit = 1, round = "r" })
    assert.same({ 1, "task2" }, { #rows, rows[1].task_id })
    ledgers.query(other, "COMMIT")
    other:close()
    ledger:close()
  end)
end)
