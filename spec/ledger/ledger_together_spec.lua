-- Orders that are ready together share a commit. Commits are counted where they are made, orders where they are paid.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local databases = require "veo.ledger.database"
local engines = require "veo.ledger.engines"

local Database = getmetatable(databases.new("nothing.db")).__index
local run = Database.run

local world = both { setup = setup, teardown = teardown, describe = describe }
local sim

-- Has the ledger refuse the order with the key "bad" by an error, as a driver does that cannot take a value.
local TRIGGERS = {
  sqlite = { [[CREATE TRIGGER bad BEFORE INSERT ON veo_tasks WHEN NEW.intent_key = 'bad'
    BEGIN SELECT RAISE(ABORT, 'no such thing'); END]] },
  postgresql = { [[CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''no such thing''; END']],
    "CREATE TRIGGER bad BEFORE INSERT ON veo_tasks FOR EACH ROW WHEN (NEW.intent_key = 'bad') EXECUTE FUNCTION bad()" },
}

local function suite(where, kind)
  local place, client, commits, on_commit, hold
  before_each(function()
    sim = world.sim
    sim:reset()
    place, commits, on_commit = where(), 0, nil
    -- However slow the machine is: a commit takes all that are there.
    hold, engines.all[kind].hold = engines.all[kind].hold, 60
    function Database:run(sql, ...)
      if sql ~= "COMMIT" then return run(self, sql, ...) end
      commits = commits + 1
      local fail = on_commit
      on_commit = nil
      if fail then return fail(self) end
      return run(self, sql, ...)
    end
  end)
  after_each(function()
    Database.run, engines.all[kind].hold = run, hold
    client:close()
  end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    client = helper.client(sim, options)
    assert(client:tasks())
    commits = 0
  end
  local function states() return ledgers.states(place) end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function order(key)
    return client:spawn(function() return client:extend({ taskId = sim.source, prompt = key }, { key = key }) end)
  end
  local function orders(count)
    local jobs = {}
    for i = 1, count do jobs[i] = order("k" .. i) end
    return jobs
  end
  -- One turn, in which every job that is ready goes on.
  local function turn() client:step(1) end
  -- All are sent, and their answers come while nobody steps.
  local function await_answers(count)
    sim:script { { on = "extend", delay = 0.5 } }
    helper.step_until(client, function() return posts() == count end)
    os.execute "sleep 1"
  end
  -- Every order was paid once, and the ledger has its task.
  local function paid_once(count)
    local tasks, charges, twice = ledgers.charged(sim)
    assert.same({ count, count, 0 }, { tasks, charges, twice })
    for taskId in pairs((sim:charges())) do
      assert.equal(1, #ledgers.query(place, ("SELECT ref FROM veo_tasks WHERE task_id = '%s'"):format(taskId)))
    end
  end

  it("write their intents in one commit, before the first byte of any", function()
    new()
    local jobs = orders(10)
    turn()
    assert.equal(1, commits)
    assert.equal(("intent "):rep(10), states() .. " ")
    assert.equal(0, posts())
    client:run()
    for _, job in ipairs(jobs) do assert(job:result()) end
    assert.equal(("accepted "):rep(10), states() .. " ")
    paid_once(10)
  end)

  it("write the answers that came together in fewer commits than there are", function()
    new()
    orders(10)
    await_answers(10)
    commits = 0
    client:run()
    assert.is_true(commits < 10, commits .. " commits")
    paid_once(10)
  end)

  it("are written at once where nobody else is ready", function()
    new()
    client:spawn(function() client:sleep(60) end)
    turn()
    local job = order "alone"
    turn()
    assert.same({ 1, "intent" }, { commits, states() })
    helper.step_until(client, function() return job:status() ~= "pending" end)
    assert.same({ 2, "accepted" }, { commits, states() })
  end)

  it("wait for a turn at most when others turn out not to order", function()
    new()
    local jobs = orders(3)
    client:spawn(function() return true end)
    turn()
    assert.same({ 0, "" }, { commits, states() })
    turn()
    assert.same({ 1, "intent intent intent" }, { commits, states() })
    client:run()
    for _, job in ipairs(jobs) do assert(job:result()) end
    paid_once(3)
  end)

  it("see each other's keys and prices", function()
    new { max_credits = { day = 120 } }
    local same = { order "same", order "same" }
    local others = orders(2)
    client:run()
    assert.equal(assert(same[1]:result()).taskId, assert(same[2]:result()).taskId)
    assert(others[1]:result())
    assert.equal("budget", select(2, others[2]:result()).code)
    paid_once(2)
  end)

  it("take commits of their own where one for all would hold others up", function()
    new()
    engines.all[kind].hold = -1
    local jobs = orders(4)
    helper.step_until(client, function() return client:step(5) == 0 end)
    for _, job in ipairs(jobs) do assert(job:result()) end
    assert.is_true(commits >= 8, commits .. " commits")
    paid_once(4)
  end)

  it("are sent when they are in the commit, not when they were in its first try", function()
    new()
    local jobs = orders(4)
    on_commit = function()
      engines.all[kind].hold = -1
      error({ message = "another call came in the middle of this transaction", cause = "within" }, 0)
    end
    helper.step_until(client, function() return client:step(5) == 0 end)
    for _, job in ipairs(jobs) do assert(job:result()) end
    paid_once(4)
  end)

  it("are tried one by one when one of them cannot be written", function()
    new()
    for _, sql in ipairs(TRIGGERS[kind]) do ledgers.query(place, sql) end
    local first, bad, last = order "a", order "bad", order "z"
    client:run()
    local _, err = bad:result()
    assert.same({ "ledger", "no" }, { err.code, err.sent })
    assert(first:result())
    assert(last:result())
    assert.equal("accepted accepted", states())
    paid_once(2)
  end)

  for name, before in pairs { ["before it arrived"] = true, ["after it had arrived"] = false } do
    it("are sent once when the connection is lost at the commit, " .. name, function()
      new()
      local jobs = orders(4)
      on_commit = function(db)
        run(db, before and "ROLLBACK" or "COMMIT")
        error({ message = "server closed the connection unexpectedly", cause = "lost" }, 0)
      end
      client:run()
      for _, job in ipairs(jobs) do assert(job:result()) end
      assert.equal("accepted accepted accepted accepted", states())
      paid_once(4)
    end)
  end

  it("are not sent when the ledger fails for all of them", function()
    new { max_credits = 240 }
    local jobs = orders(4)
    local function fail(db)
      on_commit = fail
      run(db, "COMMIT")
      error({ message = "server closed the connection unexpectedly", cause = "lost" }, 0)
    end
    on_commit = fail
    client:run()
    on_commit = nil
    for _, job in ipairs(jobs) do
      local _, err = job:result()
      assert.same({ "ledger", "no" }, { err.code, err.sent })
    end
    assert.equal(0, posts())
    -- Nothing is left of them: neither their intents nor their prices.
    for i = 1, 4 do assert(client:extend { taskId = sim.source, prompt = "again " .. i }) end
    assert.equal("refused refused refused refused accepted accepted accepted accepted", states())
  end)

  it("are all in the ledger when a finalizer uses that in the middle of their commit", function()
    new()
    local jobs, inserted, counting = orders(4), 0, Database.run
    function Database:run(sql, ...)
      local changed = counting(self, sql, ...)
      if not sql:find "^INSERT INTO veo_tasks" then return changed end
      inserted = inserted + 1
      if inserted == 3 then jobs[1]:cancel() end -- as a finalizer may, which runs wherever Lua allocates
      return changed
    end
    client:run()
    for i = 2, 4 do assert(jobs[i]:result()) end
    assert.equal(3, posts())
    paid_once(3)
  end)

  it("end when a finalizer closes their client in the middle of their commit", function()
    new()
    local jobs, inserted, counting = orders(4), 0, Database.run
    function Database:run(sql, ...)
      local changed = counting(self, sql, ...)
      if not sql:find "^INSERT INTO veo_tasks" then return changed end
      inserted = inserted + 1
      if inserted == 3 then client:close() end
      return changed
    end
    turn()
    for i = 1, 4 do
      local _, err = jobs[i]:result()
      assert.same({ "closed", "no" }, { err.code, err.sent }, tostring(err))
    end
    assert.equal(0, posts())
    assert.is_nil(states():find "intent", states())
  end)

  it("wait for a lock once", function()
    new { timeout = 60 } -- of which a share is the longest that a transaction takes
    local jobs, tries, transaction = orders(3), 0, Database.transaction
    function Database:transaction(...)
      tries = tries + 1
      return transaction(self, ...)
    end
    local other = ledgers.connect(place)
    ledgers.query(other, kind == "sqlite" and "BEGIN IMMEDIATE" or "BEGIN")
    if kind == "postgresql" then ledgers.query(other, engines.all.postgresql.begin[2]) end
    local ok, why = pcall(client.run, client)
    Database.transaction = transaction
    ledgers.query(other, "ROLLBACK")
    other:close()
    assert(ok, why)
    for _, job in ipairs(jobs) do
      local _, err = job:result()
      assert.same({ "ledger", "busy", "no" }, { err.code, err.cause, err.sent })
      assert.truthy(err.message:find("extend: ", 1, true))
    end
    assert.same({ 1, 0 }, { tries, posts() })
    assert(client:extend({ taskId = sim.source, prompt = "k1" }, { key = "k1" }))
    assert.equal("accepted", states())
  end)

  it("are paid once and known, at whatever instruction of one of them an error comes", function()
    local n, hit = 1, nil
    new()
    repeat
      sim:reset()
      local before = #ledgers.query(place, "SELECT ref FROM veo_tasks")
      order("a" .. n)
      order("b" .. n)
      client:spawn(function()
        hit = helper.interrupt(n, "veo/ledger/together.lua")
        return client:extend { taskId = sim.source, prompt = "c" .. n }
      end)
      if not pcall(client.run, client) then client:run() end
      debug.sethook()
      local tasks, charges, twice = ledgers.charged(sim)
      assert.same({ tasks, 0 }, { charges, twice })
      assert.is_true(tasks >= 2, "the others were not ordered")
      for taskId in pairs((sim:charges())) do
        local rows = ledgers.query(place, ("SELECT state FROM veo_tasks WHERE task_id = '%s'"):format(taskId))
        assert.same({ { state = "accepted" } }, rows, "instruction " .. n)
      end
      local rows = ledgers.query(place, "SELECT state FROM veo_tasks ORDER BY created, ref")
      local kinds = {}
      for i = before + 1, #rows do kinds[rows[i].state] = (kinds[rows[i].state] or 0) + 1 end
      assert.same({ tasks, nil, nil }, { kinds.accepted, kinds.intent, kinds.uncertain }, "instruction " .. n)
      n = n + 17
    until not hit()
    assert.is_true(n > 18)
  end)

  for name, cancel in pairs { cancelled = true, closed = false } do
    it("have sent nothing when they are " .. name .. " before the commit", function()
      new { max_credits = 180 }
      local jobs = orders(3)
      client:spawn(function() return true end)
      turn()
      assert.equal(0, commits)
      if not cancel then
        client:close()
        for _, job in ipairs(jobs) do assert.equal("closed", select(2, job:result()).code) end
        assert.same({ 0, "" }, { posts(), states() })
        return
      end
      jobs[2]:cancel()
      local _, err = jobs[2]:result()
      assert.same({ "cancelled", "no" }, { err.code, err.sent })
      client:run()
      assert.equal("accepted accepted", states())
      assert(client:extend { taskId = sim.source, prompt = "its price is free" })
      paid_once(3)
    end)

    it("have sent nothing when they are " .. name .. " right behind the commit", function()
      new { max_credits = 180 }
      local jobs = orders(3)
      turn()
      assert.same({ 1, "intent intent intent" }, { commits, states() })
      if not cancel then
        client:close()
        for _, job in ipairs(jobs) do assert.equal("closed", select(2, job:result()).code) end
        assert.same({ 0, "refused refused refused" }, { posts(), states() })
        return
      end
      jobs[2]:cancel()
      client:run()
      assert.equal("accepted accepted refused", table.concat({ states():match "accepted", states():match "accepted",
        states():match "refused" }, " "))
      assert(client:extend { taskId = sim.source, prompt = "its price is free" })
      paid_once(3)
    end)

    it("keep an answer that waits for another one when they are " .. name, function()
      local jobs, replies = nil, 0
      new { log = function(event)
        if event.event ~= "reply" then return end
        replies = replies + 1
        if replies ~= 2 then return end
        if not cancel then return client:close() end
        for _, job in ipairs(jobs) do job:cancel() end
      end }
      jobs = orders(2)
      await_answers(2)
      if cancel then client:run() else helper.step_until(client, function() return replies == 2 end) end
      for _, job in ipairs(jobs) do
        local _, err = job:result()
        assert.same({ "uncertain", "yes" }, { err.code, err.charged })
        assert.is_string(err.taskId)
      end
      assert.equal("accepted accepted", states())
      paid_once(2)
    end)
  end
end

world.describe("orders that are ready together", suite)
