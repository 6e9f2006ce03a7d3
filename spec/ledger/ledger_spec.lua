-- The ledger on SQLite.

local canonical = require "veo.util.canonical_json"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local schema = require "veo.ledger.schema"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("a ledger on SQLite", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  require "spec.support.ledger_suite"(function() return sim end, function() return helper.folder() .. "/renders.db" end,
    { describe = describe, it = it, before_each = before_each, after_each = after_each })
end)

describe("the living and the dead on SQLite", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  require "spec.support.living_suite"(function() return sim end, function() return helper.folder() .. "/renders.db" end,
    { describe = describe, it = it, before_each = before_each, after_each = after_each, pending = pending })
end)

describe("the SQLite file", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  it("is in WAL mode and carries its version", function()
    local place = helper.folder() .. "/renders.db"
    local client = helper.client(sim, { ledger = place })
    assert(client:tasks())
    assert.equal("wal", ledgers.query(place, "PRAGMA journal_mode")[1].journal_mode)
    assert.equal(tostring(schema.version), ledgers.query(place, "SELECT value FROM veo_meta")[1].value)
    client:close()
  end)

  it("of an older version is brought forward with what it holds", function()
    local place = helper.folder() .. "/renders.db"
    local old = ledgers.connect(place)
    ledgers.query(old, "CREATE TABLE veo_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    ledgers.query(old, "INSERT INTO veo_meta VALUES ('schema', '1')")
    for _, sql in ipairs(schema.steps[1]) do ledgers.query(old, sql) end
    ledgers.query(old, [[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, task_id, day, client, lease,
      sending, created, updated) VALUES ('r', 'accepted', 'extend', 'veo', '{}', 'h', 't', 1, 'c', 0, 0, 1, 1)]])
    old:close()
    local client = helper.client(sim, { ledger = place })
    assert.equal("t", assert(client:tasks())[1].taskId)
    assert.equal(tostring(schema.version), ledgers.query(place, "SELECT value FROM veo_meta")[1].value)
    assert.same({}, ledgers.query(place, "SELECT * FROM veo_upgrades"))
    assert.same({}, ledgers.query(place, "SELECT * FROM veo_charges"))
    client:close()
  end)

  it("of a newer version is left alone", function()
    local place = helper.folder() .. "/renders.db"
    ledgers.query(place, "CREATE TABLE veo_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    ledgers.query(place, "INSERT INTO veo_meta VALUES ('schema', '999')")
    local client = helper.client(sim, { ledger = place })
    local _, err = client:extend { taskId = sim.source, prompt = "x" }
    assert.same({ "ledger", "newer" }, { err.code, err.cause })
    assert.equal(0, sim:count("POST", helper.EXTEND))
    client:close()
  end)

  it("is shared by several processes without a second order", function()
    sim:reset()
    local place, folder = helper.folder() .. "/renders.db", helper.folder()
    local file = folder .. "/worker.lua"
    helper.write(file, [[
      local veo = require "veo"
      local client = veo.new { base_url = arg[1], api_key = arg[2], ledger = arg[3], rate = { count = 1000 } }
      for i = 1, 20 do
        local task, err = client:extend({ taskId = arg[4], prompt = "shot " .. i }, { key = "shot-" .. i })
        if not task then print(err) os.exit(1) end
      end
      client:close()
      print "ok"
    ]])
    local command = ledgers.script(helper.lua(), file, sim.url, sim.api_key, place, sim.source)
    local text = helper.output(("for i in 1 2 3 4; do (%s) & done; wait"):format(command))
    assert.equal("ok\nok\nok\nok\n", text)
    local tasks, charges, twice = ledgers.charged(sim)
    assert.same({ 20, 20, 0 }, { tasks, charges, twice })
  end)
end)

describe("LuaDBI", function()
  teardown(helper.sweep)

  it("is not loaded without a ledger", function()
    local file = helper.folder() .. "/plain.lua"
    helper.write(file, 'require("veo").new { api_key = "k" } print(package.loaded.DBI)')
    assert.equal("nil\n", helper.output(ledgers.script(helper.lua(), file)))
  end)

  it("is asked for by the names of its packages", function()
    local loaded, preload = package.loaded.DBI, package.preload.DBI
    package.loaded.DBI, package.preload.DBI = nil, function() error("not here") end
    local ok, message = pcall(veo.new, { api_key = "k", ledger = "renders.db" })
    package.loaded.DBI, package.preload.DBI = loaded, preload
    assert.is_false(ok)
    assert.truthy(message:find("lua-dbi-sqlite3", 1, true))
  end)
end)

describe("the canonical spelling", function()
  local encode = canonical.encode

  it("is one for equal bodies", function()
    assert.equal('{"a":1,"b":[true,"x"],"c":{"d":1.5}}', encode { c = { d = 1.5 }, b = { true, "x" }, a = 1 })
    assert.equal(encode { seeds = 12345 }, encode { seeds = 12345.0 })
  end)

  it("holds no byte that a database would cut or refuse", function()
    local text = encode { "a\0b\1\127\255\192\128\237\160\128\195\164" }
    assert.falsy(text:find("[%z\1-\31]"))
    assert.equal('["a\\u0000b\\u0001\\u007f\\udcff\\udcc0\\udc80\\udced\\udca0\\udc80\195\164"]', text)
  end)

  it("tells different bodies apart", function()
    local seen = {}
    for _, value in ipairs { { "1" }, { 1 }, { { 1 } }, { a = 1 }, { a = "1" }, { "\255" }, { "\\udcff" }, {} } do
      local text = encode(value)
      assert.is_nil(seen[text])
      seen[text] = true
      assert.is_nil(seen[canonical.hash(text)])
      seen[canonical.hash(text)] = true
    end
  end)
end)
