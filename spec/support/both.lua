--- What the specs of a ledger share that run on both databases: one simulator and one PostgreSQL for a file.
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

---`sim` and `server` once the examples run; `describe(title, suite)` runs `suite(where, kind)` on each database, where
---`where()` is a ledger's place of its own.
---@param busted table  setup, teardown, describe: busted gives them to spec files alone
---@return table world
return function(busted)
  local world, places = {}, {}
  busted.setup(function()
    world.sim = simulator.start { speed = 10000, rate = false }
    world.server = postgres.start()
  end)
  busted.teardown(function()
    world.sim:stop()
    world.server:stop()
    helper.sweep()
  end)
  function places.sqlite() return helper.folder() .. "/renders.db" end
  function places.postgresql() return ledgers.fresh(world.server) end
  world.fresh = places.postgresql

  function world.describe(title, suite)
    busted.describe(title .. " on SQLite", function() suite(places.sqlite, "sqlite") end)
    needs.block("postgresql", busted.describe)(title .. " on PostgreSQL", function()
      suite(places.postgresql, "postgresql")
    end)
  end
  return world
end
