--- From a task's record to a status: flags, containers, the five forms of URL lists, times, unknown ids; both families.

local json = require("cjson.safe").new()
local urls = require "veo.wire.urls"
local wire = require "veo.wire"

local function record(data)
  return { http_status = 200, code = 200, msg = "success", data = data, sent = "yes",
    body = { code = 200, msg = "success", data = data } }
end

local function status_of(data)
  return wire.status(wire.veo, record(data), nil, "asked")
end

local A, B = "https://tempfile.example/v/0b7d.mp4", "http://tempfile.example/v/77aa.mp4?sig=1,2"

describe("the documented sample", function()
  it("becomes a status", function()
    local r = record {
      taskId = "4d1c", paramJson = '{"prompt":"the boat turns"}', completeTime = 1781234873000,
      response = { taskId = "4d1c", resultUrls = { A }, fullResultUrls = { B }, resolution = "720p",
        hasAudioList = { true }, seeds = { 48213 } },
      successFlag = 1, errorMessage = "", createTime = 1781234500000, fallbackFlag = false,
    }
    assert.are.same({
      taskId = "4d1c", state = "succeeded", done = true, video_url = B, resultUrls = { A }, fullResultUrls = { B },
      resolution = "720p", seeds = { 48213 }, hasAudioList = { true }, successFlag = 1,
      createTime = 1781234500000, completeTime = 1781234873000, paramJson = '{"prompt":"the boat turns"}',
      raw = r.body,
    }, (wire.status(wire.veo, r)))
  end)
end)

describe("creditsConsumed", function()
  it("is a number, whatever form it has, and nothing where it says nothing", function()
    for _, case in ipairs { { 60, 60 }, { 57.25, 57.25 }, { "57.25", 57.25 }, { 0, 0 }, { -1 }, { "" }, { "60 c" },
      { {} }, { true } } do
      assert.are.equal(case[2], status_of({ successFlag = 1, creditsConsumed = case[1] }).creditsConsumed)
      local data = { taskId = "a", state = "success", creditsConsumed = case[1] }
      assert.are.equal(case[2], wire.status(wire.jobs, record(data), nil, "a").creditsConsumed)
      assert.are.equal(case[2], status_of({ successFlag = 0, creditsConsumed = case[1] }).creditsConsumed)
    end
  end)
end)

describe("successFlag", function()
  for _, case in ipairs {
    { 0, "generating" }, { 1, "succeeded" }, { 2, "failed" }, { 3, "failed" },
    { "0", "generating" }, { "1", "succeeded" }, { "2", "failed" }, { "3", "failed" },
    { 1.0, "succeeded" }, { "1.0", "succeeded" }, { " 2 ", "failed" },
  } do
    it(("%s (%s) is %s"):format(tostring(case[1]), type(case[1]), case[2]), function()
      local status = assert(status_of { taskId = "t", successFlag = case[1], response = { resultUrls = { A } } })
      assert.are.equal(case[2], status.state)
      assert.are.equal(case[2] ~= "generating", status.done)
      assert.are.equal(tonumber(case[1]), status.successFlag)
      assert.are.equal(case[2] == "succeeded" and A or nil, status.video_url)
      assert.is_nil(status.note)
    end)
  end

  for _, flag in ipairs { 4, -1, 1.5, 0 / 0, math.huge, "", "yes", "0x1", "1e0", ("0"):rep(300000) .. "1", true, {} } do
    it(("%.20s (%s) is undecided, never success"):format(tostring(flag), type(flag)), function()
      local status = assert(status_of { taskId = "t", successFlag = flag, response = { resultUrls = { A } } })
      assert.are.equal("generating", status.state)
      assert.is_false(status.done)
      assert.is_nil(status.video_url)
      assert.is_truthy(status.note:find("still generating", 1, true))
      assert.is_true(#status.note < 200)
    end)
  end

  it("absent is undecided too", function()
    local status = assert(status_of { taskId = "t", response = { resultUrls = { A } } })
    assert.are.equal("generating", status.state)
    assert.is_truthy(status.note:find("no successFlag", 1, true))
  end)
end)

describe("a failed task", function()
  for _, case in ipairs {
    { { errorCode = 500, errorMessage = "Internal error" }, 500, "Internal error" },
    { { errorCode = "400", errorMessage = "flagged" }, 400, "flagged" },
    { { errorCode = "E_POLICY", errorMessage = "x" }, "E_POLICY", "x" },
    { { errorCode = 0, errorMessage = "" }, nil, nil },
    { { errorCode = "", errorMessage = "only words" }, nil, "only words" },
    { {}, nil, nil },
  } do
    it("keeps " .. tostring(case[2]) .. " and " .. tostring(case[3]), function()
      case[1].successFlag, case[1].taskId = 2, "t"
      local status, err = status_of(case[1])
      assert.is_nil(err)
      assert.are.equal("failed", status.state)
      assert.is_true(status.done)
      assert.are.equal(case[2], status.errorCode)
      assert.are.equal(case[3], status.errorMessage)
    end)
  end

  it("names the task asked for when the record does not", function()
    assert.are.equal("asked", assert(status_of { successFlag = 3 }).taskId)
    assert.are.equal("other", assert(status_of { task_id = "other", successFlag = 3 }).taskId)
  end)
end)

describe("an unknown id", function()
  for name, reply in pairs {
    ["code 404"] = { http_status = 200, code = 404, body = { code = 404 } },
    ["422 record is null"] = { http_status = 200, code = 422, msg = "record is null" },
    ["422 recordInfo is null"] = { http_status = 200, code = 422, msg = "recordInfo is null" },
    ["data null"] = record(nil),
    ["data {}"] = record {},
    ["data \"\""] = record "",
  } do
    it("as " .. name .. " is not_found", function()
      for _, api in ipairs { wire.veo, wire.jobs } do
        local status, err = wire.status(api, reply, nil, "asked")
        assert.is_nil(status)
        assert.are.equal("not_found", err.code)
        assert.are.equal("asked", err.taskId)
      end
    end)
  end

  it("is not to be confused with a record of the wrong kind", function()
    for _, data in ipairs { "soon", 7, true, { A } } do
      local status, err = status_of(data)
      assert.is_nil(status)
      assert.are.equal("malformed", err.code)
    end
  end)
end)

-- { form, value, list }
local FORMS = {
  { "an array", { A, B }, { A, B } },
  { "a string of a JSON array", json.encode { A, B }, { A, B } },
  { "a list without inner quotes", "[" .. A .. ", " .. B .. "]", { A, B } },
  { "the same without blanks", "[" .. A .. "," .. B .. "]", { A, B } },
  { "one bare URL", A, { A } },
  { "one bare URL in blanks", " " .. A .. "\n", { A } },
  { "one URL with commas", "[" .. B .. "]", { B } },
  { "a list in single quotes", "['" .. A .. "', '" .. B .. "']", { A, B } },
  { "a string of a string of JSON", json.encode(json.encode { A }), { A } },
  { "a string of a JSON string", json.encode(A), { A } },
  { "an array with nulls", { json.null, A, json.null, B }, { A, B } },
  { "an array with a hole", { [2] = A }, { A } },
  { "an array with other things", { "", 5, {}, "N/A", "ftp://x/y", A }, { A } },
  { "a link with blanks in path and query", "https://a.example/my boat\t1.mp4?name=my boat&x=1",
    { "https://a.example/my%20boat%091.mp4?name=my%20boat&x=1" } },
  { "an array of the same", { "http://a.example/a b.mp4", A }, { "http://a.example/a%20b.mp4", A } },
  { "a string of the same", json.encode { "http://a.example/a b.mp4" }, { "http://a.example/a%20b.mp4" } },
  { "the same in brackets", "[http://a.example/a b.mp4, " .. A .. "]", { "http://a.example/a%20b.mp4", A } },
  { "two links and a blank", A .. " " .. B, { A, B } },
  { "two links and a newline", A .. "\n" .. B .. "\n", { A, B } },
  { "two links and other blanks", A .. " \r\n\t" .. B, { A, B } },
  { "two links, a comma and a blank", A .. ", " .. B, { A, B } },
  { "two quoted links and a newline", "'" .. A .. "'\n'" .. B .. "'", { A, B } },
  { "two links in one item", { A .. "\n" .. B }, { A, B } },
  { "two links and a blank in brackets", "[" .. A .. " " .. B .. "]", { A, B } },
  { "a link with a link in it", A .. "?from=http://b.example/x y", { A .. "?from=http://b.example/x%20y" } },
  { "a blank in the host", "http://a. example/x", nil },
  { "words and a link", "failed, see " .. A, nil },
  { "upper-case scheme", "HTTPS://A.example/x", { "HTTPS://A.example/x" } },
  { "null", nil, nil },
  { "JSON null", json.null, nil },
  { "an empty array", {}, nil },
  { "a string of an empty array", "[]", nil },
  { "a string of null", "null", nil },
  { "an empty string", "", nil },
  { "blanks", "  ", nil },
  { "an empty list in brackets", "[ , ]", nil },
  { "words", "not ready", nil },
  { "a URL with a line break", "http://a.example/\r\nX: 1", nil },
  { "a URL without a host", "http://", nil },
  { "a number", 5, nil },
  { "a boolean", true, nil },
}

describe("URL lists", function()
  for _, form in ipairs(FORMS) do
    it("as " .. form[1], function()
      assert.are.same(form[3], urls.list(form[2]))
      for place, data in pairs {
        response = { response = { resultUrls = form[2] } },
        info = { info = { resultUrls = form[2] } },
        data = { resultUrls = form[2] },
      } do
        data.successFlag, data.taskId = 1, "t"
        local status = assert(status_of(data))
        assert.are.same(form[3], status.resultUrls, place)
        assert.are.equal("succeeded", status.state)
        assert.are.equal(form[3] and form[3][1], status.video_url)
      end
    end)
  end

  it("at response, info or data themselves", function()
    for _, form in ipairs { { A }, json.encode { A }, "[" .. A .. "]", A } do
      assert.are.same({ A }, assert(status_of { successFlag = 1, response = form }).resultUrls)
      assert.are.same({ A }, assert(status_of { successFlag = 1, info = form }).resultUrls)
    end
  end)

  it("are read in linear time, whatever a server sends", function()
    local start = os.clock()
    local unit = 200000
    for _, evil in ipairs {
      "[" .. ("'"):rep(unit) .. "x", "[" .. ("' "):rep(unit), ("["):rep(unit), "[" .. (","):rep(unit),
      "[" .. (", "):rep(unit) .. "]", (" "):rep(unit) .. "x", "[" .. (", http"):rep(unit), ("\""):rep(unit),
      "[" .. ("xhttp://"):rep(unit), "[" .. (" http://"):rep(unit),
      ("http:// "):rep(unit), A .. (" \r"):rep(unit) .. "x",
    } do
      assert.is_nil(urls.list(evil))
    end
    assert.is_true(os.clock() - start < 2)
  end)
end)

describe("response", function()
  it("as a string of JSON is read, and its nulls are absent", function()
    local status = assert(status_of {
      taskId = "t", successFlag = "1",
      response = json.encode {
        resultUrls = { A }, fullResultUrls = json.null, originUrls = { json.null, B }, resolution = json.null,
        seeds = { 48213, json.null }, hasAudioList = { true, false }, mediaIds = { "m1" },
      },
    })
    assert.are.equal(A, status.video_url)
    assert.is_nil(status.fullResultUrls)
    assert.are.same({ B }, status.originUrls)
    assert.is_nil(status.resolution)
    assert.are.same({ 48213 }, status.seeds)
    assert.are.equal("48213", tostring(status.seeds[1]))
    assert.are.same({ true, false }, status.hasAudioList)
    assert.are.same({ "m1" }, status.mediaIds)
    for _, value in pairs(status) do assert.are_not.equal("userdata", type(value)) end
  end)

  it("unreadable, cut, null or empty is a success without a URL, for the wait to ask again", function()
    for _, response in ipairs { "", "null", "{", '{"resultUrls":["https://a.ex', "{}", {}, 5, true, json.null } do
      local status, err = status_of { taskId = "t", successFlag = 1, response = response }
      assert.is_nil(err)
      assert.are.equal("succeeded", status.state)
      assert.is_nil(status.video_url)
      assert.is_nil(status.resultUrls)
    end
  end)

  it("prefers the whole video over the new part", function()
    local status = assert(status_of { successFlag = 1, response = { resultUrls = { A }, fullResultUrls = { B } } })
    assert.are.equal(B, status.video_url)
    status = assert(status_of { successFlag = 1, response = { resultUrls = { A }, fullResultUrls = "[]" } })
    assert.are.equal(A, status.video_url)
    status = assert(status_of { successFlag = 1, response = { resultUrls = { A } }, fullResultUrls = B })
    assert.are.equal(B, status.video_url)
  end)

  it("makes lists of single values", function()
    local status = assert(status_of { successFlag = 1,
      response = { seeds = "[12345]", hasAudioList = true, mediaIds = "m" } })
    assert.are.same({ 12345 }, status.seeds)
    assert.are.same({ true }, status.hasAudioList)
    assert.are.same({ "m" }, status.mediaIds)
    status = assert(status_of { successFlag = 1, response = { seeds = 12345.0, hasAudioList = {}, mediaIds = "" } })
    assert.are.same({ 12345 }, status.seeds)
    assert.is_nil(status.hasAudioList)
    assert.is_nil(status.mediaIds)
  end)

  it("is not altered by being read: the same reply gives the same status twice", function()
    local odd = { resultUrls = { json.null, A, "N/A" }, seeds = { json.null, 12345, {} }, mediaIds = { {}, "m" } }
    local r = record { taskId = "t", successFlag = 1, response = odd }
    local first, second = wire.status(wire.veo, r), wire.status(wire.veo, r)
    assert.are.same(first, second)
    assert.are.same({ A }, first.resultUrls)
    assert.are.same({ 12345 }, first.seeds)
    assert.are.same({ "m" }, first.mediaIds)
    assert.are.equal(3, #odd.seeds)
    assert.are.equal(json.null, odd.seeds[1])
  end)

  it("keeps unknown members in raw", function()
    local r = record { successFlag = 0, surprise = { deep = 1 } }
    assert.are.equal(1, (wire.status(wire.veo, r)).raw.data.surprise.deep)
  end)
end)

describe("times", function()
  for _, case in ipairs {
    { 1781234500000, 1781234500 }, { 1781234500123, 1781234500.123 }, { "1781234500000", 1781234500 },
    { 1781234500, 1781234500 },
    { "2026-06-12T03:21:40Z", 1781234500 }, { "2026-06-12T03:21:40.500Z", 1781234500.5 },
    { "2026-06-12T05:21:40+02:00", 1781234500 }, { "2026-06-11T19:21:40-0800", 1781234500 },
    { "2026-06-12 03:21:40 Z", 1781234500 }, { "2024-02-29T00:00:00Z", 1709164800 },
    { "2026-06-12 03:21:40", nil }, { "2026-06-12T03:21:40", nil }, { "2026-13-12T03:21:40Z", nil },
    { "2026-06-32T03:21:40Z", nil }, { "2026-06-12T25:21:40Z", nil }, { "2026-06-12", nil }, { "now", nil },
    { "", nil }, { 0, nil }, { -1, nil }, { 5, nil }, { 1e300, nil }, { 0 / 0, nil }, { {}, nil }, { true, nil },
    { ("1"):rep(100), nil }, { ("1"):rep(309) .. "x", nil }, { json.null, nil },
  } do
    it(("%.40s → %s"):format(tostring(case[1]), tostring(case[2])), function()
      local got = wire.time(case[1])
      if case[2] then
        assert.is_true(math.abs(got - case[2]) < 1e-3, tostring(got))
      else
        assert.is_nil(got)
      end
    end)
  end

  it("stay as they came in a status", function()
    for _, value in ipairs { 1781234500000, "1781234500000", "2026-06-12 03:21:40", "2026-06-12T03:21:40Z" } do
      local status = assert(status_of { successFlag = 0, createTime = value, completeTime = value })
      assert.are.equal(value, status.createTime)
      assert.are.equal(value, status.completeTime)
    end
    for _, value in ipairs { "", {}, true, json.null } do
      assert.is_nil(assert(status_of { successFlag = 0, createTime = value }).createTime)
    end
  end)
end)

describe("the jobs family", function()
  local function job(data)
    return wire.status(wire.jobs, record(data), nil, "asked")
  end

  for word, state in pairs {
    waiting = "generating", queuing = "generating", generating = "generating", success = "succeeded",
    fail = "failed", SUCCESS = "succeeded",
  } do
    it(word .. " is " .. state, function()
      local status = assert(job { taskId = "t", state = word, resultJson = json.encode { resultUrls = { A } } })
      assert.are.equal(state, status.state)
      assert.are.equal(state ~= "generating", status.done)
      assert.are.equal(state == "succeeded" and A or nil, status.video_url)
      assert.is_nil(status.note)
    end)
  end

  it("leaves an unknown state undecided", function()
    for _, word in ipairs { "paused", "", 1, true } do
      local status = assert(job { taskId = "t", state = word, resultJson = json.encode { resultUrls = { A } } })
      assert.are.equal("generating", status.state)
      assert.is_nil(status.video_url)
      assert.is_string(status.note)
    end
    assert.is_string(assert(job { taskId = "t" }).note)
  end)

  it("keeps why a task failed, and its times", function()
    local status = assert(job { state = "fail", failCode = "500", failMsg = "Internal", createTime = 1781234500000,
      param = "{}" })
    assert.are.equal("asked", status.taskId)
    assert.are.equal(500, status.errorCode)
    assert.are.equal("Internal", status.errorMessage)
    assert.are.equal(1781234500000, status.createTime)
    assert.are.equal("{}", status.paramJson)
  end)
end)

describe("the jobs record's parsed result", function()
  local function of(data) return (wire.status(wire.jobs, record(data), nil, "a")) end

  it("is preferred over resultJson, which stands in for it", function()
    local held = '{"resultUrls":["' .. B .. '"],"resolution":"1080p"}'
    local status = of { taskId = "a", state = "success", successFlag = 1, response = { resultUrls = { A } },
      resultJson = held }
    assert.are.same({ A, "1080p", 1 }, { status.video_url, status.resolution, status.successFlag })
    for _, none in ipairs { {}, "", { resultUrls = {} } } do
      assert.are.equal(B, of { state = "success", response = none, resultJson = held }.video_url)
    end
    local text = '{"resultUrls":["' .. A .. '"]}'
    assert.are.equal(A, of { state = "success", response = text, resultJson = "" }.video_url)
  end)

  it("does not make a success of a word that is not documented", function()
    local status = of { state = "whatever", successFlag = 1, response = { resultUrls = { A } } }
    assert.are.same({ "generating", 1 }, { status.state, status.successFlag })
    assert.is_nil(status.video_url)
    assert.matches("whatever", status.note)
  end)
end)
