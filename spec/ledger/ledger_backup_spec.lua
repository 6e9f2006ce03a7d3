-- Backup and restore of a ledger, as the README describes them.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

describe("a backup", function()
  local sim, server
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    if server then server:stop() end
    helper.sweep()
  end)

  -- One order before the backup, one after it; then the copy takes the ledger's place.
  local function story(place, restored, back_up)
    sim:reset()
    local client = helper.client(sim, { ledger = place })
    local before = assert(client:extend({ taskId = sim.source, prompt = "before" }, { key = "before" }))
    assert(back_up() == "")
    assert(client:extend({ taskId = sim.source, prompt = "after" }, { key = "after" }))
    client:close()
    client = helper.client(sim, { ledger = restored })
    local again = assert(client:extend({ taskId = sim.source, prompt = "before" }, { key = "before" }))
    assert.same({ before.taskId, true }, { again.taskId, again.joined })
    assert.same({}, client:tasks { key = "after" }) -- what was ordered after it is forgotten
    assert.equal(2, select(2, ledgers.charged(sim)))
    client:close()
  end

  for name, command in pairs { [".backup"] = ".backup '%s'", ["VACUUM INTO"] = "VACUUM INTO '%s'" } do
    it("of a SQLite ledger in use by " .. name .. " holds every order up to it", function()
      local place, copy = helper.folder() .. "/renders.db", helper.folder() .. "/copy.db"
      story(place, copy, function()
        return helper.output(('sqlite3 -cmd ".timeout 5000" %s "%s"'):format(place, command:format(copy)))
      end)
    end)
  end

  it("of a SQLite file without its -wal loses orders, which is why the README warns of it", function()
    local place, copy = helper.folder() .. "/renders.db", helper.folder() .. "/copy.db"
    sim:reset()
    local client = helper.client(sim, { ledger = place })
    assert(client:extend({ taskId = sim.source, prompt = "before" }, { key = "before" }))
    helper.output(("cp %s %s"):format(place, copy))
    local ok, rows = pcall(ledgers.query, copy, "SELECT ref FROM veo_tasks")
    assert.is_true(not ok or #rows == 0)
    client:close()
  end)

  needs.block("postgresql", it)("of a PostgreSQL ledger by pg_dump holds every order up to it", function()
    server = postgres.start()
    ledgers.query(server.uri, "CREATE DATABASE renders")
    ledgers.query(server.uri, "CREATE DATABASE restored")
    local place, copy = server.uri:gsub("/postgres$", "/renders"), server.uri:gsub("/postgres$", "/restored")
    local file = helper.folder() .. "/renders.sql"
    story(place, copy, function()
      return helper.output(("%s/pg_dump --no-owner %s > %s && %s/psql -q -o /dev/null %s -f %s"):format(server.bin,
        place,
        file, server.bin, copy, file))
    end)
  end)
end)
