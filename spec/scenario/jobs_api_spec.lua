-- Both API families, `api = "veo"` and `api = "jobs"`: the same calls, the same statuses, the same rules for money.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local PATHS = {
  veo = { extend = "/api/v1/veo/extend", status = "/api/v1/veo/record-info" },
  jobs = { extend = "/api/v1/jobs/createTask", status = "/api/v1/jobs/recordInfo" },
}

for api, paths in pairs(PATHS) do
  describe('api = "' .. api .. '"', function()
    local sim, client

    setup(function() sim = simulator.start { speed = 5000, rate = false } end)
    teardown(function()
      sim:stop()
      helper.sweep()
    end)
    before_each(function()
      sim:reset()
      client = helper.client(sim, { api = api })
    end)
    after_each(function() client:close() end)

    local function posts() return sim:count("POST", paths.extend) end
    local function charged() local _, list = sim:charges() return #list end
    local function extend(more)
      local params = { taskId = sim.source, prompt = "the boat turns", seeds = 12345, watermark = "mine" }
      for name, value in pairs(more or {}) do params[name] = value end
      return client:extend(params)
    end

    it("extends, waits and saves, over its own paths only", function()
      local path = helper.folder() .. "/a.mp4"
      local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "the boat turns" }))
      assert.same({ "succeeded", true }, { status.state, status.done })
      assert(client:download(status, path))
      for _, request in ipairs(sim:requests { listener = "api" }) do
        assert.is_true(request.path == paths.extend or request.path == paths.status, request.path)
      end
      assert.same({}, sim:violations())
    end)

    it("says the same of a task in every state", function()
      local task = assert(extend { prompt = "[sim render=3000] the boat" })
      local status = assert(client:status(task))
      assert.same({ task.taskId, "generating", false }, { status.taskId, status.state, status.done })
      assert.is_nil(status.video_url)
      task = assert(extend { prompt = "[sim render=0] the boat" })
      status = assert(client:wait(task))
      assert.same({ task.taskId, "succeeded", true }, { status.taskId, status.state, status.done })
      assert.equal(status.resultUrls and (status.fullResultUrls or status.resultUrls)[1], status.video_url)
      assert.is_table(status.raw)
      task = assert(extend { prompt = "[sim render=0 fail=2] the boat" })
      local _, err = client:wait(task)
      assert.same({ "failed", task.taskId, "failed" }, { err.code, err.taskId, err.status.state })
    end)

    for _, form in ipairs { "array", "json", "bare", "url" } do
      it("reads the links as " .. form, function()
        sim:script { { on = "status", list_form = form } }
        assert.matches("^http", assert(client:status(sim.source)).video_url)
      end)
    end

    for _, form in ipairs { "null", "absent", "empty" } do
      it("success with links " .. form .. " is asked for again, then no_result", function()
        sim:script { { on = "status", list_form = form } }
        local status, err = client:wait(sim.source)
        assert.is_nil(status)
        assert.same({ "no_result", sim.source }, { err.code, err.taskId })
        assert.equal(3, sim:count("GET", paths.status))
      end)
    end

    for _, form in ipairs { "404", "record", "record_info", "null", "empty", "absent" } do
      it("does not know a task: " .. form, function()
        sim:script { { on = "status", unknown = form } }
        local status, err = client:status("nobody-knows-it")
        assert.is_nil(status)
        assert.same({ "not_found", "nobody-knows-it" }, { err.code, err.taskId })
      end)

      it("and has patience with one it created: " .. form, function()
        sim:script { { on = "status", unknown = form, times = 2 } }
        local task = assert(extend { prompt = "[sim visible=300] x" })
        assert.equal("succeeded", assert(client:wait(task)).state)
      end)
    end

    for _, form in ipairs { "snake", "number" } do
      it("takes a taskId as " .. form, function()
        sim:script { { on = "extend", task_id_form = form } }
        assert.is_string(assert(extend()).taskId)
      end)
    end

    for _, form in ipairs { "absent", "null", "empty", "data_null" } do
      it("is uncertain without a taskId: " .. form, function()
        sim:script { { on = "extend", task_id_form = form } }
        local task, err = extend()
        assert.is_nil(task)
        assert.same({ "uncertain", 1, 1 }, { err.code, posts(), charged() })
      end)
    end

    for _, code_form in ipairs { "float", "string" } do
      it("reads a code as " .. code_form, function()
        sim:script { { on = { "extend", "status" }, code_form = code_form, extra = true, msg_form = "message" } }
        assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
      end)
    end

    for _, form in ipairs { "html", "text", "empty", "cut", "array", "number", "garbled", "huge", "deep" } do
      it("an unreadable answer is uncertain for money, malformed for a look: " .. form, function()
        sim:script { { on = { "extend", "status" }, form = form } }
        local _, err = extend()
        assert.same({ "uncertain", 1 }, { err.code, posts() })
        _, err = client:status(sim.source, { retry = { attempts = 1 } })
        assert.equal("malformed", err.code)
      end)
    end

    for code, expected in pairs { [400] = "rejected", [401] = "unauthorized", [402] = "insufficient_credits",
      [403] = "forbidden", [404] = "not_found", [422] = "rejected", [433] = "key_limit", [451] = "rejected",
      [505] = "disabled" } do
      it(("a refusal is final: %d is %s"):format(code, expected), function()
        sim:script { { on = "extend", code = code } }
        local _, err = extend()
        assert.same({ expected, 1, 0 }, { err.code, posts(), charged() })
      end)
    end

    for _, code in ipairs { 408, 500, 599 } do
      it("is uncertain after " .. code, function()
        sim:script { { on = "extend", code = code } }
        local _, err = extend()
        assert.same({ "uncertain", 1 }, { err.code, posts() })
      end)
    end

    for _, code in ipairs { 429, 455 } do
      it("is repeated after " .. code, function()
        sim:script { { on = "extend", code = code, times = 2 } }
        assert(extend())
        assert.same({ 3, 1 }, { posts(), charged() })
      end)
    end

    it("is sent once when the connection ends unanswered", function()
      sim:script { { on = "extend", close = "unanswered" } }
      local _, err = extend()
      assert.same({ "uncertain", 1 }, { err.code, posts() })
    end)

    it("reads gzip and chunked", function()
      sim:script { { on = "*", gzip = true, chunked = true } }
      assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
    end)

    it("sends callBackUrl, seeds and watermark where they belong", function()
      assert(extend { callBackUrl = "http://127.0.0.1:9/cb" })
      local body = sim:requests({ endpoint = "extend" })[1].json
      local inner = api == "jobs" and body.input or body
      assert.same({ "http://127.0.0.1:9/cb", 12345, "mine", "the boat turns" },
        { body.callBackUrl, inner.seeds, inner.watermark, inner.prompt })
      assert.equal(sim.source, inner.taskId or inner.task_id)
      assert.same({}, sim:violations())
    end)

    it("has credits, links and uploads as well", function()
      assert.equal(10000, client:credits())
      assert(client:download_url(assert(client:status(sim.source)).video_url))
      local other = helper.client(sim, { api = api, upload_url = sim.upload_url })
      assert(other:upload { url = "https://example.com/a.png" })
      other:close()
    end)
  end)
end

describe('api = "jobs"', function()
  local sim, client

  setup(function() sim = simulator.start { speed = 5000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim, { api = "jobs" })
  end)
  after_each(function() client:close() end)

  it("refuses a model, which it cannot express", function()
    local task, err = client:extend { taskId = sim.source, prompt = "x", model = "quality" }
    assert.is_nil(task)
    assert.same({ "invalid", "model" }, { err.code, err.field })
    assert.matches("billed silently", err.message)
    assert.equal(0, sim:count())
  end)

  it("refuses an index, which it cannot express either", function()
    for _, which in ipairs { "1080p", "4k" } do
      local _, err = client:task(sim.source):upgrade(which, { index = 1 })
      assert.same({ "invalid", "index" }, { err.code, err.field })
    end
    local _, err = client:generate { prompt = "x", model = "veo3" }
    assert.same({ "invalid", "model" }, { err.code, err.field })
    assert.equal(0, sim:count())
  end)

  for word, state in pairs { waiting = "generating", queuing = "generating", generating = "generating",
    success = "succeeded", fail = "failed", whatever = "generating" } do
    it("takes the state " .. word .. " for " .. state, function()
      sim:script { { on = "status", job_state = word } }
      assert.equal(state, assert(client:status(sim.source)).state)
    end)
  end

  for _, place in ipairs { "both", "response", "json" } do
    it("finds the result, the flag and what it cost: " .. place, function()
      sim:script { { on = "status", job_result = place, consumed = 57.25 } }
      local status = assert(client:status(sim.source))
      assert.same({ "succeeded", 1, 57.25 }, { status.state, status.successFlag, status.creditsConsumed })
      assert.matches("^http", status.video_url)
    end)
  end

  it("goes by the flag where there is no state", function()
    for flag, state in pairs { [0] = "generating", "succeeded", "generating", "failed" } do
      if flag ~= 2 then
        sim:script { { on = "status", job_state = "absent", flag = flag } }
        local status = assert(client:status(sim.source))
        assert.same({ state, flag }, { status.state, status.successFlag })
      end
    end
  end)

  it("is an option of veo.new, and no other word is", function()
    assert.error_matches(function() helper.client(sim, { api = "job" }) end, 'expected "veo" or "jobs"')
  end)
end)
