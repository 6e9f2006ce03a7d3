-- 1080P and 4K: "not ready" in all its forms, 422 in both of its meanings, and no extension afterwards.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local FULL_HD, UHD = "/api/v1/veo/get-1080p-video", "/api/v1/veo/get-4k-video"

describe("upgrades", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 2000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  describe("1080P", function()
    it("is asked for until it is there, and charged once", function()
      local result = assert(client:task(sim.source):upgrade("1080p", { interval = 0.02 }))
      assert.matches("1080p", result.url)
      assert.same({ sim.source, result.url, "1080p" }, { result.taskId, result.video_url, result.resolution })
      assert.is_true(sim:count("GET", FULL_HD) > 1)
      assert.equal(1, sim:charges()[sim.source].count)
      assert.same({}, sim:violations())
    end)

    for _, form in ipairs { 400, 404, 422 } do
      it("waits out " .. form, function()
        sim:script { { on = "get_1080p", not_ready = form, times = 3 } }
        assert(client:task(sim.source):upgrade("1080p", { index = 0, interval = 0.05 }))
        assert.is_true(sim:count("GET", FULL_HD) >= 4)
      end)
    end

    it("is waited for a bounded time; then the error names what the service said", function()
      sim:script { { on = "get_1080p", not_ready = 400 } }
      local result, err = client:task(sim.source):upgrade("1080p", { interval = 0.03, timeout = 0.1 })
      assert.is_nil(result)
      assert.same({ "timeout", sim.source, 400 }, { err.code, err.taskId, err.service_code })
      assert.matches("processing", err.message)
    end)

    it("goes on after passing errors, and ends at once at one that is final", function()
      sim:script { { on = "get_1080p", http = 502, form = "html", times = 2 } }
      assert(client:task(sim.source):upgrade("1080p", { interval = 0.05 }))
      sim:script { { on = "get_1080p", code = 401 } }
      local before = sim:count("GET", FULL_HD)
      local _, err = client:task("another"):upgrade("1080p", { interval = 0.05 })
      assert.same({ "unauthorized", before + 1 }, { err.code, sim:count("GET", FULL_HD) })
    end)

    it("can be saved, also when its link has died meanwhile, and not as another size", function()
      local result = assert(client:task(sim.source):upgrade("1080p", { interval = 0.02 }))
      sim:script { { on = "media", http = 403, times = 2 } }
      local path = helper.folder() .. "/hd.mp4"
      local file = assert(client:download(result, path))
      assert.equal(3, file.requests)
      for _, request in ipairs(sim:requests { endpoint = "media" }) do assert.matches("1080p", request.path) end
      assert.equal(0, #sim:requests { endpoint = "status" })
    end)

    it("counts against max_credits once, and not at all when it was refused", function()
      local poor = helper.client(sim, { max_credits = 9 })
      sim:script { { on = "get_1080p", code = 402, times = 1 } }
      assert.equal("insufficient_credits", select(2, poor:task(sim.source):upgrade("1080p")).code)
      for _ = 1, 2 do assert(poor:task(sim.source):upgrade("1080p", { interval = 0.02 })) end
      sim:add { taskId = "another" }
      local _, err = poor:task("another"):upgrade("1080p")
      assert.equal("budget", err.code)
      _, err = poor:task(sim.source):upgrade("1080p", { index = 1 }) -- another video, which costs again
      assert.equal("budget", err.code)
      poor:close()
    end)

    it("ends its wait when its job is cancelled", function()
      sim:script { { on = "get_1080p", not_ready = 400 } }
      local job = client:spawn(function() return client:task(sim.source):upgrade("1080p", { interval = 5 }) end)
      helper.step_until(client, function() return sim:count("GET", FULL_HD) == 1 end)
      client:step(20)
      job:cancel()
      assert.equal("cancelled", job:status())
    end)
  end)

  describe("1080P of another video of a task", function()
    it("is asked for again as that", function()
      local result = assert(client:task(sim.source):upgrade("1080p", { index = 2, interval = 0.02 }))
      assert.equal(2, result.index)
      assert(client:task(result):upgrade("1080p", { interval = 0.02 }))
      for _, request in ipairs(sim:requests { endpoint = "get_1080p" }) do assert.equal("2", request.query.index) end
    end)
  end)

  describe("4K", function()
    it("is a task of its own, to be waited for", function()
      local task = assert(client:task(sim.source):upgrade("4k", { index = 0 }))
      assert.is_not.equal(sim.source, task.taskId)
      local status = assert(client:wait(task))
      assert.equal("4k", status.resolution)
      assert.equal(1, sim:count("POST", UHD))
    end)

    it("asked again while it works: 422 that means processing", function()
      local first = assert(client:task(sim.source):upgrade("4k"))
      local again = assert(client:task(sim.source):upgrade("4k"))
      assert.same({ first.taskId, true }, { again.taskId, again.processing })
      assert.is_nil(again.video_url)
      local _, charges = sim:charges()
      assert.equal(1, #charges)
    end)

    it("asked again when it is done: 422 that means success", function()
      local task = assert(client:task(sim.source):upgrade("4k"))
      assert(client:wait(task))
      local again = assert(client:task(sim.source):upgrade("4k"))
      assert.same({ task.taskId, "succeeded", true }, { again.taskId, again.state, again.done })
      assert(client:download(again, helper.folder() .. "/4k.mp4"))
    end)

    it("is sent once, and uncertain when its answer is lost", function()
      sim:script { { on = "get_4k", close = "unanswered" } }
      local _, err = client:task(sim.source):upgrade("4k")
      assert.same({ "uncertain", 1 }, { err.code, sim:count("POST", UHD) })
    end)
  end)

  describe("an upgraded video", function()
    local function refused(why)
      local task, err = client:extend { taskId = sim.source, prompt = "x" }
      assert.is_nil(task)
      assert.same({ "invalid", "taskId", sim.source }, { err.code, err.field, err.taskId })
      assert.matches(why, err.message)
      assert.equal(0, sim:count("POST", helper.EXTEND))
    end

    it("cannot be extended after 1080P", function()
      assert(client:task(sim.source):upgrade("1080p", { interval = 0.02 }))
      refused "1080P"
    end)

    it("not even while the 1080P version is not ready", function()
      sim:script { { on = "get_1080p", not_ready = 400 } }
      client:task(sim.source):upgrade("1080p", { interval = 0.03, timeout = 0.05 })
      refused "1080P"
    end)

    it("cannot be extended after 4K, even when that is uncertain", function()
      sim:script { { on = "get_4k", close = "unanswered" } }
      client:task(sim.source):upgrade("4k")
      refused "4K"
    end)

    it("can be extended when the upgrade was refused", function()
      sim:script { { on = { "get_4k", "get_1080p" }, code = 402 } }
      client:task(sim.source):upgrade("4k")
      client:task(sim.source):upgrade("1080p")
      assert(client:extend { taskId = sim.source, prompt = "x" })
    end)
  end)

  it("misuse raises, a bad taskId does not", function()
    assert.error_matches(function() client:task(sim.source):upgrade("1080p", { every = 1 }) end, "unknown option every")
    for _, which in ipairs { "1080p", "4k" } do
      local _, err = client:task(" x"):upgrade(which)
      assert.same({ "invalid", "taskId" }, { err.code, err.field })
    end
  end)
end)
