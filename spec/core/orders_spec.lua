-- Which call of the core an order goes through.

local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("an order", function()
  local sim

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  -- The operations that `fn` has the core start.
  local function started(fn)
    local handle = core.new { base_url = sim.url, api_key = sim.api_key }
    local methods = debug.getmetatable(handle).__index
    local start, seen = methods.start, {}
    methods.start = function(self, operation, ...)
      seen[#seen + 1] = operation
      return start(self, operation, ...)
    end
    local ok, problem = pcall(fn)
    methods.start = start
    handle:close()
    assert(ok, problem)
    return table.concat(seen, " ")
  end

  for _, api in ipairs { "veo", "jobs" } do
    it("that extends is the core's own extend, any other one a request: " .. api, function()
      local client = veo.new { base_url = sim.url, api_key = sim.api_key, api = api }
      assert.equal("extend", started(function() assert(client:extend { taskId = sim.source, prompt = "x" }) end))
      assert.equal("request", started(function() assert(client:generate { prompt = "x" }) end))
      client:close()
      local _, list = sim:charges()
      assert.equal(2, #list)
      sim:reset()
    end)
  end

  it("takes its options beside its parameters", function()
    local handle = core.new { base_url = sim.url, api_key = sim.api_key }
    local params = { taskId = sim.source, prompt = "x" }
    assert.equal(200, handle:extend(params, { timeout = 5, without_alpn = true }).code)
    assert.has_error(function() handle:extend(params, { within_alpn = true }) end)
    assert.has_error(function() handle:status(sim.source, { without_alpn = true }) end)
    handle:close()
  end)
end)
