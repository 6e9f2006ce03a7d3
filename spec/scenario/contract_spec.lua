-- The contract's tables, row by row, over real sockets: what a client makes of each answer, and how many requests the
-- simulator counts. Each row for a status call, for a wait and for an extend.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

-- { code, status call → error ("=failed": a failed task), its requests at two attempts, wait ends at once,
--   extend → error, its requests at two attempts }
local CODES = {
  { 400, "rejected", 1, true, "rejected", 1 },
  { 401, "unauthorized", 1, true, "unauthorized", 1 },
  { 402, "insufficient_credits", 1, true, "insufficient_credits", 1 },
  { 403, "forbidden", 1, true, "forbidden", 1 },
  { 404, "not_found", 1, true, "not_found", 1 },
  { 408, "server", 2, false, "uncertain", 1 },
  { 422, "rejected", 1, true, "rejected", 1 },
  { 429, "rate_limited", 2, false, "rate_limited", 2 },
  { 433, "key_limit", 1, true, "key_limit", 1 },
  { 451, "rejected", 1, true, "rejected", 1 },
  { 455, "unavailable", 2, false, "unavailable", 2 },
  { 500, "server", 2, false, "uncertain", 1 },
  { 501, "=failed", 1, true, "failed", 1 },
  { 505, "disabled", 1, true, "disabled", 1 },
  { 502, "server", 2, false, "uncertain", 1 },
  { 503, "server", 2, false, "uncertain", 1 },
  { 504, "server", 2, false, "uncertain", 1 },
  { 520, "server", 2, false, "uncertain", 1 },
  { 521, "server", 2, false, "uncertain", 1 },
  { 522, "server", 2, false, "uncertain", 1 },
  { 523, "server", 2, false, "uncertain", 1 },
  { 524, "server", 2, false, "uncertain", 1 },
  -- Nobody documents these.
  { 0, "server", 2, false, "uncertain", 1 },
  { -1, "server", 2, false, "uncertain", 1 },
  { 201, "server", 2, false, "uncertain", 1 },
  { 302, "server", 2, false, "uncertain", 1 },
  { 409, "server", 2, false, "uncertain", 1 },
  { 599, "server", 2, false, "uncertain", 1 },
}

-- HTTP statuses with a page and no code: the same columns.
local PAGES = {
  { 400, "rejected", 1, true, "rejected", 1 },
  { 401, "unauthorized", 1, true, "unauthorized", 1 },
  { 402, "insufficient_credits", 1, true, "insufficient_credits", 1 },
  { 403, "forbidden", 1, true, "forbidden", 1 },
  { 404, "unavailable", 2, false, "unavailable", 1 }, -- a gateway's page
  { 408, "server", 2, false, "uncertain", 1 },
  { 422, "rejected", 1, true, "rejected", 1 },
  { 429, "rate_limited", 2, false, "rate_limited", 2 },
  { 455, "unavailable", 2, false, "unavailable", 2 },
  { 500, "server", 2, false, "uncertain", 1 },
  { 501, "server", 2, false, "failed", 1 },
  { 502, "server", 2, false, "uncertain", 1 },
  { 503, "server", 2, false, "uncertain", 1 },
  { 504, "server", 2, false, "uncertain", 1 },
  { 520, "server", 2, false, "uncertain", 1 },
  { 521, "server", 2, false, "uncertain", 1 },
  { 522, "server", 2, false, "uncertain", 1 },
  { 523, "server", 2, false, "uncertain", 1 },
  { 524, "server", 2, false, "uncertain", 1 },
  { 200, "malformed", 2, false, "uncertain", 1 },
  { 302, "malformed", 2, false, "uncertain", 1 },
  { 307, "malformed", 2, false, "uncertain", 1 },
}

describe("the contract", function()
  local sim, client

  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    client = helper.client(sim, { retry = { attempts = 2, base = 0.002, max = 0.002, budget = false },
      wait = { first = 0, interval = 0.002, max_interval = 0.002, max_errors = 2, grace = 60, timeout = 100 } })
  end)
  teardown(function()
    client:close()
    sim:stop()
  end)
  before_each(function() sim:reset() end)

  local function gets() return sim:count("GET", helper.STATUS) end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function extend() return client:extend { taskId = sim.source, prompt = "x" } end

  local function check_row(row, effect)
    local code, status_code, status_requests, at_once, extend_code, extend_requests =
      row[1], row[2], row[3], row[4], row[5], row[6]
    effect.on = { "status", "extend" }

    it("for a status call", function()
      sim:script { effect }
      local status, err = client:status(sim.source)
      assert.equal(status_requests, gets())
      if status_code == "=failed" then
        assert.is_nil(err)
        assert.same({ "failed", true, sim.source }, { status.state, status.done, status.taskId })
        assert.equal(501, status.errorCode)
      else
        assert.is_nil(status)
        assert.same({ status_code, sim.source, status_requests }, { err.code, err.taskId, err.attempts })
        if not effect.http then assert.equal(code, err.service_code) else assert.equal(effect.http, err.http_status) end
        assert.equal("yes", err.sent)
        assert.matches(err.code, tostring(err))
        assert.is_true(#err:explain() > #err.message)
      end
    end)

    it("for a wait", function()
      sim:script { effect }
      local status, err = client:wait(sim.source)
      assert.is_nil(status)
      assert.equal(sim.source, err.taskId)
      assert.equal(status_code == "=failed" and "failed" or status_code, err.code)
      assert.equal(at_once and 1 or 3, gets()) -- max_errors = 2: the third error in a row ends it
    end)

    it("for an extend", function()
      sim:script { effect }
      local task, err = extend()
      assert.is_nil(task)
      assert.equal(extend_code, err.code)
      assert.equal(extend_requests, posts())
      assert.equal(extend_requests, err.attempts)
      assert.same({}, (sim:charges()))
      assert.equal("yes", err.sent)
    end)
  end

  for _, row in ipairs(CODES) do
    describe("code " .. row[1] .. " in the body", function() check_row(row, { code = row[1] }) end)
  end
  for _, row in ipairs(PAGES) do
    describe("HTTP " .. row[1] .. " with a page", function()
      check_row(row, { http = row[1], form = "html" })
    end)
  end

  it("a body's code decides over the HTTP status", function()
    sim:script { { on = "extend", http = 500, code = 402 }, { on = "status", http = 500, code = 404 } }
    local _, err = extend()
    assert.equal("insufficient_credits", err.code)
    _, err = client:status(sim.source)
    assert.equal("not_found", err.code)
    assert.same({ 1, 1 }, { posts(), gets() })
  end)

  describe("a 422 on a status", function()
    for msg, code in pairs {
      ["record is null"] = "not_found", ["recordInfo is null"] = "not_found",
      ["Temporarily supports records within 14 days."] = "expired", ["something else"] = "rejected",
    } do
      it(msg, function()
        sim:script { { on = "status", code = 422, msg = msg } }
        local _, err = client:status(sim.source)
        assert.same({ code, 1 }, { err.code, gets() })
      end)
    end

    it("record status is not success: the task goes on", function()
      sim:script { { on = "status", code = 422, msg = "record status is not success", times = 2 } }
      local status = assert(client:status(sim.source))
      assert.equal("generating", status.state)
      assert.equal("succeeded", assert(client:wait(sim.source)).state)
    end)
  end)

  describe("an unknown task", function()
    for _, form in ipairs { "404", "record", "record_info", "null", "empty", "absent" } do
      it("told as " .. form, function()
        sim:script { { on = "status", unknown = form } }
        local status, err = client:status("nobody")
        assert.is_nil(status)
        assert.same({ "not_found", "nobody", 1 }, { err.code, err.taskId, gets() })
      end)

      it("created here a moment ago, is waited for: " .. form, function()
        local task = assert(extend())
        sim:script { { on = "status", unknown = form, code = form == "404" and 404 or nil, times = 3,
          data = (form == "null" or form == "absent") and "null" or form == "empty" and "{}" or nil,
          msg = form == "record" and "record is null" or form == "record_info" and "recordInfo is null" or nil } }
        assert.equal("succeeded", assert(client:wait(task)).state)
      end)
    end
  end)

  describe("a status", function()
    local function status_under(effect)
      effect.on = "status"
      sim:script { effect }
      return assert(client:status(sim.source))
    end

    for _, at in ipairs { "response", "info", "data" } do
      for _, form in ipairs { "array", "json", "bare", "url" } do
        it("with its list as " .. form .. " at " .. at, function()
          local status = status_under { list_form = form, list_at = at }
          assert.equal("succeeded", status.state)
          assert.is_table(status.resultUrls)
          assert.matches("^https?://127%.0%.0%.1:%d+/media/", status.video_url)
          assert.matches("^https?://", status.resultUrls[1])
        end)
      end
    end

    for _, form in ipairs { "null", "absent", "empty" } do
      it("with its list " .. form .. " is a success without a video", function()
        local status = status_under { list_form = form }
        assert.same({ "succeeded", true }, { status.state, status.done })
        assert.is_nil(status.video_url)
        assert.is_nil(status.resultUrls)
      end)
    end

    for _, form in ipairs { "number", "string", "float" } do
      it("with its flag as a " .. form, function()
        assert.equal("succeeded", status_under({ flag_form = form }).state)
        assert.equal("generating", status_under({ flag_form = form, state = "generating" }).state)
        assert.equal("failed", status_under({ flag_form = form, flag = 2 }).state)
        assert.equal("failed", status_under({ flag_form = form, flag = 3 }).state)
      end)
    end

    for _, flag in ipairs { "null", "absent", 4, "yes", -1 } do
      it("with the flag " .. tostring(flag) .. " is never taken for success", function()
        local status = status_under { flag = flag }
        assert.same({ "generating", false }, { status.state, status.done })
        assert.is_nil(status.video_url)
      end)
    end

    for _, form in ipairs { "ms", "string", "text", "iso", "null", "empty", "absent" } do
      it("with its times as " .. form, function()
        assert.equal("succeeded", status_under({ time_form = form }).state)
      end)
    end

    for _, form in ipairs { "object", "string" } do
      it("with its response as " .. form, function()
        local status = status_under { response = form }
        assert.is_string(status.video_url)
        assert.is_table(status.resultUrls)
      end)
    end

    for _, form in ipairs { "number", "float", "string", "missing", "null" } do
      it("with the envelope's code as " .. form, function()
        assert.equal("succeeded", status_under({ code_form = form }).state)
      end)
    end

    for name, effect in pairs {
      ["msg as message"] = { msg_form = "message" }, ["no msg"] = { msg_form = "absent" },
      ["unknown keys everywhere"] = { extra = true }, gzip = { gzip = true }, chunked = { chunked = true },
      ["a Content-Encoding that is not true"] = { headers = { ["Content-Encoding"] = "utf-8" } },
      ["slow bytes"] = { drip = 20000 }, ["a delay"] = { delay = 0.02 },
    } do
      it("with " .. name, function() assert.equal("succeeded", status_under(effect).state) end)
    end

    it("with the whole video apart from the new part", function()
      local task = assert(extend())
      local status = assert(client:wait(task))
      assert.equal(status.fullResultUrls[1], status.video_url)
      assert.is_true(status.resultUrls[1] ~= status.fullResultUrls[1])
      sim:script { { on = "status", urls = "result_only" } }
      status = assert(client:status(task))
      assert.equal(status.resultUrls[1], status.video_url)
      assert.is_nil(status.fullResultUrls)
    end)

    it("keeps the envelope in raw, unknown keys too", function()
      local status = status_under { extra = true }
      assert.equal(200, status.raw.code)
      assert.equal(status.taskId, status.raw.data.taskId)
    end)

    for _, form in ipairs { "number", "string", "null", "zero", "absent" } do
      it("failed, with its error as " .. form, function()
        local status = status_under { flag = 3, error_form = form, error_code = 501, error_message = "no" }
        assert.equal("failed", status.state)
      end)
    end
  end)

  describe("an extend's taskId", function()
    for form, expected in pairs { plain = true, snake = true, number = true } do
      it("as " .. form, function()
        sim:script { { on = "extend", task_id_form = form } }
        assert.equal(expected, type(assert(extend()).taskId) == "string")
      end)
    end

    for _, form in ipairs { "absent", "null", "empty", "data_null" } do
      it(form .. ": malformed, and maybe charged", function()
        sim:script { { on = "extend", task_id_form = form } }
        local _, err = extend()
        assert.same({ "uncertain", "malformed", "yes", 1 }, { err.code, err.cause, err.sent, posts() })
        local _, list = sim:charges()
        assert.equal(1, #list)
      end)
    end
  end)

  describe("an unreadable reply", function()
    for _, form in ipairs { "html", "text", "empty", "cut", "array", "number", "garbled", "gateway", "huge", "deep",
      "gzip_bomb" } do
      it("of " .. form .. " on a status", function()
        sim:script { { on = "status", form = form } }
        local _, err = client:status(sim.source)
        assert.same({ form == "gateway" and "unavailable" or "malformed", 2 }, { err.code, gets() })
        if form == "html" or form == "text" then assert.is_string(err.excerpt) end
        assert.is_true(#(err.excerpt or "") <= 200)
      end)

      it("of " .. form .. " on an extend", function()
        sim:script { { on = "extend", form = form, charge = true } }
        local _, err = extend()
        assert.equal(1, posts())
        assert.equal(form == "gateway" and "unavailable" or "uncertain", err.code)
      end)
    end

    for name, rule in pairs {
      ["closed unanswered"] = { close = "unanswered" }, ["closed in its header"] = { close = "headers" },
      ["cut in its body"] = { cut = 20 },
    } do
      it(name .. " on a status is a network error, and asked again", function()
        rule.on, rule.times = "status", 1
        sim:script { rule }
        assert.equal("succeeded", assert(client:status(sim.source)).state)
        assert.is_true(gets() >= 2)
        rule.times = nil
      end)
    end

    it("is none when it is whole, whatever its Content-Length says", function()
      sim:script { { on = "status", length = 50 } }
      assert.equal("succeeded", assert(client:status(sim.source)).state)
      assert.equal(1, gets())
    end)

    it("that is no HTTP", function()
      sim:script { { on = { "status", "extend" }, garbage = true } }
      local _, err = client:status(sim.source)
      assert.equal("malformed", err.code)
      _, err = extend()
      assert.same({ "uncertain", 1 }, { err.code, posts() })
    end)

    it("that is stalled, ends with the time-out", function()
      sim:script { { on = "status", stall = 10 } }
      local began = helper.now()
      local _, err = client:status(sim.source, { timeout = 0.2, retry = { attempts = 1 } })
      assert.same({ "network", true }, { err.code, err.timed_out })
      assert.is_true(helper.now() - began < 20) -- of 60
    end)

    it("that is a redirect is not followed", function()
      sim:script { { on = { "status", "extend" }, redirect = true } }
      local _, err = client:status(sim.source)
      assert.same({ "malformed", 2 }, { err.code, gets() })
      _, err = extend()
      assert.same({ "uncertain", "redirect", 1 }, { err.code, err.cause, posts() })
    end)
  end)

  it("never broke a rule of the service in all this", function() assert.same({}, sim:violations()) end)
end)
