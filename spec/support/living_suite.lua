--- Dead means provably dead, on either database: run by ledger_spec and ledger_pg_spec.
local assert = require "luassert"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local living = require "spec.support.living"

local has_native, native = pcall(require, "native")

---@param sim fun(): table       the simulator
---@param where fun(): string    a fresh ledger
---@param busted table           describe, it, …: busted gives them to spec files alone
return function(sim, where, busted)
  local describe, it, before_each, after_each = busted.describe, busted.it, busted.before_each, busted.after_each
  -- An example that is skipped: `pending` of a spec file, called in an example from here, would let it pass.
  local function unless(why, name, fn)
    if why then return busted.pending(name .. " " .. why) end
    it(name, fn)
  end
  local built = not has_native and "needs native.so (make test builds it)" or nil
  local place, clients

  before_each(function()
    sim():reset()
    place, clients = where(), {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local function new(more)
    local options = { ledger = place, lease = 3 }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim(), options)
    return clients[#clients]
  end
  local function shot(prompt) return { taskId = sim().source, prompt = prompt or "the boat turns" } end
  local function states() return ledgers.states(place) end
  local function posts() return sim():count("POST", helper.EXTEND) end
  local function row() return ledgers.query(place, "SELECT * FROM veo_tasks ORDER BY created, ref")[1] end
  -- A user of another id may write the ledger too.
  local function share()
    if place:find "^postgres" then return end
    os.execute("chmod 777 $(dirname " .. place .. "); chmod 666 " .. place .. "*")
  end

  describe("a living process", function()
    for _, there in ipairs(living.places) do
      unless(living.obstacle(there), "is not given up " .. there.name, function()
        local client = new()
        assert(client:tasks())
        share()
        local job = client:spawn(client.extend, client, shot(), { key = "k" })
        helper.step_until(client, function() return states() == "intent" end) -- and goes on when the client is stepped
        share()
        local pipe = living.run(there, sim(), place, [[
          print(assert(client:tasks())[1].state)
          local task, err = client:extend({ taskId = source, prompt = "the boat turns" }, { key = "k" })
          print(task and task.taskId or err)
        ]])
        assert.equal("intent", pipe:read "*l")
        client:run()
        local task = assert(job:result())
        assert.equal(task.taskId, pipe:read "*l")
        pipe:close()
        assert.same({ 1, 1, 0 }, { ledgers.charged(sim()) })
      end)
    end

    local there = living.places[1]
    unless(living.obstacle(there), "in another PID namespace is believed here, and its tasks stay its own", function()
      local client, folder = new(), helper.folder()
      assert(client:tasks())
      sim():script { { on = "media", delay = 1 } }
      local pipe = living.run(there, sim(), place, ([[
        for i = 1, 3 do
          client:spawn(function()
            local status = assert(helper.extend_and_wait(client, { taskId = source, prompt = "shot " .. i }))
            assert(client:download(status, "%s/" .. i .. ".mp4"))
          end)
        end
        client:run()
        for _, record in ipairs(client:tasks()) do print(record.state) end
      ]]):format(folder))
      helper.step_until(client, function() return states() == "done done done" end)
      local other = helper.folder()
      local summary = assert(client:resume { path = other .. "/{taskId}.mp4" })
      assert.equal(0, summary.saved)
      assert.equal("saved\nsaved\nsaved\n", pipe:read "*a")
      pipe:close()
      local fetched = 0
      for _, request in ipairs(sim():requests { method = "GET" }) do
        if request.path:find("%.mp4$") then fetched = fetched + 1 end
      end
      assert.equal(3, fetched)
    end)
  end)

  unless(built, "is alive when its main thread has ended and another one goes on, until it is killed", function()
    local client = new()
    local task = assert(client:extend(shot(), { key = "k" }))
    local pid = native.headless()
    local function state() return (helper.read("/proc/" .. pid .. "/stat") or ""):match("%) (%u)") end
    helper.step_until(client, function() return state() == "Z" end)
    local since = helper.read("/proc/" .. pid .. "/stat"):match("%) (.*)$")
    for _ = 1, 19 do since = since:gsub("^%S+ ", "") end
    local name = row().owner:gsub(":%d+:%d+:", (":%d:%s:"):format(pid, since:match "^%d+"))
    -- It holds a task, and has an order under way.
    ledgers.query(place, "UPDATE veo_tasks SET owner = ?, state = 'intent', sending = 1, task_id = NULL", name)
    assert.equal("intent", assert(new():tasks())[1].state)
    assert.equal(name, row().owner)
    os.execute("kill -9 " .. pid)
    helper.step_until(client,
      function() return helper.read("/proc/" .. pid .. "/stat"):match "%) Z .* 20 0 1 0 " ~= nil end)
    assert.equal("uncertain", assert(new():tasks())[1].state)
    assert.same({ 1, 1, 0 }, { ledgers.charged(sim()) })
    assert.truthy(task.taskId)
  end)

  -- Whatever a child of a fork does with its parent's client, its parent's order is under way, and its task its own.
  describe("a forked child", function()
    local function told(client, done)
      return (native.fork(function()
        local ok, value, err = pcall(done, client)
        collectgarbage()
        return tostring(ok) .. " " .. tostring(err and err.cause or value)
      end))
    end

    unless(built, "leaves the ledger to its parent", function()
      local client = new { timeout = 10 }
      local task = assert(client:extend(shot("first"), { key = "first" }))
      sim():script { { on = "extend", delay = 0.3 } }
      local job = client:spawn(client.extend, client, shot(), { key = "k" })
      helper.step_until(client, function() return posts() == 2 end)
      local owner = row().owner
      local function fork(what, wanted)
        local said = told(client, what)
        assert.truthy(said:find(wanted, 1, true), said)
        assert.same({ "accepted intent", owner }, { states(), row().owner })
      end
      fork(function() return client:extend(shot "child") end, "made before a fork")
      fork(function() return client:tasks() end, "made before a fork")
      fork(function() return client:resume() end, "made before a fork")
      fork(function() return client:close() end, "true nil")
      fork(function() client = nil end, "true nil")
      client = clients[#clients]
      client:run()
      assert.equal(owner, row().owner)
      assert(job:result())
      assert.equal(task.taskId, assert(client:extend(shot("first"), { key = "first" })).taskId)
      assert.equal("accepted accepted", states())
      assert.same({ 2, 2, 0 }, { ledgers.charged(sim()) })
    end)

    unless(built, "leaves it when it ends as a program does, with all that it has closed by the collector", function()
      local client = new()
      assert(client:extend(shot("first"), { key = "first" }))
      local function backends() -- who is connected to it, as PostgreSQL says
        return place:find "^postgres" and ledgers.query(place, "SELECT pid FROM pg_stat_activity "
          .. "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ''") or {}
      end
      local before = backends()
      native.fork(function() os.exit(0, true) end)
      os.execute "sleep 0.1" -- nothing tells that a server has not heard a goodbye
      assert.same(before, backends())
      assert(client:extend(shot(), { key = "k" }))
      assert.equal("accepted accepted", states())
      assert.same({ 2, 2, 0 }, { ledgers.charged(sim()) })
    end)
  end)

  describe("an order that stands in line for a place", function()
    local client, job
    -- The only place is taken by a slow look.
    local function stand(options, seconds)
      client = new { max_in_flight = 1 }
      assert(client:tasks())
      sim():script { { on = "status", delay = seconds or 0.4, times = 1 } }
      client:spawn(client.status, client, sim().source)
      helper.step_until(client, function() return sim():count("GET", helper.STATUS) == 1 end)
      job = client:spawn(client.extend, client, shot(), options)
      helper.step_until(client, function() return states() == "intent" end)
      assert.equal(1, row().sending)
    end
    local function bury(other)
      ledgers.query(place, "UPDATE veo_tasks SET lease = 0")
      assert.equal("uncertain", assert(other:tasks())[1].state)
    end

    it("is kept by its process, however long that takes", function()
      stand(nil, 1.5)
      ledgers.query(place, "UPDATE veo_tasks SET lease = 1, boot_lease = 1")
      helper.step_until(client, function() return row().lease > 1 end)
      assert.equal(0, posts())
      assert.equal("intent", assert(new():tasks())[1].state)
      client:run()
      assert(job:result())
      assert.equal(1, posts())
    end)

    it("is not sent when it was declared dead meanwhile, and gives its key and price back", function()
      stand { key = "k" }
      local other = new { max_credits = { day = 60 } }
      bury(other)
      client:run()
      local _, err = job:result()
      assert.same({ "ledger", "lost", "no", 0 }, { err.code, err.cause, err.sent, posts() })
      assert.equal("refused", states())
      assert(other:extend(shot(), { key = "k" }))
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim()) })
    end)

    it("is not sent when a person settled it meanwhile", function()
      stand { key = "k" }
      local other = new()
      bury(other)
      assert(other:settle(row().ref, "lost"))
      assert(other:extend(shot(), { key = "k" }))
      client:run()
      assert.equal("no", select(2, job:result()).sent)
      assert.equal("lost accepted", states())
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim()) })
    end)

    it("is not sent when the ledger cannot be asked", function()
      stand()
      ledgers.query(place, "ALTER TABLE veo_tasks RENAME TO elsewhere")
      client:run()
      local _, err = job:result()
      assert.same({ "ledger", "no", 0 }, { err.code, err.sent, posts() })
      ledgers.query(place, "ALTER TABLE elsewhere RENAME TO veo_tasks")
    end)
  end)

  it("an order that looked at the balance first asks the ledger once more", function()
    local client, other = new { evidence = true }, new()
    assert(client:tasks())
    sim():script { { on = "credits", delay = 0.4, times = 1 } }
    local job = client:spawn(client.extend, client, shot())
    helper.step_until(client, function() return states() == "intent" end)
    ledgers.query(place, "UPDATE veo_tasks SET lease = 0")
    assert.equal("uncertain", assert(other:tasks())[1].state)
    assert(other:settle(row().ref, "lost"))
    client:run()
    assert.same({ "no", 0, "lost" }, { select(2, job:result()).sent, posts(), states() })
  end)

  describe("a definite answer after the order was given up", function()
    local client, other, job
    local function give_up(effect)
      client, other = new(), new()
      effect.on, effect.delay, effect.times = "extend", 0.3, 1
      sim():script { effect }
      job = client:spawn(client.extend, client, shot(), { key = "k" })
      helper.step_until(client, function() return posts() == 1 end)
      ledgers.query(place, "UPDATE veo_tasks SET lease = 0")
      assert.equal("uncertain", assert(other:tasks())[1].state)
      client:run()
    end

    it("settles it as refused: key and price are free", function()
      give_up { code = 402 }
      assert.equal("insufficient_credits", select(2, job:result()).code)
      assert.equal("refused", states())
      assert(other:extend(shot(), { key = "k" }))
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim()) })
    end)

    it("settles it as accepted, and it is its client's again", function()
      give_up {}
      local task = assert(job:result())
      local found = row()
      assert.same({ "accepted", task.taskId, found.client }, { found.state, found.task_id, found.owner })
    end)

    it("of its own that was uncertain stays uncertain", function()
      client, other = new(), new()
      sim():script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      assert.equal("uncertain", select(2, client:extend(shot(), { key = "k" })).code)
      client:close()
      assert.equal("uncertain", select(2, other:extend(shot(), { key = "k" })).code)
      assert.same({ 1, "uncertain" }, { select(2, ledgers.charged(sim())), states() })
    end)
  end)
end
