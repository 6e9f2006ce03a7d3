--- Every row of the service's code table, for a status call and for an extend, and every reply that is no answer.

local errors = require "veo.errors"
local wire = require "veo.wire"

-- A reply as veo.core gives it.
local function reply(code, data, fields)
  local r = { http_status = 200, code = code, msg = "words of the service", data = data, sent = "yes" }
  for name, value in pairs(fields or {}) do r[name] = value end
  r.body = { code = code, msg = r.msg, data = data }
  return r
end

local function unreadable(http_status, reason, excerpt)
  return { reason = reason or "malformed", http_status = http_status, sent = "yes", message = "unreadable",
    excerpt = excerpt or "<html>busy</html>" }
end

-- { code, status → error code or "=failed" for a failed task, extend → error code, verdict }
local ROWS = {
  { 400, "rejected", "rejected", "refused" },
  { 401, "unauthorized", "unauthorized", "refused" },
  { 402, "insufficient_credits", "insufficient_credits", "refused" },
  { 403, "forbidden", "forbidden", "refused" },
  { 404, "not_found", "not_found", "refused" },
  { 408, "server", "uncertain", "uncertain" },
  { 422, "rejected", "rejected", "refused" },
  { 429, "rate_limited", "rate_limited", "repeat" },
  { 433, "key_limit", "key_limit", "refused" },
  { 451, "rejected", "rejected", "refused" },
  { 455, "unavailable", "unavailable", "repeat" },
  { 500, "server", "uncertain", "uncertain" },
  { 501, "=failed", "failed", "refused" },
  { 505, "disabled", "disabled", "refused" },
  { 502, "server", "uncertain", "uncertain" },
  { 503, "server", "uncertain", "uncertain" },
  { 504, "server", "uncertain", "uncertain" },
  { 520, "server", "uncertain", "uncertain" },
  { 521, "server", "uncertain", "uncertain" },
  { 522, "server", "uncertain", "uncertain" },
  { 523, "server", "uncertain", "uncertain" },
  { 524, "server", "uncertain", "uncertain" },
  -- Codes nobody documents.
  { 0, "server", "uncertain", "uncertain" },
  { -1, "server", "uncertain", "uncertain" },
  { 201, "server", "uncertain", "uncertain" },
  { 302, "server", "uncertain", "uncertain" },
  { 409, "server", "uncertain", "uncertain" },
  { 599, "server", "uncertain", "uncertain" },
  { 100000, "server", "uncertain", "uncertain" },
}

local REPEATABLE = { server = true, rate_limited = true, unavailable = true, network = true, malformed = true }

describe("code in the body", function()
  for _, row in ipairs(ROWS) do
    local code = row[1]

    it(code .. " on a status call", function()
      for _, api in ipairs { wire.veo, wire.jobs } do
        local status, err = wire.status(api, reply(code), nil, "t1")
        if row[2] == "=failed" then
          assert.is_nil(err)
          assert.are.equal("failed", status.state)
          assert.is_true(status.done)
          assert.are.equal("t1", status.taskId)
          assert.are.equal(code, status.errorCode)
          assert.are.equal("words of the service", status.errorMessage)
        else
          assert.is_nil(status)
          assert.is_true(errors.is(err))
          assert.are.equal(row[2], err.code)
          assert.are.equal(code, err.service_code)
          assert.are.equal("words of the service", err.service_msg)
          assert.are.equal("t1", err.taskId)
          assert.are.equal("status", err.operation)
          assert.is_truthy(err.message:find(tostring(code), 1, true))
          assert.is_truthy(err.message:find("words of the service", 1, true))
          assert.are.equal(REPEATABLE[err.code] == true, wire.repeatable(err))
        end
      end
    end)

    it(code .. " on an extend", function()
      local accepted, err, verdict = wire.accepted(wire.veo, "extend", reply(code))
      assert.is_nil(accepted)
      assert.are.equal(row[3], err.code)
      assert.are.equal(row[4], verdict)
      assert.are.equal(code, err.service_code)
      assert.are.equal("extend", err.operation)
      assert.are.equal("yes", err.sent)
    end)

    it(code .. " decides over the HTTP status, also as a float or a string", function()
      for _, form in ipairs { code + 0.0, tostring(code), (" %d.0"):format(code) } do
        for _, http_status in ipairs { 200, 500, 404 } do
          local _, err, verdict = wire.accepted(wire.veo, "extend", reply(form, nil, { http_status = http_status }))
          assert.are.equal(row[3], err.code)
          assert.are.equal(row[4], verdict)
          assert.are.equal(code, err.service_code)
        end
      end
    end)
  end
end)

-- HTTP status when the body has no usable code: { HTTP, status call, extend, verdict }
local HTTP_ROWS = {
  { 400, "rejected", "rejected", "refused" },
  { 401, "unauthorized", "unauthorized", "refused" },
  { 402, "insufficient_credits", "insufficient_credits", "refused" },
  { 403, "forbidden", "forbidden", "refused" },
  { 408, "server", "uncertain", "uncertain" },
  { 422, "rejected", "rejected", "refused" },
  { 429, "rate_limited", "rate_limited", "repeat" },
  { 455, "unavailable", "unavailable", "repeat" },
  { 500, "server", "uncertain", "uncertain" },
  { 501, "server", "failed", "refused" },
  { 502, "server", "uncertain", "uncertain" },
  { 503, "server", "uncertain", "uncertain" },
  { 504, "server", "uncertain", "uncertain" },
  { 520, "server", "uncertain", "uncertain" },
  { 524, "server", "uncertain", "uncertain" },
  { 418, "server", "uncertain", "uncertain" },
  { 301, "malformed", "uncertain", "uncertain" },
  { 302, "malformed", "uncertain", "uncertain" },
  { 307, "malformed", "uncertain", "uncertain" },
}

describe("without a usable code in the body", function()
  for _, row in ipairs(HTTP_ROWS) do
    it("HTTP " .. row[1] .. " decides", function()
      local exchanges = {
        { reply = { http_status = row[1], data = nil, body = { error = "x" }, sent = "yes" } },
        { reply = { http_status = row[1], code = "n/a", body = { code = "n/a" }, sent = "yes" } },
        { failure = unreadable(row[1]) },
        { failure = unreadable(row[1], "too_large") },
      }
      for _, e in ipairs(exchanges) do
        local status, err = wire.status(wire.veo, e.reply, e.failure)
        assert.is_nil(status)
        assert.are.equal(row[2], err.code)
        assert.are.equal(row[1], err.http_status)
        local accepted, submit_err, verdict = wire.accepted(wire.veo, "extend", e.reply, e.failure)
        assert.is_nil(accepted)
        assert.are.equal(row[3], submit_err.code)
        assert.are.equal(row[4], verdict)
      end
    end)
  end

  it("HTTP 404 is the gateway's when it is no JSON, or JSON with a path", function()
    local page = { http_status = 404, body = { status = 404, error = "Not Found", path = "/api/v1/x" }, sent = "yes" }
    local coded = reply(404, nil, { http_status = 404 })
    coded.body.path = "/api/v1/x"
    for _, e in ipairs { { nil, unreadable(404) }, { page }, { coded } } do
      local _, err = wire.status(wire.veo, e[1], e[2])
      assert.are.equal("unavailable", err.code)
      assert.is_true(wire.repeatable(err))
      local _, submit_err, verdict = wire.accepted(wire.veo, "extend", e[1], e[2])
      assert.are.equal("unavailable", submit_err.code)
      assert.are.equal("refused", verdict)
    end
    local _, err = wire.status(wire.veo, { http_status = 404, body = { error = "x" }, sent = "yes" })
    assert.are.equal("not_found", err.code)
  end)

  it("the proxy's 1010 is forbidden and explained", function()
    local _, err = wire.status(wire.veo, nil, unreadable(403, "malformed", "error code: 1010"))
    assert.are.equal("forbidden", err.code)
    assert.is_truthy(err.message:find("error code: 1010", 1, true))
    assert.is_truthy(err:explain():find("User-Agent", 1, true))
  end)

  it("HTTP 200 unreadable or over-long is malformed, and uncertain where money is", function()
    for _, reason in ipairs { "malformed", "too_large" } do
      local _, err = wire.status(wire.veo, nil, unreadable(200, reason, "<html>\0\1x"))
      assert.are.equal("malformed", err.code)
      assert.are.equal(reason, err.cause)
      assert.are.equal("<html>\\x00\\x01x", err.excerpt)
      local _, submit_err, verdict = wire.accepted(wire.veo, "extend", nil, unreadable(200, reason))
      assert.are.equal("uncertain", submit_err.code)
      assert.are.equal("uncertain", verdict)
      assert.are.equal(reason, submit_err.cause)
    end
  end)
end)

describe("422 on a status call", function()
  for _, case in ipairs {
    { "record is null", "not_found" },
    { "recordInfo is null", "not_found" },
    { "Record Is Null!", "not_found" },
    { "Temporarily supports records within 14 days.", "expired" },
    { "Temporarily supports records within 2 months", "expired" },
    { "This field is required", "rejected" },
    { "", "rejected" },
    { 42, "rejected" },
  } do
    it(tostring(case[1]), function()
      local status, err = wire.status(wire.veo, reply(422, nil, { msg = case[1] }), nil, "t")
      assert.is_nil(status)
      assert.are.equal(case[2], err.code)
      assert.are.equal("t", err.taskId)
    end)
  end

  it("record status is not success: the record is there and not finished", function()
    local status, err = wire.status(wire.veo, reply(422, nil, { msg = "record status is not success" }), nil, "t")
    assert.is_nil(err)
    assert.are.equal("generating", status.state)
    assert.is_false(status.done)
    assert.is_truthy(status.note:find("record status is not success", 1, true))
  end)

  it("on an extend is a refusal whatever it says", function()
    for _, msg in ipairs { "record is null", "record status is not success", "within 14 days" } do
      local _, err, verdict = wire.accepted(wire.veo, "extend", reply(422, nil, { msg = msg }))
      assert.are.equal("rejected", err.code)
      assert.are.equal("refused", verdict)
    end
  end)
end)

describe("exchanges that failed", function()
  it("are network errors on a free call, whatever was sent", function()
    for _, sent in ipairs { "no", "maybe", "yes" } do
      local _, err = wire.status(wire.veo, nil, { reason = "network", sent = sent, curl_code = 28, timed_out = true,
        message = "Operation timed out" })
      assert.are.equal("network", err.code)
      assert.are.equal(28, err.curl_code)
      assert.are.equal(sent, err.sent)
      assert.is_true(err.timed_out)
      assert.is_true(wire.repeatable(err))
      assert.is_truthy(err.message:find("Operation timed out", 1, true))
    end
  end)

  for _, case in ipairs {
    { "network", "no", "network", "repeat" },
    { "network", "maybe", "uncertain", "uncertain" },
    { "network", "yes", "uncertain", "uncertain" },
    { "cancelled", "no", "cancelled", "refused" },
    { "cancelled", "maybe", "uncertain", "uncertain" },
    { "closed", "no", "closed", "refused" },
    { "closed", "maybe", "uncertain", "uncertain" },
    { "io", "no", "io", "refused" },
    { "network", nil, "uncertain", "uncertain" },
  } do
    it(("%s, sent = %s on an extend: %s"):format(case[1], tostring(case[2]), case[4]), function()
      local accepted, err, verdict = wire.accepted(wire.veo, "extend", nil,
        { reason = case[1], sent = case[2], message = "m", curl_code = 52 })
      assert.is_nil(accepted)
      assert.are.equal(case[3], err.code)
      assert.are.equal(case[4], verdict)
      assert.are.equal(case[2] or "maybe", err.sent)
      assert.are.equal(case[1], err.cause)
    end)
  end

  it("keep cancelled and closed on a free call", function()
    for _, reason in ipairs { "cancelled", "closed", "io" } do
      local _, err = wire.status(wire.veo, nil, { reason = reason, sent = "maybe", message = "m" })
      assert.are.equal(reason, err.code)
      assert.is_false(wire.repeatable(err))
    end
  end)
end)

describe("wire.accepted", function()
  for _, case in ipairs {
    { "taskId", { taskId = "veo_extend_task_xyz789" }, "veo_extend_task_xyz789" },
    { "task_id", { task_id = "abc" }, "abc" },
    { "a number", { taskId = 123456789012 }, "123456789012" },
    { "with other members", { taskId = "a", more = { 1 } }, "a" },
    { "an empty taskId beside task_id", { taskId = "", task_id = "b" }, "b" },
  } do
    it("takes " .. case[1], function()
      for _, api in ipairs { wire.veo, wire.jobs } do
        local r = reply(200, case[2])
        local accepted, err = wire.accepted(api, "extend", r)
        assert.is_nil(err)
        assert.are.equal(case[3], accepted.taskId)
        assert.are.equal(r.body, accepted.raw)
      end
    end)
  end

  it("takes it under HTTP 2xx without a code, and under another HTTP status with code 200", function()
    local none = reply(nil, { taskId = "a" }, { http_status = 201 })
    assert.are.equal("a", (wire.accepted(wire.veo, "extend", none)).taskId)
    assert.are.equal("a", (wire.accepted(wire.veo, "extend", reply("200", { taskId = "a" }))).taskId)
    local odd = reply(200, { taskId = "a" }, { http_status = 500 })
    assert.are.equal("a", (wire.accepted(wire.veo, "extend", odd)).taskId)
  end)

  for name, data in pairs {
    ["no data"] = false, ["an empty object"] = {}, ["an empty id"] = { taskId = "" }, ["a blank id"] = { taskId = " " },
    ["an id with a line break"] = { taskId = "a\nb" }, ["a table"] = { taskId = { "a" } },
    ["a fraction"] = { taskId = 1.5 }, ["a boolean"] = { taskId = true }, ["a string as data"] = "t1",
    ["a number as data"] = 7, ["a list"] = { "t1" },
  } do
    it("calls code 200 with " .. name .. " uncertain", function()
      local accepted, err, verdict = wire.accepted(wire.veo, "extend", reply(200, data or nil))
      assert.is_nil(accepted)
      assert.are.equal("uncertain", err.code)
      assert.are.equal("uncertain", verdict)
      assert.are.equal("malformed", err.cause)
      assert.is_truthy(err.message:find("names no task", 1, true))
    end)
  end

  it("keeps the task id that an uncertain reply names", function()
    local _, err, verdict = wire.accepted(wire.veo, "extend", reply(500, { taskId = "late" }))
    assert.are.equal("uncertain", verdict)
    assert.are.equal("late", err.taskId)
  end)

  it("keeps Retry-After, also with HTTP 200", function()
    local _, err, verdict = wire.accepted(wire.veo, "extend", reply(429, nil, { retry_after = 7 }))
    assert.are.equal("repeat", verdict)
    assert.are.equal(7, err.retry_after)
  end)

  it("tells the three 422 of get_4k apart", function()
    local working = reply(422, { taskId = "k" }, { msg = "4k is processing. Please check back shortly." })
    local accepted = assert(wire.accepted(wire.veo, "get_4k", working))
    assert.is_true(accepted.processing)
    assert.are.equal("k", accepted.taskId)
    local done = reply(422, { taskId = "k", resultUrls = "[http://a.example/4k.mp4]" }, { msg = "done before" })
    accepted = assert(wire.accepted(wire.veo, "get_4k", done))
    assert.is_nil(accepted.processing)
    assert.are.same({ "http://a.example/4k.mp4" }, accepted.resultUrls)
    local _, err, verdict = wire.accepted(wire.veo, "get_4k", reply(422, nil, { msg = "taskId is wrong" }))
    assert.are.equal("rejected", err.code)
    assert.are.equal("refused", verdict)
    for _, other in ipairs {
      reply(422, {}, { msg = "4k is processing" }), -- of no task
      reply(422, { taskId = "k" }, { msg = "taskId is wrong" }), reply(422, { taskId = "k" }, { msg = false }),
      reply(400, { taskId = "k" }, { msg = "4k is processing" }),
    } do
      assert.is_nil((wire.accepted(wire.veo, "get_4k", other)))
    end
    assert.is_nil((wire.accepted(wire.veo, "extend", working)))
  end)
end)

describe("wire.free", function()
  it("mends the blanks in a link, and takes nothing else for one", function()
    local function link(data) return (wire.free(wire.veo, "upload_url", reply(200, data))) end
    assert.are.equal("https://a.example/b%20c.mp4", link({ downloadUrl = "https://a.example/b c.mp4" }).downloadUrl)
    assert.are.equal("https://a.example/b.mp4", link({ downloadUrl = "https://a.example/b.mp4" }).downloadUrl)
    for _, data in ipairs { { downloadUrl = "no link" }, { downloadUrl = 5 }, {}, "https://a.example/b.mp4" } do
      assert.is_nil(link(data))
    end
  end)

  it("reads credits, fractional or as text", function()
    assert.are.equal(5916.25, (wire.free(wire.veo, "credits", reply(200, 5916.25))))
    assert.are.equal(5916.25, (wire.free(wire.jobs, "credits", reply(200, "5916.25"))))
    assert.are.equal(0, (wire.free(wire.veo, "credits", reply(200, 0))))
  end)

  it("calls credits that are no number malformed", function()
    for _, data in ipairs { "many", "nan", {}, true } do
      local credits, err = wire.free(wire.veo, "credits", reply(200, data))
      assert.is_nil(credits)
      assert.are.equal("malformed", err.code)
    end
    assert.are.equal("malformed", select(2, wire.free(wire.veo, "credits", reply(200))).code)
  end)

  it("reads a download link and an upload's", function()
    assert.are.equal("https://a.example/x", (wire.free(wire.veo, "download_url", reply(200, "https://a.example/x"))))
    local data = { downloadUrl = "https://a.example/i.png", filePath = "in/i.png" }
    assert.are.equal(data, (wire.free(wire.veo, "upload_url", reply(200, data))))
    assert.are.equal("rejected", select(2, wire.free(wire.veo, "download_url",
      reply(422, nil, { msg = "url is wrong" }))).code)
    assert.are.equal("malformed", select(2, wire.free(wire.veo, "download_url", reply(200, "soon"))).code)
  end)

  it("turns codes and failures into errors of the call", function()
    local _, err = wire.free(wire.veo, "credits", reply(401))
    assert.are.equal("unauthorized", err.code)
    assert.are.equal("credits", err.operation)
    _, err = wire.free(wire.veo, "credits", nil, { reason = "network", sent = "no", message = "refused" })
    assert.are.equal("network", err.code)
  end)
end)

describe("wire.upgrade", function()
  it("gives the link when there is one", function()
    local up = assert(wire.upgrade(wire.veo, "get_1080p", reply(200, { resultUrl = "https://a.example/h.mp4" })))
    assert.is_true(up.ready)
    assert.are.equal("https://a.example/h.mp4", up.url)
  end)

  it("knows not-ready in all its forms", function()
    for _, r in ipairs { reply(400), reply(404), reply(422), reply(200), reply(200, {}),
      reply(422, nil, { msg = "record status is not success" }) } do
      local up = assert(wire.upgrade(wire.veo, "get_1080p", r))
      assert.is_false(up.ready)
      assert.is_true(errors.is(up.err))
    end
  end)

  it("leaves the rest errors", function()
    for code, class in pairs { [401] = "unauthorized", [500] = "server", [429] = "rate_limited" } do
      local up, err = wire.upgrade(wire.veo, "get_1080p", reply(code))
      assert.is_nil(up)
      assert.are.equal(class, err.code)
    end
    local _, err = wire.upgrade(wire.veo, "get_1080p", reply(422, nil, { msg = "records within 14 days" }))
    assert.are.equal("expired", err.code)
    _, err = wire.upgrade(wire.veo, "get_1080p", nil, unreadable(404))
    assert.are.equal("unavailable", err.code)
  end)
end)
