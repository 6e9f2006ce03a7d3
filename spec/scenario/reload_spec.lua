-- A newer lua-veo beside an older one in one state: editors and games load their plugins again while they run.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local BUILD = os.getenv("VEO_BUILD") or ("build/" .. (rawget(_G, "jit") and "jit" or _VERSION:match("%d+%.%d+")))
local NEWER = BUILD .. "/newer"

describe("loaded again,", function()
  local sim, folder

  before_each(function()
    sim = simulator.start { speed = 100, render = 1 }
    folder = helper.folder()
  end)
  after_each(function()
    sim:stop()
    helper.sweep()
  end)

  local function run(newer, preload)
    local text = helper.output(table.concat({ helper.lua(), "spec/support/reload.lua", "'" .. newer .. "'", preload,
      sim.url,
      sim.api_key, sim.source, folder }, " "))
    local seen = { text = text }
    for name, rest in text:gmatch("(%l+)\t([^\n]*)") do seen[name] = rest end
    return seen
  end

  -- Two clients, two orders, two videos.
  local function both_work(seen)
    assert.equal("done\tdone", seen.jobs, seen.text)
    local _, charges = sim:charges()
    assert.is_true(#charges >= 2)
    for _, name in ipairs { "old", "new" } do
      assert.equal("ftyp", helper.read(folder .. "/" .. name .. ".mp4"):sub(5, 8))
    end
    assert.matches("^veo%.client %(https?://127[^\t]*under way%)\tveo%.client %(https?://127", seen.shown)
  end

  it("a core of another version, laid out otherwise, works beside the first, and takes nothing of it", function()
    if not helper.read(NEWER .. "/veo/core.so") then return pending("make builds no newer core here") end
    local seen = run(NEWER, "preload")
    assert.matches("^%d[%d.]+\t9%.9%.9\ttrue", seen.versions, nil, seen.text)
    both_work(seen)
    assert.matches("client of another lua%-veo %(veo%.client %d[%d.]+%), and this one is 9%.9%.9", seen.client)
    assert.matches("veo%.core%.client 9%.9%.9 expected, got veo%.core%.client %d[%d.]+", seen.core)
    assert.matches("veo%.core%.sink 9%.9%.9 expected, got veo%.core%.sink %d[%d.]+", seen.sink)
    assert.matches("^done", seen.chain)
  end)

  it("the same core serves both", function()
    local seen = run("", "preload")
    both_work(seen)
    assert.matches("client of another lua%-veo", seen.client)
    assert.matches("^done", seen.chain)
  end)

  it("a room that the first did not load in time is missed, not taken from the second", function()
    local seen = run("", "lazily")
    both_work(seen)
    assert.matches("^missing\t.*another lua%-veo was loaded meanwhile", seen.chain)
  end)

  it("a core that does not know what this library counts on is refused", function()
    local script = folder .. "/mixed.lua"
    helper.write(script, [[
      local core = require "veo.core"
      core.interface, core.version = core.interface - 1, "0.0.9"
      print(pcall(require, "veo"))]])
    assert.matches("^false.*another lua%-veo %(0%.0%.9%)", helper.output(helper.lua() .. " " .. script))
  end)
end)
