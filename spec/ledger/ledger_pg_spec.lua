-- The ledger on PostgreSQL: a real server, run for this file alone.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local schema = require "veo.ledger.schema"

needs.block("postgresql", describe)("a ledger on PostgreSQL", function()
  local world = both { setup = setup, teardown = teardown }
  local fresh, sim, server = world.fresh, nil, nil
  before_each(function() sim, server = world.sim, world.server end)

  require "spec.support.ledger_suite"(function() return world.sim end, fresh,
    { describe = describe, it = it, before_each = before_each, after_each = after_each })
  describe("knows", function()
    require "spec.support.identity_suite"(function() return world.sim end, fresh,
      { describe = describe, it = it, before_each = before_each, after_each = after_each }, { "half", "renamed" })
  end)

  describe("the living and the dead", function()
    local place -- one for all: to make a database takes longer than most of these
    local function emptied()
      if not place then
        place = fresh()
      else
        for _, name in ipairs { "veo_tasks", "veo_slots" } do ledgers.query(place, "DELETE FROM " .. name) end
      end
      return place
    end
    require "spec.support.living_suite"(function() return world.sim end, emptied,
      { describe = describe, it = it, before_each = before_each, after_each = after_each, pending = pending })
  end)

  it("writes on closing what its server was not there for", function()
    sim:reset()
    local place = fresh()
    local client = helper.client(sim, { ledger = place })
    sim:script { { on = "extend", delay = 0.5 } }
    local job = client:spawn(client.extend, client, { taskId = sim.source, prompt = "a" })
    helper.step_until(client, function() return sim:count("POST", helper.EXTEND) == 1 end)
    server:down()
    client:run()
    assert(job:result())
    server:up()
    client:close()
    assert.equal("accepted", ledgers.states(place))
  end)

  it("comes back after its server was gone", function()
    sim:reset()
    local place = fresh()
    local client = helper.client(sim, { ledger = place })
    assert(client:extend { taskId = sim.source, prompt = "a" })
    ledgers.query(server.uri, [[SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type = 'client backend']])
    assert(client:extend { taskId = sim.source, prompt = "b" }) -- a connection that stood idle may be dead
    server:down()
    local _, err = client:extend { taskId = sim.source, prompt = "c" }
    assert.equal("ledger", err.code)
    assert.equal(2, sim:count("POST", helper.EXTEND))
    server:up()
    assert(client:extend { taskId = sim.source, prompt = "c" })
    assert.equal("accepted accepted accepted", ledgers.states(place))
    client:close()
  end)

  it("writes later what it could not write at once", function()
    sim:reset()
    local place, events = fresh(), {}
    local client = helper.client(sim, { ledger = place, log = function(event) events[#events + 1] = event.event end })
    sim:script { { on = "extend", delay = 0.3 } }
    local job = client:spawn(function() return client:extend { taskId = sim.source, prompt = "a" } end)
    helper.step_until(client, function() return sim:count("POST", helper.EXTEND) == 1 end)
    server:down "immediate"
    local task = assert(job:wait())
    assert.equal("ledger", task.ledger_error.code)
    server:up()
    assert.equal("intent", ledgers.states(place))
    assert(client:tasks())
    assert.equal("accepted", ledgers.states(place))
    client:close()
  end)

  it("is not held up by a worker that stops inside a transaction", function()
    sim:reset()
    local place, folder = fresh(), helper.folder()
    local client = helper.client(sim, { ledger = place })
    assert(client:tasks())
    helper.write(folder .. "/stopped.lua", [[
      local database = assert(require("veo.ledger.database").new(arg[1]))
      local value, problem = database:transaction(function(db)
        db:run("UPDATE veo_meta SET value = '99' WHERE name = 'schema'")
        os.execute("touch " .. arg[2] .. "; sleep 7")
        return 1
      end)
      print(value, problem and problem.cause)
    ]])
    local pipe = io.popen(ledgers.script(helper.lua(), folder .. "/stopped.lua", place, folder .. "/inside"))
    helper.wait_until(function() return helper.read(folder .. "/inside") end)
    assert(client:extend { taskId = sim.source, prompt = "a" })
    assert.equal("nil\tlost\n", pipe:read("*a"))
    pipe:close()
    local version = ledgers.query(place, "SELECT value FROM veo_meta WHERE name = 'schema'")[1].value
    assert.equal(tostring(schema.version), version)
    client:close()
  end)

  it("sends an order once whatever isolation the database has by default #timing", function()
    for _, level in ipairs { "repeatable read", "serializable" } do
      sim:reset()
      local place, folder = fresh(), helper.folder()
      ledgers.query(server.uri, ("ALTER DATABASE %s SET default_transaction_isolation TO '%s'"):format(
        place:match "[^/]+$", level))
      local first = helper.client(sim, { ledger = place })
      assert(first:tasks())
      first:close()
      helper.write(folder .. "/order.lua", [[
        local helper = require "spec.support.helper"
        local client = helper.client(arg[1], { ledger = arg[2], api_key = arg[3] })
        assert(client:tasks())
        os.execute("touch " .. arg[4])
        while not io.open(arg[5]) do os.execute "sleep 0.02" end
        local task, err = client:extend { taskId = arg[6], prompt = "the same" }
        print(task and (task.joined and "joined" or "sent") or err.code)
        client:close()
      ]])
      local pipes = {}
      for i = 1, 2 do
        pipes[i] = io.popen(ledgers.script("timeout 120 " .. helper.lua(), folder .. "/order.lua", sim.url, place,
          sim.api_key, folder .. "/ready" .. i, folder .. "/go", sim.source))
      end
      helper.wait_until(function() return #helper.list(folder) >= 3 end)
      -- Both wait for the lock, so that the second gets it while the first one's commit is fresh.
      local holder = ledgers.connect(place)
      ledgers.query(holder, "BEGIN")
      ledgers.query(holder, "SELECT 1 AS got FROM (SELECT pg_advisory_xact_lock(860824531)) AS held")
      helper.write(folder .. "/go", "")
      os.execute "sleep 0.5"
      ledgers.query(holder, "COMMIT")
      local told = { pipes[1]:read "*l", pipes[2]:read "*l" }
      table.sort(told)
      for _, pipe in ipairs(pipes) do pipe:close() end
      holder:close()
      assert.same({ "joined", "sent" }, told, level)
      assert.equal(1, sim:count("POST", helper.EXTEND), level)
    end
  end)

  -- Stopped, its kernel still acknowledges what is sent; only the waiting itself can be ended.
  it("ends an order in time when its server says nothing any more", function()
    sim:reset()
    local client = helper.client(sim, { ledger = fresh(), timeout = 5 })
    assert(client:tasks())
    server:signal "STOP"
    finally(function() server:signal "CONT" end)
    local began = helper.now()
    local _, err = client:extend { taskId = sim.source, prompt = "a" }
    assert.same({ "ledger", "no", 0 }, { err.code, err.sent, sim:count("POST", helper.EXTEND) })
    assert.is_true(helper.now() - began < 20, "it took " .. helper.now() - began)
    server:signal "CONT"
    assert(client:extend { taskId = sim.source, prompt = "a" })
    assert.equal(1, sim:count("POST", helper.EXTEND))
    client:close()
  end)

  it("is not taken for another one that was made in its place", function()
    sim:reset()
    local place = fresh()
    local client = helper.client(sim, { ledger = place })
    assert(client:extend({ taskId = sim.source, prompt = "a" }, { key = "k" }))
    ledgers.query(server.uri, ("DROP DATABASE %s WITH (FORCE)"):format(place:match "[^/]+$"))
    ledgers.query(server.uri, ("CREATE DATABASE %s"):format(place:match "[^/]+$"))
    for _ = 1, 2 do
      local _, err = client:extend({ taskId = sim.source, prompt = "a" }, { key = "k" })
      assert.same({ "ledger", "gone", "no" }, { err.code, err.cause, err.sent })
    end
    assert.equal(1, sim:count("POST", helper.EXTEND))
    client:close()
    local _, err = helper.client(sim, { ledger = place, create = false }):tasks()
    assert.equal("absent", err.cause)
  end)

  it("shows no password", function()
    local client = helper.client(sim, { ledger = "postgresql://veo:geheim@127.0.0.1:1/postgres" })
    local _, err = client:tasks()
    assert.equal("ledger", err.code)
    assert.falsy(tostring(err):find("geheim", 1, true))
    client:close()
  end)

  -- A statement of LuaDBI points at its connection: of the two, a whole collection amid finalizers freed the one first.
  it("is collected without being closed, in whatever order", function()
    local script = helper.folder() .. "/garbage.lua"
    helper.write(script, [[
      local databases = require "veo.ledger.database"
      for round = 1, 20 do
        for _ = 1, 4 do
          local db = databases.new(arg[1])
          assert(db:transaction(function()
            for n = 1, 5 do db:select("SELECT " .. n .. " AS n") end
            return true
          end, "reading"))
        end
        for step = 1, 400 do
          collectgarbage("step", 1)
          if step % (round * 2) == 0 then collectgarbage() end
          local _ = { {}, {}, {}, {}, {}, {}, {}, {} }
        end
      end
      print "fine"]])
    assert.equal("fine\n", helper.output(ledgers.script(helper.lua(), script, server.uri)))
  end)
end)
