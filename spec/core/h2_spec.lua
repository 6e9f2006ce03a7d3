-- The main job as the service's users meet it: TLS and HTTP/2, nginx in front of the simulator. `make test-h2` runs the
-- other specs so as well.

local blob = require "veo.simulator.blob"
local h2 = require "spec.support.h2"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"

needs.block("nginx", describe)("over HTTP/2", function()
  local sim, client, folder

  setup(function() sim = h2.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
    folder = helper.folder()
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  -- What fn(1) … fn(n) return when all run at once; an error is a result too.
  local function at_once(n, fn)
    local jobs, results = {}, {}
    for i = 1, n do jobs[i] = client:spawn(fn, i) end
    assert(client:run())
    for i = 1, n do
      local result, err = jobs[i]:result()
      results[i] = result or err
    end
    return results
  end

  local function saved(n, results, path_of, content_of)
    local good, why = 0, nil
    for i = 1, n do
      if helper.read(path_of(i)) == content_of(i) then good = good + 1 else why = why or tostring(results[i]) end
    end
    assert.equal(n, good, why)
  end

  local function path_of(i) return folder .. "/" .. i .. ".mp4" end

  for _, n in ipairs { 2, 8, 50, 200 } do
    it(n .. " looks at once, then " .. n .. " downloads at once: every byte is saved", function()
      for _, status in ipairs(at_once(n, function() return client:status(sim.source) end)) do
        assert.equal("succeeded", status.state)
      end
      local function size(i) return 100000 + 1000 * i end
      local files = at_once(n, function(i)
        return client:download(("%s/media/blob/%d/f%d.mp4"):format(sim.media_url, size(i), i), path_of(i))
      end)
      saved(n, files, path_of, function(i) return blob.bytes(0, size(i) - 1, "f" .. i) end)

      local connection = sim:requests()[1].connection
      for _, request in ipairs(sim:requests()) do
        assert.equal("HTTP/2.0", request.protocol)
        if request.endpoint == "status" then assert.equal(connection, request.connection) end
      end
    end)
  end

  it("orders go by HTTP/1.1, looks and videos by HTTP/2, and every video is saved", function()
    local n = 8
    local files = at_once(n, function(i)
      local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "boat " .. i }))
      return client:download(status, path_of(i))
    end)
    local clip = helper.read "lua/veo/simulator/clips/hop1.mp4"
    saved(n, files, path_of, function() return clip end)
    local seen = {}
    for _, request in ipairs(sim:requests()) do
      seen[request.endpoint] = seen[request.endpoint] or {}
      seen[request.endpoint][request.protocol] = true
    end
    assert.same({ extend = { ["HTTP/1.1"] = true }, status = { ["HTTP/2.0"] = true },
      media = { ["HTTP/2.0"] = true } }, seen)
    assert.equal(n, sim:count("POST", helper.EXTEND))
  end)
end)
