-- Callbacks: what they say, whether they are genuine, and what a client makes of them.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local webhook = require "veo.webhook"

local KEY = "whsec-42"

-- Computed with the openssl command, so that it is not only consistent with itself.
local function openssl(key, taskId, stamp)
  return helper.output(("printf %%s '%s.%s' | openssl dgst -sha256 -hmac '%s' -binary | openssl base64 -A")
    :format(taskId, stamp, key))
end

local function body_of(taskId, more)
  return ('{"code":200,"msg":"ok","data":{"taskId":"%s"%s}}'):format(taskId, more or "")
end

local function signed(taskId, more)
  local stamp = tostring(os.time() + (more and more.age and -more.age or 0))
  return { ["X-Webhook-Timestamp"] = stamp, ["X-Webhook-Signature"] = openssl(more and more.key or KEY, taskId, stamp) }
end

describe("veo.webhook", function()
  it("computes what the openssl command computes", function()
    for _, case in ipairs { { "k", "task", "1700000000" }, { KEY, "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091", "1795506028" },
      { ("long"):rep(40), "veo_extend_task_xyz789", "0" }, { "ключ", "a.b.c", "1" } } do
      assert.equal(openssl(case[1], case[2], case[3]), webhook.signature(case[1], case[2], case[3]))
    end
  end)

  it("does not need the core", function()
    local out = helper.output(helper.lua() .. [[ -e 'local w = require "veo.webhook" assert(w.signature("k", "t", 1))
      for name in pairs(package.loaded) do if name == "veo.core" or name == "veo" then print(name) end end']])
    assert.equal("", out)
  end)

  describe("verify", function()
    local function verify(headers, body, options) return webhook.verify(headers, body, KEY, options) end
    local function refused(headers, body, why, options)
      local event, err = verify(headers, body or body_of "t1", options)
      assert.is_nil(event)
      assert.equal("unverified", err.code)
      assert.matches(why, err.message)
    end

    it("accepts a genuine callback", function()
      local event = assert(verify(signed "t1", body_of "t1"))
      assert.same({ "t1", true, "succeeded" }, { event.taskId, event.verified, event.says })
      assert.is_number(event.timestamp)
    end)

    it("whatever the case of the headers, and with blanks around", function()
      local headers = signed "t1"
      assert(verify({ ["x-WEBHOOK-timestamp"] = " " .. headers["X-Webhook-Timestamp"] .. " ",
        ["x-webhook-signature"] = headers["X-Webhook-Signature"] }, body_of "t1"))
    end)

    it("with the headers as servers hand them out: CGI's names, lists of one, a number, lua-http's object", function()
      local headers = signed "t1"
      local stamp, signature = headers["X-Webhook-Timestamp"], headers["X-Webhook-Signature"]
      local object = setmetatable({ { "x-webhook-timestamp", stamp }, { "x-webhook-signature", signature } },
        { __index = { each = function(self)
          local i = 0
          return function()
            i = i + 1
            if self[i] then return self[i][1], self[i][2], false end
          end
        end } })
      for _, given in ipairs {
        { HTTP_X_WEBHOOK_TIMESTAMP = stamp, HTTP_X_WEBHOOK_SIGNATURE = signature },
        { ["x-webhook-timestamp"] = { stamp }, ["x-webhook-signature"] = { signature } },
        { ["x-webhook-timestamp"] = tonumber(stamp), ["x-webhook-signature"] = signature }, object,
      } do
        assert.equal("t1", assert(verify(given, body_of "t1")).taskId)
      end
      refused({ ["x-webhook-timestamp"] = stamp, ["x-webhook-signature"] = { signature, signature } }, nil, "twice")
      refused({ ["x-webhook-timestamp"] = stamp, ["x-webhook-signature"] = signature,
        HTTP_X_WEBHOOK_SIGNATURE = signature }, nil, "twice")
    end)

    it("with a byte order mark, and half a surrogate pair read as U+FFFD", function()
      local event = assert(verify(signed "t1", '\239\187\191 {"code":200,"msg":"a\\ud83db \\ud83d\\ude00 \\\\ud83d",'
        .. '"data":{"taskId":"t1"}}'))
      assert.equal("a\239\191\189b \240\159\152\128 \\ud83d", event.msg)
    end)

    it("with task_id for taskId", function()
      assert(verify(signed "t1", '{"code":200,"data":{"task_id":"t1"}}'))
    end)

    it("with a whole number past 2^53, whose digits are signed, or data as a string of JSON", function()
      for _, body in ipairs { '{"code":200,"data":{"taskId":9007199254740993}}',
        '{"code":200,"data":"{\\"taskId\\":9007199254740993}"}', '{"code":200,"taskId":9007199254740993}' } do
        assert.equal("9007199254740993", assert(verify(signed "9007199254740993", body)).taskId)
      end
      assert.equal("t1", assert(verify(signed "t1", '{"code":200,"data":"{\\"taskId\\":\\"t1\\"}"}')).taskId)
    end)

    it("300 seconds either way, and no longer", function()
      local now = os.time()
      local headers = signed "t1"
      for _, age in ipairs { 300, -300 } do assert(verify(headers, body_of "t1", { now = now + age })) end
      refused(headers, nil, "old", { now = now + 302 })
      refused(headers, nil, "early", { now = now - 302 })
    end)

    it("refuses another key, another task, another time", function()
      refused(signed("t1", { key = KEY .. "x" }), nil, "is not valid")
      refused(signed "t2", nil, "is not valid")
      local headers = signed "t1"
      headers["X-Webhook-Timestamp"] = tostring(os.time() - 5)
      refused(headers, nil, "is not valid")
    end)

    it("refuses what is not signed, signed twice, cut or no time", function()
      refused({}, nil, "not signed")
      local headers = signed "t1"
      refused({ ["X-Webhook-Signature"] = headers["X-Webhook-Signature"] }, nil, "not signed")
      headers["x-webhook-signature"] = "x"
      refused(headers, nil, "signed twice")
      headers = signed "t1"
      headers["X-Webhook-Timestamp"] = { headers["X-Webhook-Timestamp"], "1" }
      refused(headers, nil, "signed twice")
      headers = signed "t1"
      headers["X-Webhook-Signature"] = headers["X-Webhook-Signature"]:sub(1, -2)
      refused(headers, nil, "is not valid")
      for _, stamp in ipairs { "0x10", "1e9", "-5", "12 34", "99999999999999", "" } do
        headers = signed "t1"
        headers["X-Webhook-Timestamp"] = stamp
        refused(headers, nil, "")
      end
    end)

    it("compares all of it, wherever the first difference is", function()
      local headers = signed "t1"
      local good = headers["X-Webhook-Signature"]
      for i = 1, #good - 1 do
        local other = good:sub(i, i) == "A" and "B" or "A"
        headers["X-Webhook-Signature"] = good:sub(1, i - 1) .. other .. good:sub(i + 1)
        refused(headers, nil, "is not valid")
      end
    end)

    it("says malformed of what is no callback", function()
      for _, body in ipairs { "", "x", "[]", "{", '{"code":200}', '{"code":200,"data":null}', '{"data":{"taskId":""}}',
        '"text"', ("x"):rep(1024 * 1024 + 1) } do
        local event, err = verify(signed "t1", body)
        assert.is_nil(event)
        assert.equal("malformed", err.code)
      end
    end)

    it("names the package where luaossl is missing", function()
      local loaded, loader = package.loaded["openssl.hmac"], package.preload["openssl.hmac"]
      package.loaded["openssl.hmac"] = nil
      package.preload["openssl.hmac"] = function() error "not here" end
      local event, err = verify({ ["x-webhook-timestamp"] = "1", ["x-webhook-signature"] = "x" }, body_of "t1")
      package.loaded["openssl.hmac"], package.preload["openssl.hmac"] = loaded, loader
      assert.is_nil(event)
      assert.equal("missing", err.code)
      assert.matches("lua%-luaossl", err.message)
    end)

    it("misuse raises", function()
      assert.error_matches(function() webhook.verify("x", "{}", KEY) end, "headers: a table expected")
      assert.error_matches(function() webhook.verify({}, "{}", "") end, "key: a non%-empty string expected")
    end)
  end)

  describe("parse", function()
    for form, list in pairs { array = '["http://a/1.mp4","http://a/2.mp4"]',
      json = '"[\\"http://a/1.mp4\\",\\"http://a/2.mp4\\"]"', bare = '"[http://a/1.mp4, http://a/2.mp4]"' } do
      it("reads the links as " .. form, function()
        local event = assert(webhook.parse(body_of("t", ',"info":{"resultUrls":' .. list .. ',"resolution":"720p"}')))
        assert.same({ "http://a/1.mp4", "http://a/2.mp4" }, event.resultUrls)
        assert.equal("720p", event.resolution)
      end)
    end

    it("reads one link, and none", function()
      assert.same({ "http://a/1.mp4" },
        webhook.parse(body_of("t", ',"info":{"resultUrls":"http://a/1.mp4"}')).resultUrls)
      for _, info in ipairs { "", ',"info":null', ',"info":{}', ',"info":{"resultUrls":null}', ',"info":5' } do
        assert.is_nil(webhook.parse(body_of("t", info)).resultUrls)
      end
    end)

    it("says what the callback claims, and keeps everything", function()
      local event = webhook.parse '{"code":"501","msg":"no luck","data":{"task_id":"t","odd":1}}'
      assert.same({ 501, "failed", "no luck", "t", 1, false },
        { event.code, event.says, event.msg, event.taskId, event.raw.data.odd, event.verified })
    end)
  end)

  it("remembers what was handled for as long as its signature is good", function()
    local now = 1000
    local memory = webhook.memory { now = function() return now end }
    local event = { taskId = "t", timestamp = 1000 }
    assert.is_nil(memory:recall(event))
    memory:remember(event, "status")
    assert.equal("status", memory:recall(event))
    assert.is_nil(memory:recall { taskId = "t", timestamp = 1001 })
    for i = 1, 10000 do memory:remember { taskId = "x" .. i, timestamp = 1000 } end
    now = 2000
    memory:remember { taskId = "new", timestamp = 2000 }
    assert.is_true(memory:recall { taskId = "new", timestamp = 2000 })
    assert.is_nil(memory:recall(event))
  end)
end)

describe("a memory of callbacks", function()
  it("costs the same past ten thousand", function()
    local memory = webhook.memory()
    local function took(name)
      local began = os.clock()
      for i = 1, 500 do memory:remember { taskId = name .. i, timestamp = 1 } end
      return os.clock() - began
    end
    local before = took "a"
    for i = 1, 10000 do memory:remember { taskId = "b" .. i, timestamp = 1 } end
    -- twice, for the collector may come into one; walking through all of them cost a thousand times as much
    assert.is_true(math.min(took "c", took "d") < 100 * before + 0.05)
    assert.is_true(memory:recall { taskId = "d500", timestamp = 1 })
  end)
end)

describe("client:callback", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 1000, rate = false, webhook_key = KEY } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim, { webhook_key = KEY })
  end)
  after_each(function() client:close() end)

  local function looks() return sim:count("GET", helper.STATUS) end

  it("believes the record, not the body", function()
    sim:add { taskId = "t1", fail = 2 }
    local status, event = client:callback(signed "t1", body_of("t1", ',"info":{"resultUrls":["http://evil/x.mp4"]}'))
    assert.same({ "failed", "t1" }, { status.state, status.taskId })
    assert.equal("succeeded", event.says)
    assert.is_nil(status.video_url)
  end)

  it("duplicated: is handled once and answered with success again", function()
    local headers, body = signed(sim.source), body_of(sim.source)
    local first = assert(client:callback(headers, body))
    local again, event = client:callback(headers, body)
    assert.same({ first, true, 1 }, { again, event.replay, looks() })
  end)

  it("is no replay as long as it was not handled", function()
    local headers, body = signed(sim.source), body_of(sim.source)
    sim:script { { on = "status", http = 502, form = "html", times = 4 } }
    local status, err = client:callback(headers, body)
    assert.is_nil(status)
    assert.equal("server", err.code)
    local event
    status, event = client:callback(headers, body)
    assert.equal("succeeded", status.state)
    assert.is_nil(event.replay)
  end)

  it("early: of a task that has not ended is looked at again when it comes again", function()
    sim:add { taskId = "t1", render = 3000 }
    local headers = signed "t1"
    assert.equal("generating", client:callback(headers, body_of "t1").state)
    local _, event = client:callback(headers, body_of "t1")
    assert.is_nil(event.replay)
  end)

  it("forged: costs no request", function()
    for _, headers in ipairs { {}, signed(sim.source, { key = "other" }), signed(sim.source, { age = 400 }) } do
      local status, err = client:callback(headers, body_of(sim.source))
      assert.is_nil(status)
      assert.equal("unverified", err.code)
    end
    assert.equal(0, looks())
  end)

  it("late: of a task nobody waits for any more tells its status all the same", function()
    assert.equal("succeeded", assert(client:callback(signed(sim.source), body_of(sim.source))).state)
  end)

  it("of a task the service does not know", function()
    local _, err = client:callback(signed "nobody", body_of "nobody")
    assert.equal("not_found", err.code)
  end)

  it("ends a wait at once", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    local job = client:spawn(function() return client:wait(task, { first = 60, interval = 60 }) end)
    client:step(400) -- the render of 300 s is over
    helper.step_until(client, function() return helper.now() end)
    os.execute "sleep 0.3"
    local began = helper.now()
    assert.equal("succeeded", assert(client:callback(signed(task.taskId), body_of(task.taskId))).state)
    assert.equal("succeeded", assert(job:wait(20)).state)
    assert.is_true(helper.now() - began < 20) -- of 60
  end)

  it("before the wait for the task begins, has it look at once", function()
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    local headers, body = signed(task.taskId), body_of(task.taskId)
    repeat local status = assert(client:callback(headers, body)) until status.done
    local began = helper.now()
    assert.equal("succeeded", assert(client:wait(task, { first = 60, interval = 60 })).state)
    assert.is_true(helper.now() - began < 20) -- of 60
  end)

  describe("without a key, because the account has none,", function()
    local open, told, polled

    before_each(function()
      told, polled = {}, false
      open = helper.client(sim, { webhook_key = false, log = function(event)
        if event.event == "callback" then told[#told + 1] = event.taskId end
        polled = polled or event.event == "poll"
      end })
    end)
    after_each(function() open:close() end)

    local function called(id) return open:callback({}, body_of(id)) end

    local function running()
      return assert(open:extend { taskId = sim.source, prompt = "[sim render=1000000] x" }).taskId
    end

    it("is a reason to look at a task that the client ordered or waits for", function()
      local status, event = called(running())
      assert.same({ "generating", false }, { status.state, event.verified })
      sim:add { taskId = "waited for" }
      local job = open:spawn(function() return open:wait("waited for", { first = 60, interval = 60 }) end)
      open:step(0)
      assert.equal("succeeded", assert(called "waited for").state)
      assert.equal("succeeded", assert(job:wait(20)).state)
    end)

    it("is one, and ends the wait at once, where wait_each waits for the task", function()
      sim:add { taskId = "one of many" }
      sim:script { { on = "status", state = "generating", times = 1 } }
      local ended = {}
      local job = open:spawn(function()
        -- Not `for … in`: Lua 5.1 cannot yield inside its iterator.
        local id, status = open:wait_each({ "one of many" }, { first = 0, interval = 60, max_interval = 60 })()
        ended[id] = status.state
        return ended
      end)
      helper.step_until(open, function() return polled end)
      assert.equal("succeeded", assert(called "one of many").state)
      assert(job:wait(20))
      assert.same({ ["one of many"] = "succeeded" }, ended)
    end)

    it("costs no look at any other, and is told once", function()
      for i = 1, 2000 do
        local status, err = called("forged" .. i % 7)
        assert.is_nil(status)
        assert.equal("unverified", err.code)
      end
      assert.equal(0, looks())
      assert.equal(7, #told)
      for i = 1, 500 do called("another" .. i) end
      assert.is_true(#told <= 100, #told)
    end)

    it("is looked at so often for one task, and so often over all", function()
      local id, refused = running(), 0
      for _ = 1, 500 do
        local status, err = called(id)
        if not status then
          assert.equal("rate_limited", err.code)
          assert.is_true(err.retry_after > 0)
          refused = refused + 1
        end
      end
      assert.same({ 5, 495 }, { looks(), refused })
      local ids = {}
      for i = 1, 120 do ids[i] = running() end
      local began = helper.now()
      for _ = 1, 5 do
        for i = 1, 120 do called(ids[i]) end
      end
      assert.is_true(looks() <= 100 * math.ceil((helper.now() - began) / 10 + 1), looks())
    end)

    it("is answered from memory once the task has ended", function()
      local id = assert(open:extend { taskId = sim.source, prompt = "x" }).taskId
      assert(open:wait(id))
      local before = looks()
      for i = 1, 50 do
        local status, event = called(id)
        assert.same({ "succeeded", i > 1 or nil }, { status.state, event.replay })
      end
      assert.equal(before + 1, looks())
    end)
  end)

  it("misuse raises", function()
    local none = helper.client(sim)
    assert.error_matches(function() none:callback({}, "{}") end, "webhook_key: none given")
    none:close()
    assert.error_matches(function() client:callback("x", "{}") end, "headers: a table expected")
    assert.error_matches(function() client:callback({}, "{}", { url = "x" }) end, "unknown option url")
    assert.error_matches(function() client:callback({}, "{}", { now = "x" }) end, "now: given a string, expected unix")
  end)
end)
