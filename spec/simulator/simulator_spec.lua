local cjson = require "cjson"
local blob = require "veo.simulator.blob"
local helper = require "spec.support.helper"
local raw = require "spec.support.raw"
local simulator = require "veo.simulator"
local socket = require "socket"

local EXTEND, STATUS, CREDIT = "/api/v1/veo/extend", "/api/v1/veo/record-info", "/api/v1/chat/credit"

local function eventually(check)
  local deadline = socket.gettime() + 60
  repeat
    if check() then return true end
    socket.sleep(0.005)
  until socket.gettime() > deadline
end

describe("simulator", function()
  local sim

  setup(function() sim = simulator.start { speed = 1000, rate = false, seed = 7 } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  local function headers(more)
    local all = {
      ["User-Agent"] = "spec", Accept = "application/json", Authorization = "Bearer " .. sim.api_key,
    }
    for name, value in pairs(more or {}) do all[name] = value or nil end
    return all
  end

  local function post(path, body, more)
    local text = type(body) == "table" and cjson.encode(body) or body
    local all = headers(more)
    all["Content-Type"] = all["Content-Type"] or "application/json"
    local reply, why = raw.once(sim.url, "POST", path, all, text)
    if not reply then return nil, why end
    local decoded, envelope = pcall(cjson.decode, reply.body)
    return decoded and envelope or nil, reply
  end

  local function get(target, more)
    local reply, why = raw.once(sim.url, "GET", target, headers(more))
    if not reply then return nil, why end
    local decoded, envelope = pcall(cjson.decode, reply.body)
    return decoded and envelope or nil, reply
  end

  local function status(id) return get(STATUS .. "?taskId=" .. id) end

  local function extend(more)
    local body = { taskId = sim.source, prompt = "the boat turns" }
    for key, value in pairs(more or {}) do body[key] = value end
    return post(EXTEND, body)
  end

  local function finished(id)
    local task = sim:add { taskId = id or "done" }
    return task.taskId
  end

  local function file_of(url)
    return raw.once(url, "GET", url:match("^http://[^/]+(.*)$"))
  end

  describe("extension", function()
    it("takes an extend, lets it live, and ends with the next clip of the chain", function()
      local answer = extend { prompt = "[sim render=300] x", seeds = 12345 }
      assert.equal(200, answer.code)
      local id = answer.data.taskId
      local data = status(id).data
      assert.equal(0, data.successFlag)
      assert.equal(cjson.null, data.response)
      assert.is_true(eventually(function()
        data = status(id).data
        return data.successFlag == 1
      end))
      assert.same({ 12345 }, data.response.seeds)
      local whole, part = file_of(data.response.fullResultUrls[1]), file_of(data.response.resultUrls[1])
      assert.equal(200, whole.status)
      assert.equal("ftyp", whole.body:sub(5, 8))
      assert.not_equal(whole.body, part.body)
      local source = file_of(status(sim.source).data.response.resultUrls[1])
      assert.not_equal(source.body, whole.body)
      assert.same({}, sim:violations())
    end)

    it("shows another clip at each hop", function()
      local id, seen = sim.source, {}
      for _ = 1, 3 do
        id = post(EXTEND, { taskId = id, prompt = "[sim render=0] x" }).data.taskId
        local data = status(id).data
        seen[file_of(data.response.fullResultUrls[1]).body] = true
      end
      local count = 0
      for _ in pairs(seen) do count = count + 1 end
      assert.equal(3, count)
    end)

    it("charges by the tier and lets the balance fall", function()
      for model, price in pairs { fast = 60, lite = 30, quality = 250 } do
        local before = sim:credits()
        local id = extend { model = model }.data.taskId
        assert.equal(price, before - sim:credits())
        assert.same({ count = 1, credits = price }, sim:charges()[id])
      end
      sim:credits(59.5)
      assert.equal(59.5, get(CREDIT).data)
      assert.equal(402, extend().code)
      assert.equal(3, #select(2, sim:charges()))
    end)

    it("counts and keeps what it was asked", function()
      extend { prompt = "one" }
      status("nothing")
      assert.equal(1, sim:count("POST", EXTEND))
      assert.equal(1, sim:count("GET", STATUS))
      assert.equal(2, sim:count())
      local request = sim:requests { method = "POST" }[1]
      assert.equal("extend", request.endpoint)
      assert.equal("one", request.json.prompt)
      assert.equal("Bearer " .. sim.api_key, request.headers.authorization)
      assert.equal("nothing", sim:requests { endpoint = "status" }[1].query.taskId)
    end)
  end)

  describe("strictness", function()
    local refused = {
      { "a seed that is too small", { seeds = 9999 }, 422 },
      { "a seed that is a string", { seeds = "12345" }, 422 },
      { "a fractional seed", { seeds = 12345.5 }, 422 },
      { "a callback that is no URL", { callBackUrl = "ftp://x" }, 422 },
      { "an unknown model", { model = "fastest" }, 422 },
      { "an empty prompt", { prompt = " " }, 422 },
      { "a taskId that is a number", { taskId = 12 }, 422 },
      { "an unknown source", { taskId = "nobody" }, 404 },
    }
    for _, case in ipairs(refused) do
      it("refuses " .. case[1], function()
        assert.equal(case[3], extend(case[2]).code)
        assert.same({}, (sim:charges()))
      end)
    end

    it("notes an unknown field, and answers as the service does", function()
      assert.equal(200, extend { callbackUrl = "http://127.0.0.1/" }.code)
      assert.equal('unknown field "callbackUrl"', sim:violations()[1].what)
    end)

    it("wants a key, the right one", function()
      assert.equal(401, (post(EXTEND, {}, { Authorization = "Bearer other" })).code)
      assert.equal(401, (raw.once(sim.url, "GET", CREDIT, { ["User-Agent"] = "x" }).body:match('"code":(%d+)') + 0))
    end)

    it("meets a missing User-Agent like the proxy does", function()
      local reply = raw.once(sim.url, "GET", CREDIT, { Authorization = "Bearer " .. sim.api_key })
      assert.equal(403, reply.status)
      assert.equal("error code: 1010", reply.body)
    end)

    it("wants JSON, named as such", function()
      assert.equal(400, post(EXTEND, "not json").code)
      assert.equal(422, post(EXTEND, "{}", { ["Content-Type"] = "text/plain" }).code)
      assert.equal(2, #sim:violations())
    end)

    it("notes a whole number written with a fraction, but not inside text", function()
      local body = '{"taskId":"%s","prompt":"1.0 \\" 2.0","seeds":%s}'
      assert.equal(200, post(EXTEND, body:format(sim.source, "12345")).code)
      assert.same({}, sim:violations())
      assert.equal(200, post(EXTEND, body:format(sim.source, "12345.0")).code)
      assert.equal(1, #sim:violations())
    end)

    it("does not extend an unfinished or an unknown video", function()
      local id = extend { prompt = "[sim render=100000] x" }.data.taskId
      assert.equal(422, extend { taskId = id }.code)
      assert.equal(404, select(2, get "/api/v1/veo/nothing").status)
    end)

    it("refuses the 21st new task within ten seconds", function()
      local strict = simulator.start { speed = 1000 }
      local all = headers { ["Content-Type"] = "application/json" }
      local body = cjson.encode { taskId = strict.source, prompt = "x" }
      local codes = {}
      for i = 1, 21 do codes[i] = cjson.decode(raw.once(strict.url, "POST", EXTEND, all, body).body).code end
      strict:stop()
      assert.equal(200, codes[20])
      assert.equal(429, codes[21])
    end)
  end)

  describe("script", function()
    it("tries rules in order, each as often as it says", function()
      sim:script {
        { on = "extend", times = 2, code = 429, retry_after = 2 },
        { on = "extend", times = 1, http = 503 },
      }
      local answer, reply = extend()
      assert.equal(429, answer.code)
      assert.equal("2", reply.headers["retry-after"])
      assert.equal(429, extend().code)
      answer, reply = extend()
      assert.is_nil(answer)
      assert.equal(503, reply.status)
      assert.equal(200, extend().code)
      assert.equal(1, #select(2, sim:charges()))
    end)

    it("fits by task, pattern, nth and skip", function()
      finished "a"
      finished "b"
      sim:script {
        { on = "status", task = "a", nth = 2, code = 500 },
        { on = "status", match = "taskId=b", skip = 1, code = 455 },
      }
      assert.same({ 200, 500, 200 }, { status("a").code, status("a").code, status("a").code })
      assert.same({ 200, 455, 455 }, { status("b").code, status("b").code, status("b").code })
    end)

    it("counts for each path by itself when asked", function()
      finished "a"
      finished "b"
      sim:script { { on = "status", each = true, times = 2, code = 500 } }
      for _, id in ipairs { "a", "b" } do
        assert.same({ 500, 500, 200 }, { status(id).code, status(id).code, status(id).code })
      end
    end)

    it("refuses a misspelt rule", function()
      assert.error_matches(function() sim:script { { on = "extend", cod = 1 } } end, "cod")
    end)

    it("reads directives in a prompt and in a taskId", function()
      assert.equal(402, extend { prompt = "[sim code=402 times=1] x" }.code)
      assert.equal(200, extend { prompt = "[sim code=402 times=1] x" }.code)
      local id = extend { prompt = "[sim render=0][sim:status flag=\"1\" times=1] x" }.data.taskId
      assert.equal("1", status(id).data.successFlag)
      assert.equal(1, status(id).data.successFlag)
      assert.equal(404, status("sim.code-404").code)
      assert.equal(3, status("sim.flag-3.error_code-501").data.successFlag)
      assert.equal(451, extend { taskId = "sim.code-451" }.code)
    end)

    it("charges what it carries out and nothing else", function()
      sim:script {
        { on = "extend", match = "replaced", http = 504 },
        { on = "extend", match = "paid", http = 504, charge = true },
        { on = "extend", match = "cut", close = "unanswered" },
        { on = "extend", match = "free", close = "unanswered", charge = false },
      }
      for _, prompt in ipairs { "replaced", "paid", "cut", "free" } do extend { prompt = prompt } end
      local prompts = {}
      for i, charge in ipairs(select(2, sim:charges())) do prompts[i] = charge.prompt end
      assert.same({ "paid", "cut" }, prompts)
      assert.equal(4, sim:count("POST", EXTEND))
    end)
  end)

  describe("irregular forms", function()
    local id
    before_each(function() id = finished() end)

    local function with(effect)
      effect.on, effect.times = "status", 1
      sim:script { effect }
      return status(id)
    end

    it("has five forms of lists in three places", function()
      local forms = {
        array = "table", json = '^%["http://[^"]+"%]$', bare = "^%[http://[^\"]+%]$", url = "^http://",
        null = cjson.null,
      }
      for form, expected in pairs(forms) do
        for _, place in ipairs { "response", "info", "data" } do
          local data = with { list_form = form, list_at = place }.data
          local value = (place == "data" and data or data[place]).fullResultUrls
          if expected == cjson.null then
            assert.equal(cjson.null, value)
          elseif expected == "table" then
            assert.matches("^http://", value[1])
          else
            assert.matches(expected, value)
          end
        end
      end
    end)

    it("tells an unknown task in each form", function()
      local seen = {}
      for _, form in ipairs { "404", "record", "record_info", "null", "empty", "absent" } do
        local answer, reply = with { unknown = form }
        seen[form] = { answer.code, reply.body:match('"msg":"([^"]*)"'), reply.body:match('"data":(.*)}$') }
      end
      assert.equal(404, seen["404"][1])
      assert.same({ 422, "record is null", "null" }, seen.record)
      assert.same({ 422, "recordInfo is null", "null" }, seen.record_info)
      assert.same({ 200, "success", "null" }, seen.null)
      assert.same({ 200, "success", "{}" }, seen.empty)
      assert.same({ 200, "success" }, seen.absent)
    end)

    it("lets a task become visible late", function()
      local answer = extend { prompt = "[sim visible=300 render=0] x" }
      assert.equal(404, status(answer.data.taskId).code)
      assert.is_true(eventually(function() return status(answer.data.taskId).code == 200 end))
    end)

    it("bends flag, code, message, times and response", function()
      local function body(effect) return select(2, with(effect)).body end
      assert.matches('"successFlag":"2"', body { flag = "2" })
      assert.matches('"successFlag":null', body { flag = "null" })
      assert.not_matches("successFlag", body { flag = "absent" })
      assert.matches('"successFlag":7', body { flag = 7 })
      assert.matches('^{"code":200.0,', body { code_form = "float" })
      assert.matches('^{"code":"200",', body { code_form = "string" })
      assert.matches('^{"msg":', body { code_form = "missing" })
      assert.matches('"message":"success"', body { msg_form = "message" })
      assert.matches('"createTime":"%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d"', body { time_form = "text" })
      assert.matches('"createTime":"%d+%-%d+%-%d+T%d+:%d+:%d+%.%d%d%dZ"', body { time_form = "iso" })
      assert.matches('"createTime":"%d+"', body { time_form = "string" })
      assert.matches('"createTime":""', body { time_form = "empty" })
      assert.equal("string", type(with { response = "string" }.data.response))
      assert.equal(cjson.null, with { urls = "none" }.data.response.resultUrls)
      assert.is_nil(with { urls = "result_only" }.data.response.fullResultUrls)
    end)

    it("lets a task fail in each way it may be told", function()
      sim:add { taskId = "f", fail = 2, error_code = 400, error_message = "flagged" }
      local function told(effect)
        sim:script { effect }
        local body = select(2, status "f").body
        local flag, code = body:match('"successFlag":([^,]*)'), body:match('"errorCode":([^,]*)')
        return flag, code, body:match('"errorMessage":([^,]*)')
      end
      assert.same({ "2", "400", '"flagged"' }, { told {} })
      assert.same({ "3", '"400"', '"flagged"' }, { told { flag = 3, error_form = "string" } })
      assert.same({ "2", "null", "null" }, { told { error_form = "null" } })
      assert.same({ "2" }, { told { error_form = "absent" } })
    end)

    it("bends the taskId of an accepted submit", function()
      local function data(form) return extend { prompt = "[sim task-id-form=" .. form .. "] x" }.data end
      assert.equal("string", type(data("snake").task_id))
      assert.is_nil(data("absent").taskId)
      assert.equal(cjson.null, data("null").taskId)
      assert.equal(12345, data("number").taskId)
      assert.equal("", data("empty").taskId)
      assert.equal(cjson.null, data("data_null"))
      assert.equal(6, #select(2, sim:charges()))
    end)

    it("answers any body code, any HTTP status, and bodies that are not the service's", function()
      assert.equal(455, with { code = 455 }.code)
      local answer, reply = with { http = 500, code = 455 }
      assert.equal(455, answer.code)
      assert.equal(500, reply.status)
      assert.matches("^text/html", select(2, with { form = "html" }).headers["content-type"])
      assert.equal("", select(2, with { form = "empty" }).body)
      assert.equal("x\0y", select(2, with { body = "x\0y" }).body)
      assert.equal("/api/v1/veo/record-info", with({ form = "gateway" }).path)
      for _, form in ipairs { "cut", "garbled", "text" } do
        local decoded, bad = with { form = form }
        assert.is_nil(decoded)
        assert.equal(200, bad.status)
      end
      assert.matches("^http://localhost:%d+/api", select(2, with { redirect = true }).headers.location)
      assert.matches("GMT$", select(2, with { code = 429, retry_after = "date:3" }).headers["retry-after"])
    end)
  end)

  describe("damage on the wire", function()
    local id
    before_each(function() id = finished() end)

    local function with(effect)
      effect.on, effect.times = "status", 1
      sim:script { effect }
      local started = socket.gettime()
      local reply, why = raw.once(sim.url, "GET", STATUS .. "?taskId=" .. id, headers())
      return reply, why, socket.gettime() - started
    end

    it("closes without an answer, after the headers, or in the middle", function()
      assert.equal("closed", select(2, with { close = "unanswered" }))
      local reply = with { close = "headers" }
      assert.same({ 200, "", "closed" }, { reply.status, reply.body, reply.cut })
      reply = with { cut = 10 }
      assert.same({ 10, "closed" }, { #reply.body, reply.cut })
      local _, why = with { garbage = true }
      assert.matches("not HTTP", why)
    end)

    it("keeps a connection, and closes it unannounced when asked", function()
      local connection = raw.connect(sim.url)
      sim:script { { on = "status", nth = 2, close = "after" }, { on = "credits", close = "unanswered" } }
      assert.equal(200, connection:request("GET", STATUS .. "?taskId=" .. id, headers()).status)
      local reply = connection:request("GET", STATUS .. "?taskId=" .. id, headers())
      assert.same({ 200, "keep-alive" }, { reply.status, reply.headers.connection })
      assert.is_nil((connection:request("GET", CREDIT, headers())))
      local list = sim:requests()
      assert.same({ 1, 2 }, { list[1].nth_on_connection, list[2].nth_on_connection })
      assert.equal(list[1].connection, list[2].connection)
    end)

    it("is late, slow, chunked or compressed", function()
      local _, _, took = with { delay = 0.1 }
      assert.is_true(took >= 0.1)
      local reply
      reply, _, took = with { drip = 4000 }
      assert.is_nil(reply.cut)
      assert.is_true(took >= 0.1)
      assert.equal(200, cjson.decode((with { chunked = true }).body).code)
      reply = with { gzip = true }
      assert.equal("gzip", reply.headers["content-encoding"])
      assert.equal("\31\139", reply.body:sub(1, 2))
      reply = with { length = 5 }
      assert.equal("closed", reply.cut)
    end)

    it("never answers, and goes on serving others", function()
      sim:script { { on = "status", times = 1, hang = true } }
      local connection = raw.connect(sim.url)
      connection.sock:settimeout(0.05)
      assert.equal("timeout", select(2, connection:request("GET", STATUS .. "?taskId=" .. id, headers())))
      assert.equal(200, status(id).code)
      connection:close()
    end)

    it("sends 64 MiB of JSON, and 64 KiB that unpack to that", function()
      local reply = with { form = "huge" }
      assert.equal(64 * 1024 * 1024, #reply.body)
      reply = with { form = "gzip_bomb" }
      assert.is_true(#reply.body < 100000)
    end)

    it("notes a request that never came whole", function()
      local connection = raw.connect(sim.url)
      connection:send("POST " .. EXTEND .. " HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
      connection:close()
      assert.is_true(eventually(function() return #sim:requests { endpoint = "cut" } == 1 end))
      assert.same({}, (sim:charges()))
    end)
  end)

  describe("media", function()
    local function media(target, more, method) return raw.once(sim.media_url, method or "GET", target, more) end

    it("serves ranges by ETag and by date", function()
      local whole = media "/media/clip/hop1.mp4"
      local size = #whole.body
      assert.equal("video/mp4", whole.headers["content-type"])
      local part = media("/media/clip/hop1.mp4", { Range = "bytes=100-", ["If-Range"] = whole.headers.etag })
      assert.equal(206, part.status)
      assert.equal(("bytes 100-%d/%d"):format(size - 1, size), part.headers["content-range"])
      assert.equal(whole.body:sub(101), part.body)
      part = media("/media/clip/hop1.mp4", { Range = "bytes=5-9", ["If-Range"] = whole.headers["last-modified"] })
      assert.equal(whole.body:sub(6, 10), part.body)
      assert.equal(whole.body:sub(-7), media("/media/clip/hop1.mp4", { Range = "bytes=-7" }).body)
      assert.equal(200, media("/media/clip/hop1.mp4", { Range = "bytes=5-", ["If-Range"] = '"x"' }).status)
      part = media("/media/clip/hop1.mp4", { Range = "bytes=" .. size .. "-" })
      assert.same({ 416, "bytes */" .. size }, { part.status, part.headers["content-range"] })
      local head = media("/media/clip/hop1.mp4", nil, "HEAD")
      assert.equal(tostring(size), head.headers["content-length"])
    end)

    it("serves synthetic files whose every byte is known", function()
      local size = 3 * 1024 * 1024 + 17
      local whole = media("/media/blob/" .. size .. "/a.mp4")
      assert.is_true(whole.body == blob.bytes(0, size - 1, "a"))
      local part = media("/media/blob/" .. size .. "/a.mp4", { Range = "bytes=2000000-" })
      assert.is_true(part.body == whole.body:sub(2000001))
      assert.equal("ftyp", whole.body:sub(5, 8))
    end)

    it("cuts, lies, expires, changes and redirects", function()
      local target = "/media/blob/10000.mp4"
      local etag = media(target).headers.etag
      sim:script { { on = "media", times = 1, cut = 4000 }, { on = "media", times = 1, http = 403 } }
      assert.equal(4000, #media(target).body)
      assert.equal(403, media(target).status)
      assert.equal(200, media(target).status)
      sim:script { { on = "media", times = 1, cut = "random" } }
      assert.is_true(#media(target).body < 10000)
      sim:script { { on = "media", times = 2, etag = '"v2"' }, { on = "media", times = 1, ranges = false } }
      local changed = media(target, { Range = "bytes=10-", ["If-Range"] = etag })
      assert.equal(200, changed.status)
      assert.not_equal(media(target).headers.etag, etag)
      assert.equal(200, media(target, { Range = "bytes=10-" }).status)
      sim:script { { on = "media", times = 1, form = "html" }, { on = "media", redirect = true, times = 1 } }
      assert.matches("^<html>", media(target).body)
      local reply = media(target)
      assert.equal(sim.media_url:gsub("127.0.0.1", "localhost") .. target, reply.headers.location)
    end)

    it("notes a key that reaches the media host, and a link without its signature", function()
      media("/media/clip/part.mp4", { Authorization = "Bearer x" })
      assert.equal("the key was sent to a media host", sim:violations()[1].what)
      assert.equal(403, media("/media/task/" .. sim.source .. "/whole.mp4").status)
      assert.equal(404, media("/media/task/nobody/whole.mp4").status)
    end)

    it("lets links die", function()
      local short = simulator.start { link_life = 0.05, speed = 1000, rate = false }
      local task = short:add { taskId = "x" }
      local all = headers()
      local data = cjson.decode(raw.once(short.url, "GET", STATUS .. "?taskId=" .. task.taskId, all).body).data
      local died = eventually(function() return file_of(data.response.fullResultUrls[1]).status == 403 end)
      short:stop()
      assert.is_true(died)
    end)
  end)

  describe("its life", function()
    it("refuses unknown and mistyped options at the caller's line", function()
      local _, why = pcall(function() simulator.start { speeed = 1 } end)
      assert.matches('simulator_spec.*unknown option speeed %(did you mean speed%?%)', why)
      assert.error_matches(function() simulator.start { speed = "fast" } end, "must be a number")
      assert.error_matches(function() simulator.start { script = { { foo = 1 } } } end,
        "unknown field foo in a rule %(rule 1%)")
    end)

    it("refuses a rule that could never act as it says, and names what was probably meant", function()
      for expected, rule in pairs {
        ['on: there is no endpoint "extnd" (did you mean extend?)'] = { on = "extnd", code = 429 },
        ['on: there is no endpoint "staus" (did you mean status?)'] = { on = { "extend", "staus" }, code = 429 },
        ["on: it names no endpoint"] = { on = {}, code = 429 },
        ['form: given "htlm" (did you mean html?), expected html | text'] = { form = "htlm" },
        ['close: given "haeders" (did you mean headers?), expected unanswered'] = { close = "haeders" },
        ['times: given "x", expected a whole number'] = { code = 429, times = "x" },
        ["nth: given 0, expected a whole number from 1 up"] = { code = 429, nth = 0 },
        ['match: given "[", expected a Lua pattern'] = { code = 429, match = "[" },
        ["hang: given 1, expected true or false"] = { hang = 1 },
        ['unknown field tims (did you mean times?) in a rule'] = { code = 429, tims = 1 },
      } do
        local ok, why = pcall(simulator.start, { script = { rule } })
        assert.is_false(ok)
        assert.matches(expected, why, 1, true)
        ok, why = pcall(sim.script, sim, { rule })
        assert.is_false(ok)
        assert.matches(expected, why, 1, true)
      end
      assert.error_matches(function() simulator.start { rate = { cuont = 1 } } end, "unknown option cuont %(did you")
      assert.error_matches(function() simulator.start { unknown = "recrod" } end, "did you mean record")
    end)

    it("ends with its parent, however that dies", function()
      local program = [[
        local sim = require("veo.simulator").start{}
        io.stdout:write(sim.control_url, "\n") io.stdout:flush()
        os.execute("kill -9 $PPID")
      ]]
      local interpreter = arg and arg[-1] or "lua5.4"
      local shell = "LUA_PATH='" .. package.path .. "' " .. interpreter .. " -e '" .. program .. "' 2>/dev/null"
      local pipe = io.popen(shell)
      local url = pipe:read("*l")
      pipe:close()
      assert.is_true(eventually(function() return not pcall(simulator.connect, url) end))
    end)

    it("starts over on reset and can be reached from another process", function()
      extend()
      local other = simulator.connect(sim.control_url)
      assert.equal(1, other:count())
      other:reset()
      assert.same({ 0, 10000, {} }, { sim:count(), sim:credits(), (sim:charges()) })
      assert.equal(sim.source, other.source)
    end)

    it("is steered by nobody who was not told where", function()
      local base, token = sim.control_url:match("^(http://[^/]+)/(%x+)$")
      assert.equal(32, #token)
      for _, path in ipairs { "/_simulator/reset", "//_simulator/reset", "/" .. ("0"):rep(32) .. "/_simulator/reset",
        "/" .. token:upper() .. "x/_simulator/reset", "/" .. token:sub(1, -2) .. "/_simulator/reset" } do
        assert.equal(404, raw.once(base, "POST", path, {}, "{}").status, path)
      end
      extend()
      raw.once(sim.url, "POST", "/_simulator/reset", {}, "{}")
      raw.once(sim.url, "POST", "/" .. token .. "/_simulator/reset", {}, "{}")
      assert.equal(1, sim:count("POST", EXTEND))
      local other = simulator.start {}
      assert.not_equal(token, other.control_url:match("%x+$"))
      other:stop()
    end)

    it("says when a port is taken", function()
      local port = tonumber(sim.url:match("%d+$"))
      assert.error_matches(function() simulator.start { port = port } end, "cannot listen")
    end)
  end)

  it("needs lua-zlib for its gzip effects alone, and names it when it is missing", function()
    local said = helper.output(("%s -e '%s'"):format(os.getenv("VEO_SIMULATOR_LUA") or "lua", [[
      package.preload.zlib = function() error("not here") end
      require "veo.simulator.service"
      print(package.loaded.zlib)
      local script = require "veo.simulator.script"
      for _, rule in ipairs { { drip = 5 }, { gzip = true }, { form = "gzip_bomb" }, { complain = "junk" } } do
        print(script.rules { rule } and "good" or select(2, script.rules { rule }))
      end
      print(select(2, script.from_prompt("[sim gzip]", "extend")))]]))
    local missing = "the simulator's gzip effects need lua-zlib (Debian: lua-zlib, LuaRocks: lua-zlib)"
    local refused = missing .. " (rule 1)\n"
    assert.equal("nil\ngood\n" .. refused:rep(3) .. missing .. "\n", said)
  end)
end)
