--- wire.check: every parameter rule of both API families, with messages that name field, given and expected.

local errors = require "veo.errors"
local wire = require "veo.wire"

local null = require("cjson.safe").null

local function with(changes)
  local params = { taskId = "veo_task_abcdef123456", prompt = "the boat turns" }
  for name, value in pairs(changes or {}) do params[name] = value end
  return params
end

-- { what, parameters, field, part of given, part of expected, suggestion }
local REFUSED = {
  { "no taskId", { prompt = "p" }, "taskId", "nothing", "source video" },
  { "taskId as JSON null", with { taskId = null }, "taskId", "nothing", "required" },
  { "an empty taskId", with { taskId = "" }, "taskId", "an empty string", "task id" },
  { "a blank taskId", with { taskId = "  " }, "taskId", "only blanks", "task id" },
  { "a number as taskId", with { taskId = 17 }, "taskId", "17", "string" },
  { "a NUL in taskId", with { taskId = "ab\0c" }, "taskId", "ab\\x00c", "one line" },
  { "a CR in taskId", with { taskId = "ab\rc" }, "taskId", "ab\\rc", "one line" },
  { "a LF in taskId", with { taskId = "ab\nX-Evil: 1" }, "taskId", "ab\\nX", "one line" },
  { "a taskId read with its line break", with { taskId = "abc\n" }, "taskId", "line break", "one line", "abc" },
  { "no prompt", { taskId = "t" }, "prompt", "nothing", "required" },
  { "an empty prompt", with { prompt = "" }, "prompt", "an empty string", "non-empty" },
  { "a prompt of white space", with { prompt = " \t\r\n " }, "prompt", "only blanks", "non-empty" },
  { "a prompt of wide white space", with { prompt = "\194\160\227\128\128\226\128\139" }, "prompt", "only blanks",
    "non-empty" },
  { "a table as prompt", with { prompt = { "a" } }, "prompt", "a table", "string" },
  { "a NUL in the prompt", with { prompt = "a\0b" }, "prompt", "NUL", "UTF-8" },
  { "Latin-1 in the prompt", with { prompt = "caf\233" }, "prompt", "at byte 4", "UTF-8" },
  { "overlong UTF-8 in the prompt", with { prompt = "a\192\175" }, "prompt", "at byte 2", "UTF-8" },
  { "a surrogate in the prompt", with { prompt = "a\237\160\128" }, "prompt", "at byte 2", "UTF-8" },
  { "a cut character in the watermark", with { watermark = "ok\226\130" }, "watermark", "at byte 3", "UTF-8" },
  { "an empty watermark", with { watermark = "" }, "watermark", "an empty string", "non-empty" },
  { "a number as watermark", with { watermark = 5 }, "watermark", "5", "string" },
  { "seeds below the range", with { seeds = 9999 }, "seeds", "9999", "10000 to 99999" },
  { "seeds above the range", with { seeds = 100000 }, "seeds", "100000", "10000 to 99999" },
  { "fractional seeds", with { seeds = 12345.5 }, "seeds", "12345.5", "whole number" },
  { "seeds as a string", with { seeds = "12345" }, "seeds", 'the string "12345"', "whole number" },
  { "NaN as seeds", with { seeds = 0 / 0 }, "seeds", "NaN", "whole number" },
  { "infinite seeds", with { seeds = math.huge }, "seeds", "inf", "whole number" },
  { "a list of seeds", with { seeds = { 12345 } }, "seeds", "a table", "whole number" },
  { "a boolean as model", with { model = true }, "model", "true", "string" },
  { "an empty model", with { model = "" }, "model", "an empty string", "one line" },
  { "a line break in the model", with { model = "a\nb" }, "model", "control character", "one line" },
  { "a line break behind the model", with { model = "fast\n" }, "model", "around it", "one line", "fast" },
  { "a callback that is no URL", with { callBackUrl = "my server" }, "callBackUrl", "blank", "http" },
  { "a callback without a scheme", with { callBackUrl = "example.org/cb" }, "callBackUrl", "example.org", "http" },
  { "an ftp callback", with { callBackUrl = "ftp://example.org/cb" }, "callBackUrl", "ftp://", "http" },
  { "a callback without a host", with { callBackUrl = "https:///cb" }, "callBackUrl", "without a host", "host" },
  { "a callback with a user only", with { callBackUrl = "https://me@/cb" }, "callBackUrl", "without a host", "host" },
  { "a callback with an odd port", with { callBackUrl = "https://a.example:99999/" }, "callBackUrl", "65535", "http" },
  { "a LF in the callback", with { callBackUrl = "https://a.example/\nX: 1" }, "callBackUrl", "line break", "http" },
  { "a NUL in the callback", with { callBackUrl = "https://a.example/\0" }, "callBackUrl", "control", "http" },
  { "a number as callback", with { callBackUrl = 5 }, "callBackUrl", "5", "http" },
  { "task_id", { task_id = "t", prompt = "p" }, "task_id", "a string", "taskId", "taskId" },
  { "taskID", { taskID = "t", prompt = "p" }, "taskID", "a string", "taskId", "taskId" },
  { "callback_url", with { callback_url = "u" }, "callback_url", "a string", "callBackUrl", "callBackUrl" },
  { "callbackUrl", with { callbackUrl = "u" }, "callbackUrl", "a string", "callBackUrl", "callBackUrl" },
  { "webhook", with { webhook = "u" }, "webhook", "a string", "callBackUrl", "callBackUrl" },
  { "seed", with { seed = 12345 }, "seed", "a number", "seeds", "seeds" },
  { "Seeds", with { Seeds = 12345 }, "Seeds", "a number", "seeds", "seeds" },
  { "promt", { taskId = "t", promt = "p" }, "promt", "a string", "prompt", "prompt" },
  { "waterMark", with { waterMark = "x" }, "waterMark", "a string", "watermark", "watermark" },
  { "modle", with { modle = "fast" }, "modle", "a string", "model", "model" },
  { "a field nobody knows", with { resolution = "4k" }, "resolution", "a string", "one of taskId, prompt" },
  { "a list instead of fields", { "t", "p" }, "[1]", "a string", "one of taskId" },
  { "extra that is no table", with { extra = "x" }, "extra", '"x"', "named fields" },
  { "a list in extra", with { extra = { "x" } }, "extra", "1", "named fields" },
  { "extra over a known field", with { extra = { prompt = "q" } }, "extra.prompt", "knows", "beside", "prompt" },
  { "a function in extra", with { extra = { f = print } }, "extra.f", "a function", "JSON" },
  { "NaN in extra", with { extra = { deep = { n = 0 / 0 } } }, "extra.deep.n", "not finite", "JSON" },
  { "bad UTF-8 in extra", with { extra = { s = "\255" } }, "extra.s", "UTF-8", "JSON" },
  { "a mixed table in extra", with { extra = { t = { 1, a = 2 } } }, "extra.t", "neither", "JSON" },
}

describe("wire.check refuses for extend", function()
  for _, case in ipairs(REFUSED) do
    it(case[1], function()
      local body, err = wire.check(wire.veo, "extend", case[2])
      assert.is_nil(body)
      assert.is_true(errors.is(err))
      assert.are.equal("invalid", err.code)
      assert.are.equal("extend", err.operation)
      assert.are.equal("no", err.sent)
      assert.are.equal(case[3], err.field)
      assert.is_truthy(err.given:find(case[4], 1, true), err.given)
      assert.is_truthy(err.expected:find(case[5], 1, true), err.expected)
      assert.are.equal(case[6], err.suggestion)
      assert.is_truthy(err.message:find(case[3], 1, true), err.message)
      if case[6] then assert.is_truthy(err.message:find("did you mean", 1, true), err.message) end
      assert.is_nil(err.message:find("%c"))
      assert.is_true(#err.message < 330, err.message)
    end)
  end

  it("a cycle in extra", function()
    local loop = {}
    loop.again = loop
    local body, err = wire.check(wire.veo, "extend", with { extra = { loop = loop } })
    assert.is_nil(body)
    assert.are.equal("extra.loop.again", err.field)
    assert.is_truthy(err.given:find("holds itself", 1, true))
  end)

  it("what is no table of parameters", function()
    for _, params in ipairs { "t", 5, true, print } do
      local body, err = wire.check(wire.veo, "extend", params)
      assert.is_nil(body)
      assert.are.equal("params", err.field)
    end
    assert.is_nil((wire.check(wire.veo, "extend", nil)))
  end)

  it("the same mistake with the same message, whatever the table's order", function()
    local first
    for i = 1, 20 do
      local params = with { zeta = 1, alpha = 2, beta = 3 }
      params["junk" .. i] = nil
      local _, err = wire.check(wire.veo, "extend", params)
      first = first or err.message
      assert.are.equal(first, err.message)
    end
    assert.is_truthy(first:find("no field alpha", 1, true))
  end)

  it("and shows no secret: neither a misplaced key, nor a URL's query, nor a bearer token", function()
    for _, params in ipairs {
      with { api_key = "SECRET" }, with { authorization = "Bearer SECRET" },
      with { callBackUrl = "ftp://me:SECRET@h.example/x?sig=SECRET" }, with { taskId = "Bearer SECRET\n1" },
    } do
      local _, err = wire.check(wire.veo, "extend", params)
      for _, value in pairs(err) do assert.is_nil(tostring(value):find("SECRET", 1, true), tostring(value)) end
      assert.is_nil(err:explain():find("SECRET", 1, true))
    end
  end)
end)

describe("wire.check accepts for extend", function()
  it("the two required fields, in a fresh table", function()
    local params = with()
    local body, warnings = wire.check(wire.veo, "extend", params)
    assert.are.same(params, body)
    assert.are.same({}, warnings)
    assert.are_not.equal(params, body)
  end)

  it("every field of the documentation", function()
    local params = with {
      seeds = 12345, model = "quality", watermark = "MyBrand", callBackUrl = "https://your-callback-url.com/cb?x=1",
    }
    local body, warnings = wire.check(wire.veo, "extend", params)
    assert.are.same(params, body)
    assert.are.same({}, warnings)
  end)

  it("seeds at both ends, a whole float as an integer", function()
    for _, seeds in ipairs { 10000, 99999, 12345.0 } do
      local body = assert(wire.check(wire.veo, "extend", with { seeds = seeds }))
      assert.are.equal(seeds, body.seeds)
      assert.are.equal(("%d"):format(seeds), tostring(body.seeds))
    end
  end)

  it("prompts with line breaks, tabs and any UTF-8", function()
    for _, prompt in ipairs { "one\ntwo\r\n\tthree", "caf\195\169", "\230\151\165\230\156\172", "\240\159\154\163" } do
      assert.are.equal(prompt, assert(wire.check(wire.veo, "extend", with { prompt = prompt })).prompt)
    end
  end)

  it("a very long prompt", function()
    local prompt = ("word "):rep(40000)
    assert.are.equal(prompt, assert(wire.check(wire.veo, "extend", with { prompt = prompt })).prompt)
  end)

  it("every form of callback URL", function()
    for _, url in ipairs {
      "http://a.example", "https://a.example:8443/x", "HTTPS://A.example/x?y=1#z", "http://127.0.0.1:80/cb",
      "http://[::1]:8080/cb", "https://user:pw@a.example/cb", "https://b\195\188cher.example/",
    } do
      assert.are.equal(url, assert(wire.check(wire.veo, "extend", with { callBackUrl = url })).callBackUrl)
    end
  end)

  it("JSON nulls as absent", function()
    local body = assert(wire.check(wire.veo, "extend", with { seeds = null, model = null, extra = null }))
    assert.are.same(with(), body)
  end)

  it("an unknown model, with a warning", function()
    for _, model in ipairs { "turbo", "Fast", "veo3_fast" } do
      local body, warnings = wire.check(wire.veo, "extend", with { model = model })
      assert.are.equal(model, body.model)
      assert.are.equal(1, #warnings)
      assert.is_truthy(warnings[1]:find(model, 1, true))
      assert.is_truthy(warnings[1]:find("fast, quality, lite", 1, true))
      assert.are.equal(model ~= "turbo", warnings[1]:find('did you mean "fast"?', 1, true) ~= nil)
    end
  end)

  it("new fields through extra, deeply copied", function()
    local deep = { list = { 1, 2.5, "x", false }, flag = true }
    local body = assert(wire.check(wire.veo, "extend", with { extra = { future = deep, other = 7, gone = null } }))
    assert.are.same(deep, body.future)
    assert.are_not.equal(deep, body.future)
    assert.are.equal(7, body.other)
    assert.is_nil(body.extra)
    assert.is_nil(body.gone)
  end)
end)

-- { operation, parameters, accepted? or refused field, warnings }
local OTHERS = {
  { "status", { taskId = "t" }, true },
  { "status", {}, "taskId" },
  { "status", { taskId = "t", index = 1 }, "index" },
  { "credits", {}, true },
  { "credits", { a = 1 }, "a" },
  { "generate", { prompt = "p" }, true },
  { "generate", { prompt = "p", imageUrls = { "https://a.example/1.png" }, model = "veo3_lite", duration = 8,
    generationType = "REFERENCE_2_VIDEO", aspect_ratio = "9:16", resolution = "4k", enableTranslation = false }, true },
  { "generate", { prompt = "p", duration = 5, model = "fast", aspect_ratio = "1:1" }, true, 3 },
  { "generate", { prompt = "p", duration = 5.5 }, "duration" },
  { "generate", { prompt = "p", imageUrls = {} }, "imageUrls" },
  { "generate", { prompt = "p", imageUrls = { "https://a.example/1", "https://a.example/2", "https://a.example/3",
    "https://a.example/4" } }, "imageUrls" },
  { "generate", { prompt = "p", imageUrls = "https://a.example/1" }, "imageUrls" },
  { "generate", { prompt = "p", imageUrls = { "x" } }, "imageUrls" },
  { "generate", { prompt = "p", imageUrls = { url = "https://a.example/1" } }, "imageUrls" },
  { "generate", { prompt = "p", enableTranslation = "yes" }, "enableTranslation" },
  { "generate", { prompt = "p", aspectRatio = "16:9" }, "aspectRatio" },
  { "get_1080p", { taskId = "t", index = 0 }, true },
  { "get_1080p", { taskId = "t", index = -1 }, "index" },
  { "get_4k", { taskId = "t", index = 0, callBackUrl = "https://a.example/" }, true },
  { "get_4k", { taskId = "t", index = "0" }, "index" },
  { "download_url", { url = "https://a.example/v.mp4" }, true },
  { "download_url", { url = "v.mp4" }, "url" },
  { "upload_url", { fileUrl = "https://a.example/i.png", uploadPath = "in", fileName = "i.png" }, true },
  { "upload_url", { uploadPath = "in" }, "fileUrl" },
  { "upload_file", { uploadPath = "in", fileName = "a\nb" }, "fileName" },
}

describe("wire.check for the other calls", function()
  for i, case in ipairs(OTHERS) do
    it(("%d: %s %s"):format(i, case[1], tostring(case[3])), function()
      local body, second = wire.check(wire.veo, case[1], case[2])
      if case[3] == true then
        assert.are.same(case[2], body)
        assert.are.equal(case[4] or 0, #second)
      else
        assert.is_nil(body)
        assert.are.equal(case[3], second.field)
        assert.are.equal(case[1], second.operation)
      end
    end)
  end

  it("marks what costs money", function()
    for name, spec in pairs(wire.veo.operations) do
      local costs = name == "extend" or name == "generate" or name == "get_4k"
      assert.are.equal(costs, spec.billable == true, name)
      assert.is_truthy(spec.path:find("^/api/"))
      assert.is_truthy(spec.method == "GET" or spec.method == "POST")
    end
  end)
end)

describe("wire.jobs", function()
  it("lays an extend out as createTask wants it", function()
    local body = assert(wire.check(wire.jobs, "extend", with {
      seeds = 12345, watermark = "w", callBackUrl = "https://a.example/cb", extra = { style = "calm" },
    }))
    assert.are.same({
      model = "veo/extend", callBackUrl = "https://a.example/cb",
      input = { task_id = "veo_task_abcdef123456", prompt = "the boat turns", seeds = 12345, watermark = "w",
        style = "calm" },
    }, body)
  end)

  it("refuses a model, because it cannot be expressed", function()
    local body, err = wire.check(wire.jobs, "extend", with { model = "fast" })
    assert.is_nil(body)
    assert.are.equal("model", err.field)
    assert.is_truthy(err.message:find("billed silently", 1, true))
  end)

  it("refuses extra fields that would replace ours on the wire", function()
    local body, err = wire.check(wire.jobs, "extend", with { extra = { task_id = "other" } })
    assert.is_nil(body)
    assert.are.equal("extra.task_id", err.field)
  end)

  it("names a call that it does not have", function()
    local body, err = wire.check(wire.jobs, "remix", { taskId = "t" })
    assert.is_nil(body)
    assert.are.equal("invalid", err.code)
    assert.is_truthy(err.message:find("remix", 1, true))
  end)

  it("asks for a status by the same parameters", function()
    assert.are.same({ taskId = "t" }, (wire.check(wire.jobs, "status", { taskId = "t" })))
  end)
end)

describe("wire.task_id", function()
  it("accepts what the service gives", function()
    for _, id in ipairs { "veo_extend_task_xyz789", "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091", "a/b?c&d", "\195\169", "\255",
      ("x"):rep(5000) } do
      assert.is_true((wire.task_id(id)))
    end
  end)

  it("refuses what cannot be one", function()
    for _, id in ipairs { "", " ", "a\n", "a\0", ("x"):rep(2 ^ 20 + 1), 5, {}, true } do
      local ok, err = wire.task_id(id)
      assert.is_nil(ok)
      assert.are.equal("taskId", err.field)
    end
    assert.is_nil((wire.task_id(nil)))
  end)
end)
