-- Every kind of exchange after every kind of end, over every transport, in one client, alone and beside others: the
-- second has to work as in a new client. spec/support/pairs/kinds.lua and ends.lua are the two lists.
-- VEO_PAIRS=thin takes every 13th row, VEO_PAIRS=<odd number> every so manieth.

local core = require "veo.core"
local driver = require "spec.support.pairs.driver"
local ends = require "spec.support.pairs.ends"
local kinds = require "spec.support.pairs.kinds"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local reports = require "spec.support.pairs.report"
local rows = require "spec.support.pairs.rows"
local worlds = require "spec.support.pairs.world"

local LANES = 16
local thin = os.getenv "VEO_PAIRS"
local keep = thin == "thin" and 13 or tonumber(thin or 1)

needs.block("nginx", describe)("an exchange after", function()
  local world, report

  setup(function()
    world, report = worlds.start(LANES, ends.redirects), reports.new()
    local list = rows.all(keep, function(row, problem) report:add(row, problem) end)
    local began = core.now()
    driver.run(world, list, LANES)
    io.stdout:write(("\n%d pairs tried in %.0f s\n"):format(report.tried, core.now() - began))
  end)
  teardown(function()
    world:stop()
    helper.sweep()
  end)

  for _, ending in ipairs(ends.list) do
    it("an end: " .. ending.name, function()
      if keep == 1 then assert.is_true(report:count(ending.name) >= #kinds) end
      assert.equal("", report:failures(ending.name))
    end)
  end

  it("anything was tried, and everything", function()
    assert.is_true(report.tried * keep > 9000, report.tried .. " pairs")
  end)

  -- What a client says of a redirect that it does not follow.
  local function redirected(transport, target)
    local client = core.new { base_url = world.origin[transport], api_key = "k", ca_file = world.ca_file }
    local transfer = assert(client:start("download",
      { url = world.origin[transport] .. ends.path_to(target), stream = 1024 }, { timeout = 3 }))
    local reply, failure
    repeat
      client:step(100)
      while client:take() do end
      reply, failure = transfer:result()
    until reply ~= false
    client:close()
    return failure
  end

  for _, target in ipairs(ends.forbidden) do
    it("a redirect is told where it led: " .. target, function()
      for _, transport in ipairs(worlds.transports) do
        local failure = redirected(transport, target)
        assert.same({ "redirect", (target:gsub("%?.*", "")) }, { failure.reason, failure.location })
      end
    end)
  end
end)
