local cjson = require "cjson"
local blob = require "veo.simulator.blob"
local raw = require "spec.support.raw"
local simulator = require "veo.simulator"
local socket = require "socket"

local KEY = "whsec-42"

local function eventually(check)
  local deadline = socket.gettime() + 60
  repeat
    local value = check()
    if value then return value end
    socket.sleep(0.005)
  until socket.gettime() > deadline
end

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

describe("simulator, the whole service", function()
  local sim

  setup(function() sim = simulator.start { speed = 1000, rate = false, webhook_key = KEY, deterministic = true } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  local function headers(more)
    local all = { ["User-Agent"] = "spec", Accept = "application/json", Authorization = "Bearer " .. sim.api_key }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function post(path, body, base)
    local all = headers { ["Content-Type"] = "application/json" }
    return cjson.decode(raw.once(base or sim.url, "POST", path, all, cjson.encode(body)).body)
  end

  local function get(target) return cjson.decode(raw.once(sim.url, "GET", target, headers()).body) end

  local function file_of(url) return raw.once(url, "GET", url:match("^http://[^/]+(.*)$")) end

  local function status(id) return get("/api/v1/veo/record-info?taskId=" .. id).data end

  describe("generation", function()
    it("makes a video that can be extended", function()
      local answer = post("/api/v1/veo/generate", {
        prompt = "[sim render=0] a boat", model = "veo3", aspect_ratio = "16:9", resolution = "720p", duration = 8,
        imageUrls = { "https://example.com/a.png" }, generationType = "REFERENCE_2_VIDEO", enableTranslation = true,
      })
      local id = answer.data.taskId
      assert.same({ 200, "veo_generate_task_000002" }, { answer.code, id })
      assert.equal(250, sim:charges()[id].credits)
      assert.is_nil(status(id).response.fullResultUrls)
      assert.equal(200, post("/api/v1/veo/extend", { taskId = id, prompt = "x" }).code)
      assert.same({}, sim:violations())
    end)

    for field, bad in pairs {
      model = "fast", imageUrls = { "a", "b", "c", "d" }, duration = 5, resolution = "720P", aspect_ratio = "4:3",
      generationType = "TEXT", enableTranslation = "yes", seeds = 1,
    } do
      it("refuses a bad " .. field, function()
        assert.equal(422, post("/api/v1/veo/generate", { prompt = "x", [field] = bad }).code)
        assert.same({}, (sim:charges()))
      end)
    end
  end)

  describe("upgrades", function()
    it("has 1080P after a while, charges it once, and then refuses to extend", function()
      local id = sim:add { taskId = "v" }.taskId
      local target = "/api/v1/veo/get-1080p-video?taskId=v&index=0"
      assert.equal(400, get(target).code)
      local answer = eventually(function()
        local reply = get(target)
        return reply.code == 200 and reply
      end)
      assert.equal("ftyp", file_of(answer.data.resultUrl).body:sub(5, 8))
      assert.same({ count = 1, credits = 5 }, sim:charges()[id])
      local refused = post("/api/v1/veo/extend", { taskId = id, prompt = "x" })
      assert.equal(422, refused.code)
      assert.matches("1080P", refused.msg)
      for _, form in ipairs { 400, 404, 422 } do
        sim:script { { on = "get_1080p", not_ready = form } }
        assert.equal(form, get(target).code)
      end
    end)

    it("makes 4K as a task of its own; asked again it says 422, then 422 with the result", function()
      sim:add { taskId = "v" }
      sim:script { { on = "get_4k", times = 1, render = 300 } }
      local body = { taskId = "v", index = 0 }
      local first = post("/api/v1/veo/get-4k-video", body)
      assert.equal(200, first.code)
      local again = post("/api/v1/veo/get-4k-video", body)
      assert.same({ 422, first.data.taskId, cjson.null }, { again.code, again.data.taskId, again.data.resultUrls })
      assert.is_truthy(eventually(function() return status(first.data.taskId).successFlag == 1 end))
      again = post("/api/v1/veo/get-4k-video", body)
      assert.equal(422, again.code)
      assert.equal(200, file_of(again.data.resultUrls[1]).status)
      assert.same({ count = 1, credits = 120 }, sim:charges()[first.data.taskId])
    end)

    it("re-makes a link for twenty minutes, however fast its tasks are, and only its own", function()
      local short = simulator.start { link_life = 0, speed = 1e7 }
      local all = headers { ["Content-Type"] = "application/json" }
      local function ask(method, target, body)
        return cjson.decode(raw.once(short.url, method, target, all, body and cjson.encode(body)).body)
      end
      local url = ask("GET", "/api/v1/veo/record-info?taskId=" .. short.source).data.response.resultUrls[1]
      local dead = file_of(url).status
      local fresh = ask("POST", "/api/v1/common/download-url", { url = url })
      local alive = file_of(fresh.data).status
      local foreign = ask("POST", "/api/v1/common/download-url", { url = "https://example.com/x.mp4" })
      short:stop()
      assert.same({ 403, 200, 200, 422, "url is wrong" }, { dead, fresh.code, alive, foreign.code, foreign.msg })
    end)
  end)

  describe("uploads", function()
    local function multipart(parts, boundary)
      local text = {}
      for _, part in ipairs(parts) do
        text[#text + 1] = ("--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n"):format(boundary,
          part[1], part.filename and '; filename="' .. part.filename .. '"' or "", part[2])
      end
      return table.concat(text) .. "--" .. boundary .. "--\r\n"
    end

    local function upload(body, boundary)
      local all = headers { ["Content-Type"] = "multipart/form-data; boundary=" .. boundary }
      return cjson.decode(raw.once(sim.upload_url, "POST", "/api/file-stream-upload", all, body).body)
    end

    it("takes a file as multipart, whole and unchanged", function()
      local content = blob.bytes(0, 2999999, "up") .. "\r\n--XX\r\n--X"
      local answer = upload(multipart({
        { "uploadPath", "veo" }, { "file", content, filename = "local.mp4" }, { "fileName", "b.mp4" },
      }, "XXX"), "XXX")
      assert.equal(200, answer.code)
      assert.is_true(file_of(answer.data.downloadUrl).body == content)
      local kept = sim:uploads()[1]
      assert.same({ "b.mp4", "veo", #content }, { kept.fileName, kept.uploadPath, kept.size })
      assert.same({}, sim:violations())
    end)

    it("refuses what is cut short, has no file or no path", function()
      local file = { "file", "x", filename = "a" }
      assert.equal(400, upload(multipart({ { "uploadPath", "p" } }, "B"), "B").code)
      assert.equal(400, upload(multipart({ file }, "B"), "B").code)
      assert.equal(400, upload(multipart({ file, { "uploadPath", "p" } }, "B"):sub(1, -8), "B").code)
      assert.equal(0, #sim:uploads())
    end)

    it("takes a URL", function()
      local body = { fileUrl = "https://example.com/d/a.mp4?x=1", uploadPath = "veo" }
      local answer = post("/api/file-url-upload", body, sim.upload_url)
      assert.matches("/a.mp4$", answer.data.downloadUrl)
      assert.equal(body.fileUrl, sim:uploads()[1].source)
    end)
  end)

  describe("the jobs family", function()
    local function create(input, more)
      local body = { model = "veo/extend", input = { task_id = sim.source, prompt = "x" } }
      for key, value in pairs(input or {}) do body.input[key] = value end
      for key, value in pairs(more or {}) do body[key] = value end
      return post("/api/v1/jobs/createTask", body)
    end

    local function job(id) return get("/api/v1/jobs/recordInfo?taskId=" .. id).data end

    it("takes an extension through its states", function()
      local first = create({ prompt = "[sim render=1000000] x" }).data.taskId
      local state = job(first).state
      assert.is_true(state == "waiting" or state == "queuing" or state == "generating", state)
      local id = create({ prompt = "[sim render=300] x", seeds = 12345 }).data.taskId
      assert.equal(60, sim:charges()[id].credits)
      local data
      assert.is_truthy(eventually(function()
        data = job(id)
        return data.state == "success"
      end))
      assert.equal(200, file_of(cjson.decode(data.resultJson).resultUrls[1]).status)
      assert.same({}, sim:violations())
    end)

    it("fails, is unknown, bends", function()
      sim:add { taskId = "f", fail = 3, error_code = 400 }
      local data = job "f"
      assert.same({ "fail", "400" }, { data.state, data.failCode })
      assert.equal(404, get("/api/v1/jobs/recordInfo?taskId=nobody").code)
      sim:add { taskId = "g" }
      sim:script { { on = "status", times = 1, job_state = "melting" }, { on = "status", response = "object" } }
      assert.equal("melting", job("g").state)
      assert.equal("table", type(job("g").resultJson))
    end)

    it("checks its input", function()
      assert.equal(422, create({ seeds = 1 }).code)
      assert.equal(422, create(nil, { model = "veo/other" }).code)
      assert.equal(404, create({ task_id = "nobody" }).code)
      create { model = "quality" }
      assert.equal('unknown field "model"', sim:violations()[#sim:violations()].what)
    end)
  end)

  describe("callbacks", function()
    local server, url

    before_each(function()
      server = assert(socket.bind("127.0.0.1", 0))
      server:settimeout(60)
      url = ("http://127.0.0.1:%d/hook?ref=7"):format(select(2, server:getsockname()))
    end)
    after_each(function() server:close() end)

    -- Takes one callback; answers it with `code`, or closes when there is none.
    local function take(code)
      local client = assert(server:accept())
      client:settimeout(60)
      local got = { headers = {}, line = client:receive("*l") }
      for line in function() return client:receive("*l") end do
        if line == "" then break end
        local name, value = line:match("^([^:]+): (.*)$")
        got.headers[name] = value
      end
      local text = client:receive(tonumber(got.headers["Content-Length"]))
      got.body = cjson.decode(text)
      if code then client:send("HTTP/1.1 " .. code .. " X\r\nContent-Length: 0\r\n\r\n") end
      client:close()
      return got
    end

    local function extend(prompt)
      return post("/api/v1/veo/extend", { taskId = sim.source, prompt = prompt, callBackUrl = url }).data.taskId
    end

    local function sent(count)
      return eventually(function()
        local list = sim:callbacks()
        return #list == count and (list[count].http or list[count].failed) and list
      end)
    end

    it("tells the end of a task, signed as the openssl command signs", function()
      local id = extend "[sim render=10] x"
      local got = take(200)
      assert.equal("POST /hook?ref=7 HTTP/1.1", got.line)
      assert.equal(id, got.body.data.taskId)
      assert.equal(200, file_of(got.body.data.info.resultUrls[1]).status)
      local stamp = got.headers["X-Webhook-Timestamp"]
      local command = "printf '%%s' '%s.%s' | openssl dgst -sha256 -hmac '%s' -binary | base64"
      assert.equal(output(command:format(id, stamp, KEY)), got.headers["X-Webhook-Signature"] .. "\n")
      assert.equal(200, sent(1)[1].http)
    end)

    it("tries three times, then gives up", function()
      extend "[sim render=0] x"
      take(500)
      take(nil)
      take(302)
      local list = sent(3)
      assert.same({ 500, 302 }, { list[1].http, list[3].http })
      assert.equal("no answer", list[2].failed)
      server:settimeout(0.1)
      assert.is_nil((server:accept()))
    end)

    it("stops trying once it was taken", function()
      extend "[sim render=0] x"
      take(503)
      take(200)
      assert.equal(2, #sent(2))
    end)

    it("repeats, forges, goes missing and bends when asked", function()
      extend "[sim render=0][sim:callback repeats=2 snake no_info] x"
      local first = take(200)
      assert.is_nil(first.body.data.info)
      assert.equal(first.body.data.task_id, take(200).body.data.task_id)
      local id = extend "[sim render=0][sim:callback skip_callback] x"
      server:settimeout(0.1)
      assert.is_nil((server:accept()))
      server:settimeout(60)
      sim:call_back(id, { forge = "none", list_form = "bare" })
      local got = take(200)
      assert.is_nil(got.headers["X-Webhook-Signature"])
      assert.matches("^%[http", got.body.data.info.resultUrls)
      sim:call_back(id, { forge = "timestamp" })
      assert.is_true(os.time() - tonumber(take(200).headers["X-Webhook-Timestamp"]) > 1000)
    end)

    it("tells a failure", function()
      extend "[sim render=0 fail=2 error-code=400 error-message=\"not allowed\"] x"
      local body = take(200).body
      assert.same({ 400, "not allowed", nil }, { body.code, body.msg, body.data.info })
    end)

    it("never leaves loopback", function()
      sim:add { taskId = "away" }
      sim:call_back("away", nil, "http://192.0.2.1/x")
      for _, try in ipairs(sent(3)) do assert.matches("loopback", try.failed) end
    end)
  end)

  describe("TLS", function()
    it("is trusted through its own CA only, and speaks HTTP/1.1", function()
      local secure = simulator.start { tls = true }
      local target = secure.url:gsub("127.0.0.1", "localhost") .. "/api/v1/chat/credit"
      local curl = "curl -sS -A x -H 'Authorization: Bearer " .. secure.api_key .. "' "
      local trusted = output(curl .. "--cacert " .. secure.ca_file .. " -w '%{http_version}' " .. target)
      local untrusted = output(curl .. target .. " 2>&1")
      local ca_file = secure.ca_file
      secure:stop()
      assert.equal('{"code":200,"msg":"success","data":10000}1.1', trusted)
      assert.matches("certificate", untrusted)
      assert.is_nil(io.open(ca_file))
    end)
  end)

  describe("its capacity", function()
    it("holds a thousand connections that get no answer and still serves", function()
      sim:script { { on = "status", hang = true } }
      local open = {}
      for i = 1, 1000 do
        open[i] = raw.connect(sim.url)
        open[i]:send("GET /api/v1/veo/record-info?taskId=x HTTP/1.1\r\nUser-Agent: x\r\n\r\n")
      end
      assert.is_truthy(eventually(function() return sim:count() == 1000 end))
      assert.equal(200, get("/api/v1/chat/credit").code)
      for i = 1, 1000 do open[i]:close() end
    end)
  end)

  describe("in the foreground", function()
    it("prints where it listens, as lines that a shell can evaluate", function()
      local pipe = io.popen("echo $$; exec lua5.4 lua/veo/simulator/main.lua --speed 10 --port 0 --rate false")
      local pid, text = pipe:read("*l"), ""
      for _ = 1, 6 do text = text .. (pipe:read("*l") or "") .. "\n" end
      os.execute("kill " .. pid)
      pipe:close()
      local shown = output("eval \"$(cat <<'EOF'\n" .. text .. "EOF\n)\"; sh -c 'echo $KIE_BASE_URL $KIE_UPLOAD_URL "
        .. "$KIE_API_KEY'")
      assert.matches("^http://127%.0%.0%.1:%d+ http://127%.0%.0%.1:%d+ sim%-key%-%S+\n$", shown)
      assert.matches("# veo simulator on " .. shown:match("^%S+"):gsub("%p", "%%%0"), text)
    end)

    it("refuses an option that it has not", function()
      assert.matches("unknown option", output("lua5.4 lua/veo/simulator/main.lua --sped 1 2>&1"))
    end)
  end)
end)
