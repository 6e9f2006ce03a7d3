-- Corners of the core that a review found broken: a descriptor readable with nothing to do, numbers out of range, a
-- client that ends in the middle of its own call.

local core = require "veo.core"
local fault = require "spec.support.fault"
local kit = require "spec.support.kit"
local simulator = require "veo.simulator"
local socket = require "socket"

local KEY = "spec-key-0123456789"

describe("the core", function()
  local sim, server

  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    server = fault.start { hang = { get = "hang" } }
  end)
  teardown(function()
    sim:stop()
    server:stop()
    kit.sweep()
  end)
  before_each(function() sim:reset() end)

  local function new(more)
    local options = { base_url = sim.url, api_key = sim.api_key }
    for name, value in pairs(more or {}) do options[name] = value end
    return core.new(options)
  end

  local function readable(fd)
    return #socket.select({ { getfd = function() return fd end } }, nil, 0) > 0
  end

  describe("asks a foreign loop for nothing", function()
    it("while a name is known and all places are taken", function()
      local base = server.url.hang:gsub("127%.0%.0%.1", "localhost")
      local client = new { base_url = base, max_in_flight = 1 }
      local fd = client:pollfd()
      client:start("status", "a")
      client:start("status", "b")
      local deadline = core.now() + 5
      while server:count("hang", "GET") == 0 and core.now() < deadline do client:step(10) end
      for _ = 1, 20 do client:step(0) end
      assert.is_true(client:timeout() > 0)
      assert.is_false(readable(fd))
      client:close()
    end)

    it("after a download was cancelled that had used up its share of a frame", function()
      local client = new()
      local fd = client:pollfd()
      local sink = core.sink(kit.folder() .. "/x.part")
      local transfer = client:start("download", { url = sim.media_url .. "/media/blob/200000000.mp4", sink = sink })
      local deadline = core.now() + 5
      repeat client:step(0) until client:timeout() == 0 and transfer:progress() > 0 or core.now() > deadline
      assert.is_true(transfer:cancel())
      for _ = 1, 20 do client:step(0) end
      assert.is_nil(client:timeout())
      assert.is_false(readable(fd))
      client:close()
      sink:close()
    end)

    it("after a file was saved", function()
      local client = new()
      local fd = client:pollfd()
      local folder = kit.folder()
      for i = 1, 50 do
        local sink = core.sink(folder .. "/" .. i .. ".part")
        client:start("save", { sink = sink, to = folder .. "/" .. i })
        while client:step(0) == 0 do end
        assert.is_truthy(client:take():result())
        for _ = 1, 20 do client:step(0) end
        assert.is_false(readable(fd), "save " .. i)
        sink:close()
      end
      client:close()
    end)
  end)
end)
