-- Keys and duplicates: the same order is not paid twice.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("duplicates", function()
  local sim, place, client
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    place = helper.folder() .. "/renders.db"
    client = helper.client(sim, { ledger = place })
  end)
  after_each(function() client:close() end)

  local function posts() return sim:count("POST", helper.EXTEND) end
  local function shot(prompt) return { taskId = sim.source, prompt = prompt or "the boat turns" } end

  describe("with a key", function()
    it("the same body joins the earlier task", function()
      local first = assert(client:extend(shot(), { key = "shot-12" }))
      local again = assert(client:extend(shot(), { key = "shot-12" }))
      assert.same({ first.taskId, true, "accepted" }, { again.taskId, again.joined, again.state })
      assert.equal(1, posts())
    end)

    it("another process joins too, and is told what became of it", function()
      local status = assert(helper.extend_and_wait(client, shot(), { key = "shot-12" }))
      client:close()
      client = helper.client(sim, { ledger = place })
      local again = assert(client:extend(shot(), { key = "shot-12" }))
      assert.same({ "done", status.video_url }, { again.state, again.video_url })
      assert.equal(status.video_url, assert(helper.extend_and_wait(client, shot(), { key = "shot-12" })).video_url)
      assert.equal(1, posts())
    end)

    it("another body is refused", function()
      assert(client:extend(shot(), { key = "shot-12" }))
      local _, err = client:extend(shot("other"), { key = "shot-12" })
      assert.same({ "invalid", "key" }, { err.code, err.field })
      _, err = client:generate({ prompt = "the boat turns" }, { key = "shot-12" })
      assert.same({ "invalid", "key" }, { err.code, err.field })
      assert.equal(1, sim:count("POST"))
    end)

    it("another key is another order", function()
      assert(client:extend(shot(), { key = "a" }))
      assert(client:extend(shot(), { key = "b" }))
      assert.equal(2, posts())
    end)

    it("an uncertain order is not sent again until it is settled", function()
      sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local _, err = client:extend(shot(), { key = "k" })
      assert.equal("uncertain", err.code)
      local _, again = client:extend(shot(), { key = "k" })
      assert.same({ "uncertain", err.ref }, { again.code, again.ref })
      assert.equal(1, posts())
      assert(client:settle(err.ref, "lost"))
      assert(client:extend(shot(), { key = "k" }))
      assert.equal(2, posts())
    end)

    it("waits for the same order under way elsewhere", function()
      sim:script { { on = "extend", delay = 0.5 } }
      local other = helper.client(sim, { ledger = place })
      local job = client:spawn(function() return client:extend(shot(), { key = "k" }) end)
      helper.step_until(client, function() return posts() == 1 end)
      local second = other:spawn(function() return other:extend(shot(), { key = "k" }) end)
      helper.step_until(client, function()
        other:step(5)
        return job:status() == "done" and second:status() == "done"
      end)
      assert.equal(job:result().taskId, second:result().taskId)
      assert.equal(1, posts())
      other:close()
    end)

    it("two jobs of one client make one order", function()
      local results = {}
      for i = 1, 5 do
        client:spawn(function() results[i] = assert(client:extend(shot(), { key = "k" })).taskId end)
      end
      assert(client:run())
      for i = 2, 5 do assert.equal(results[1], results[i]) end
      assert.equal(1, posts())
    end)

    it("needs a ledger", function()
      local plain = helper.client(sim)
      local _, err = plain:extend(shot(), { key = "k" })
      assert.same({ "invalid", "key" }, { err.code, err.field })
      assert.equal(0, posts())
      plain:close()
    end)
  end)

  it("are known over the jobs family too, and are no duplicates across families", function()
    local jobs = helper.client(sim, { ledger = place, api = "jobs" })
    local first = assert(jobs:extend(shot(), { key = "k" }))
    assert.equal(first.taskId, assert(jobs:extend(shot(), { key = "k" })).taskId)
    assert.equal(first.taskId, assert(jobs:extend(shot())).taskId)
    assert.same({ "invalid", "key" }, (function()
      local _, err = client:extend(shot(), { key = "k" })
      return { err.code, err.field }
    end)())
    assert.equal(1, sim:count("POST"))
    assert.equal(60, assert(jobs:tasks())[1].price)
    jobs:close()
  end)

  describe("without a key, an identical body", function()
    it("joins the earlier order until that is finished and saved", function()
      local first = assert(client:extend(shot()))
      local again = assert(client:extend(shot()))
      assert.same({ first.taskId, true, "accepted" }, { again.taskId, again.joined, again.state })
      assert(client:wait(first))
      again = assert(client:extend(shot()))
      assert.same({ first.taskId, true, "done" }, { again.taskId, again.joined, again.state })
      assert.equal(1, posts())
    end)

    it("that is saved is refused, and points to task and file", function()
      local status = assert(helper.extend_and_wait(client, shot()))
      local path = helper.folder() .. "/boat.mp4"
      assert(client:download(status, path))
      local _, err = client:extend(shot())
      assert.same({ "duplicate", status.taskId, "saved", path, status.video_url },
        { err.code, err.taskId, err.state, err.path, err.status.video_url })
      for _, word in ipairs { path, status.taskId } do assert.truthy(tostring(err):find(word, 1, true), word) end
      assert.equal(1, posts())
    end)

    it("is refused, joined or allowed by a word", function()
      local first = assert(client:extend(shot()))
      local _, err = client:extend(shot(), { on_duplicate = "refuse" })
      assert.same({ "duplicate", first.taskId, "accepted" }, { err.code, err.taskId, err.state })
      assert(client:download(assert(client:wait(first)), helper.folder() .. "/boat.mp4"))
      assert.equal("duplicate", select(2, client:extend(shot(), { on_duplicate = "refuse" })).code)
      assert.equal(first.taskId, assert(client:extend(shot(), { on_duplicate = "join" })).taskId)
      assert.equal(1, posts())
      assert.not_equal(first.taskId, assert(client:extend(shot(), { on_duplicate = "allow" })).taskId)
      assert.equal(2, posts())
    end)

    it("is what was written in another way", function()
      assert(client:extend { taskId = sim.source, prompt = "x", seeds = 12345 })
      assert.is_true(assert(client:extend { seeds = 12345.0, prompt = "x", taskId = sim.source }).joined)
    end)

    it("with another callBackUrl is another order, with the same one it is not", function()
      local one, two = shot(), shot()
      one.callBackUrl, two.callBackUrl = "http://127.0.0.1:1/a", "http://127.0.0.1:1/b"
      assert(client:extend(one))
      assert(client:extend(two))
      assert.is_true(assert(client:extend(one)).joined)
      assert.equal(2, posts())
    end)

    it("may be ordered again after it failed or was refused", function()
      sim:script { { on = "extend", fail = 3, times = 1 } }
      local _, err = helper.extend_and_wait(client, shot())
      assert.equal("failed", err.code)
      sim:script { { on = "extend", code = 400, times = 1 } }
      _, err = client:extend(shot())
      assert.equal("rejected", err.code)
      assert(client:extend(shot()))
    end)

    it("is forgotten a day after its end, once its video is saved", function()
      local function age(seconds)
        ledgers.query(place, ("UPDATE veo_tasks SET created = created - %d, updated = updated - %d, ended = ended - %d")
          :format(seconds, seconds, seconds))
      end
      local function is_joined(task)
        assert.same({ true, 1 }, { task.joined, posts() })
      end
      local first = assert(client:extend(shot()))
      age(20 * 86400)
      is_joined(assert(client:extend(shot())))
      local status = assert(client:wait(first))
      age(86390)
      is_joined(assert(client:extend(shot())))
      assert(client:download(status, helper.folder() .. "/boat.mp4"))
      assert.equal("duplicate", select(2, client:extend(shot())).code)
      age(20)
      assert.is_not.equal(first.taskId, assert(client:extend(shot())).taskId)
      assert.equal(2, posts())
    end)

    it("is joined a day after its end when nobody has saved its video", function()
      local first = assert(helper.extend_and_wait(client, shot()))
      ledgers.query(place, "UPDATE veo_tasks SET created = created - 90000, updated = updated - 90000, "
        .. "ended = ended - 90000, day = day - 1")
      local path = helper.folder() .. "/boat.mp4"
      local file = assert(client:extend_and_save(shot(), path))
      assert.same({ first.taskId, true, 1 }, { file.taskId, file.joined, posts() })
      assert.is_true(assert(client:extend_and_save(shot(), path)).already)
      assert.equal(1, posts())
    end)

    it("whose earlier order has no answer is not sent, however old that is", function()
      sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local _, err = client:extend(shot())
      ledgers.query(place, "UPDATE veo_tasks SET created = 1, updated = 1")
      local _, again = client:extend(shot())
      assert.same({ "uncertain", "uncertain", err.ref }, { err.code, again.code, again.ref })
      assert.equal(1, posts())
      assert.equal("duplicate", select(2, client:extend(shot(), { on_duplicate = "refuse" })).code)
      assert.equal(1, posts())
    end)

    it("is only the same at the same call", function()
      assert(client:generate { prompt = "a" })
      assert.is_true(assert(client:generate { prompt = "a" }).joined)
      assert.equal(1, sim:count("POST"))
    end)
  end)
end)
