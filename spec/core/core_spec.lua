-- veo.core as the Lua half sees it: one attempt a call, everything known in the reply or the failure.

local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local KEY = "spec-key-0123456789"
local integer = math.type or function(n) return n % 1 == 0 and "integer" end

describe("core", function()
  local sim, client, folder

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = core.new { base_url = sim.url, api_key = sim.api_key }
    folder = helper.folder()
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function finish(transfer)
    local reply, failure = transfer:result()
    while reply == false do
      client:step(1000)
      reply, failure = transfer:result()
    end
    return reply, failure
  end

  local function body(text)
    sim:script { { on = { "status", "extend", "credits" }, body = text } }
    return client:status("t")
  end

  it("tells a file by its length and SHA-256 over its first and last 64 KiB", function()
    local text, path = ("abcdefghij"):rep(20001), folder .. "/file"
    for _, n in ipairs { 0, 1, 55, 56, 63, 64, 65, 65536, 65537, 131072, 131073, 200000 } do
      helper.write(path, text:sub(1, n))
      local found = assert(finish(client:start("digest", { path = path })))
      local wanted = helper.output(n <= 131072 and "sha256sum <" .. path
        or ("{ head -c 65536 %s; tail -c 65536 %s; } | sha256sum"):format(path, path))
      assert.same({ n, wanted:sub(1, 64), path }, { found.size, found.digest, found.path })
    end
    for _, other in ipairs { folder, folder .. "/none", "/dev/null" } do
      assert.equal("io", select(2, finish(client:start("digest", { path = other }))).reason)
    end
    assert.has_error(function() client:start("digest", {}) end)
  end)

  it("cuts what waits for a thread, not what a thread has begun, and what is left when it is closed", function()
    local path = folder .. "/file"
    helper.write(path, "x")
    local waiting = client:start("digest", { path = path })
    assert.equal("veo.core.transfer (digest, under way)", tostring(waiting))
    assert.is_nil(waiting:progress())
    assert.equal(1, client:under_way())
    assert.is_true(waiting:cancel())
    assert.equal("cancelled", select(2, waiting:result()).reason)
    local sink = core.sink(folder .. "/a.part")
    local begun = client:start("save", { sink = sink, to = folder .. "/a" })
    local other = client:start("save", { sink = sink, to = folder .. "/b" })
    client:step(0)
    assert.is_false(begun:cancel())
    local saved, failure = finish(begun)
    assert.is_truthy(saved or failure.errno)
    local left = {}
    for i = 1, 8 do left[i] = client:start("digest", { path = path }) end
    client:step(0)
    client:close()
    left[#left + 1] = other
    for _, transfer in ipairs(left) do
      local _, why = transfer:result()
      assert.same({ "closed", "no" }, { why.reason, why.sent })
    end
  end)

  it("spells a path from the root in one way", function()
    os.execute(("mkdir %s/a; ln -s a %s/b"):format(folder, folder))
    assert.equal(folder .. "/a/new.mp4", core.absolute(folder .. "/b/../b/./new.mp4"))
    assert.equal(helper.output("pwd"):gsub("\n", "") .. "/new.mp4", core.absolute("new.mp4"))
    assert.equal("/new.mp4", core.absolute("/new.mp4"))
    assert.is_nil(core.absolute(folder .. "/none/new.mp4"))
  end)

  it("has a clock, a version and dice", function()
    local a = core.now()
    assert.is_true(core.now() >= a)
    assert.matches("^%d+%.%d+%.%d+", core.version)
    assert.matches("^%d+%.%d+", core.curl_version)
    assert.equal(8, #core.random(8))
    assert.is_true(core.random(16) ~= core.random(16))
    assert.has_error(function() core.random(65) end)
  end)

  describe("new", function()
    local function refuses(options, pattern)
      local ok, message = pcall(core.new, options)
      assert.is_false(ok)
      assert.matches(pattern, message)
      assert.is_nil(message:find("very%-secret"))
    end

    it("refuses what cannot be meant", function()
      refuses({}, "api_key")
      refuses({ api_key = 5 }, "api_key")
      refuses({ api_key = "very-secret\r\nHost: x" }, "api_key")
      refuses({ api_key = "very-secret\0x" }, "api_key")
      refuses({ api_key = "k", user_agent = "a\nb" }, "user_agent")
      refuses({ api_key = "k", base_url = "ftp://x" }, "base_url")
      refuses({ api_key = "k", base_url = "https://" }, "base_url")
      refuses({ api_key = "k", base_url = "https://u:very-secret@x" }, "base_url")
      refuses({ api_key = "k", base_url = "https://x/?very-secret" }, "base_url")
      refuses({ api_key = "k", timeout = 0 }, "timeout")
      refuses({ api_key = "k", timeout = "1" }, "timeout")
      refuses({ api_key = "k", max_in_flight = 0 }, "max_in_flight")
      refuses({ api_key = "k", novelty = 1 }, "novelty")
    end)

    it("takes plain http on loopback only, unless allowed", function()
      refuses({ api_key = "k", base_url = "http://example.com" }, "plain http")
      refuses({ api_key = "k", base_url = "http://127.0.0.1.example.com" }, "plain http")
      refuses({ api_key = "k", base_url = "http://localhost.example.com" }, "plain http")
      refuses({ api_key = "k", base_url = "http://127.0.0.1@example.com" }, ".")
      refuses({ api_key = "k", base_url = "http://127.0.0.999" }, "plain http")
      for _, url in ipairs { "http://[::1]x.example.com", "http://localhost:80.example.com", "http://127.0.0.1:8x",
        "http://", "http://[::1", "https://[::1]x.example.com", "https://", "https:///" } do
        refuses({ api_key = "k", base_url = url }, "an address with a host")
      end
      for _, url in ipairs { "http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "http://127.8.9.1" } do
        core.new({ api_key = "k", base_url = url }):close()
      end
      core.new({ api_key = "k", base_url = "http://example.com", allow_http = true }):close()
    end)
  end)

  describe("a reply", function()
    it("is decoded: nulls absent, whole numbers integers, the rest as it came", function()
      local reply = body('{"code":200,"msg":"ok","more":true,'
        .. '"data":{"a":null,"b":1,"c":1.5,"d":[null,2],"e":1e3,"f":{}}}')
      assert.same({ 200, 200, "ok", "yes" }, { reply.http_status, reply.code, reply.msg, reply.sent })
      assert.is_nil(reply.data.a)
      assert.equal("integer", integer(reply.data.b))
      assert.equal(1.5, reply.data.c)
      assert.equal(1000, reply.data.e)
      assert.equal("integer", integer(reply.data.e))
      assert.equal(2, reply.data.d[2])
      assert.is_true(reply.body.more)
    end)

    it("has its code as an integer, from any form, or none", function()
      for text, code in pairs { ["200"] = 200, ["402.0"] = 402, ['"433"'] = 433, ['" 501 "'] = 501, ['"x"'] = false,
        ["null"] = false, ["1.5"] = false, ["{}"] = false, ["true"] = false } do
        local reply = body('{"code":' .. text .. "}")
        assert.equal(code or nil, reply.code)
        if code then assert.equal("integer", integer(reply.code)) end
      end
    end)

    it("has its message from msg or message", function()
      assert.equal("a", body('{"msg":"a","message":"b"}').msg)
      assert.equal("b", body('{"message":"b"}').msg)
      assert.is_nil(body('{"msg":5}').msg)
    end)

    it("may begin with a byte order mark or blanks", function()
      assert.equal(200, body('\239\187\191{"code":200}').code)
      assert.equal(200, body(' \r\n\t{"code":200}\n').code)
    end)

    for name, text in pairs { html = "<html>no</html>", empty = "", array = "[1]", number = "5", cut = '{"code":20',
      null = "null", ["two"] = '{"a":1}{"b":2}', nan = '{"code":NaN}', hex = '{"code":0x10}' } do
      it("that is no JSON object is malformed: " .. name, function()
        local reply, failure = body(text)
        assert.is_nil(reply)
        assert.same({ "malformed", 200, "yes" }, { failure.reason, failure.http_status, failure.sent })
        assert.equal(text ~= "" and text or nil, failure.excerpt)
      end)
    end

    it("over 1 MiB is cut and too large; just under it is not", function()
      local reply, failure = body('{"code":200,"data":"' .. ("x"):rep(1048576) .. '"}')
      assert.is_nil(reply)
      assert.equal("too_large", failure.reason)
      assert.is_true(#failure.excerpt <= 200)
      assert.equal(1000000, #body('{"code":200,"data":"' .. ("x"):rep(1000000) .. '"}').data)
    end)

    it("nested without an end does not break the decoder", function()
      local _, failure = body('{"a":' .. ("["):rep(100000))
      assert.equal("malformed", failure.reason)
      assert.is_truthy(client:status("t") == nil)
    end)

    it("has an excerpt that can be printed, cut on a character", function()
      local _, failure = body("a\0b\27[31m\r\n" .. ("é"):rep(300))
      assert.is_nil(failure.excerpt:find("%c"))
      assert.is_true(#failure.excerpt <= 200)
      assert.matches("é$", failure.excerpt)
    end)

    it("does not repeat the key", function()
      local reply = body('{"code":401,"msg":"bad key ' .. sim.api_key .. '"}')
      assert.is_nil(reply.msg:find(sim.api_key, 1, true))
      local _, failure = body("<p>" .. sim.api_key .. "</p>")
      assert.is_nil(failure.excerpt:find(sim.api_key, 1, true))
    end)

    it("tells Retry-After", function()
      sim:script { { on = "status", code = 429, retry_after = 7, times = 1 },
        { on = "status", code = 429, retry_after = "date:60", times = 1 },
        { on = "status", code = 429, retry_after = "soon", times = 1 }, { on = "status", code = 429 } }
      assert.equal(7, client:status("t").retry_after)
      local seconds = client:status("t").retry_after
      assert.is_true(seconds >= 57 and seconds <= 60)
      assert.is_nil(client:status("t").retry_after)
      assert.is_nil(client:status("t").retry_after)
    end)
  end)

  describe("a request", function()
    it("escapes the taskId", function()
      for _, id in ipairs { "a b", "a/b?c=d&e=f#g", "ä%20", ("x"):rep(300), "a+b" } do
        sim:reset()
        client:status(id)
        assert.same({ taskId = id }, sim:requests()[1].query)
      end
    end)

    it("escapes a query", function()
      finish(client:start("request", { path = "/api/v1/chat/credit", query = { a = "1&b=2", c = "ä b", d = 5 } }))
      assert.same({ a = "1&b=2", c = "ä b", d = "5" }, sim:requests()[1].query)
    end)

    it("writes whole numbers whole", function()
      client:extend { taskId = sim.source, prompt = "x", seeds = 12345.0 }
      assert.matches('"seeds":12345[,}]', sim:requests()[1].body)
    end)

    it("sends nothing that JSON cannot say, and stays usable", function()
      local loop = {}
      loop.loop = loop
      for _, bad in ipairs { { a = 0 / 0 }, { a = math.huge }, { a = print }, loop, { a = 1e17 }, { 1, a = 2 },
        { [2] = 1 } } do
        local reply, failure = client:extend(bad)
        assert.is_nil(reply)
        assert.equal("invalid", failure.reason)
        assert.equal("no", failure.sent)
        assert.matches("cannot be written as JSON: ", failure.message)
      end
      assert.equal(0, #sim:requests())
      assert.is_truthy(client:status("t"))
    end)

    it("refuses arguments of a wrong kind", function()
      for _, fn in ipairs {
        function() client:status() end, function() client:status(5) end, function() client:extend("x") end,
        function() client:start("nothing") end, function() client:start("request", {}) end,
        function() client:start("request", { path = "/x", url = "http://127.0.0.1/" }) end,
        function() client:start("request", { path = "/x", method = "PUT" }) end,
        function() client:start("request", { path = "/x\r\nHost: y" }) end,
        function() client:start("request", { path = "/x", auth = 1, novelty = 2 }) end,
        function() client:start("status", "t", { timeout = -1 }) end,
        function() client:start("status", "t", { novelty = 1 }) end,
        function() client:start("download", { url = "http://127.0.0.1/x" }) end,
        function() client:start("download", { url = "http://127.0.0.1/x", stream = 9, read_size = 1000 }) end,
        function() client:start("download", { url = "http://127.0.0.1/x", stream = 9, read_size = 2 ^ 24 }) end,
        function() client:start("download", { url = "http://127.0.0.1/x", stream = 2 ^ 32 + 9 }) end,
        function() client:start("download", { url = "http://127.0.0.1/x", stream = 9, stall = 0 }) end,
        function() client:step(-1) end, function() core.new() end, function() core.sink() end,
      } do
        assert.is_false((pcall(fn)))
      end
    end)

    it("does not take the key to another machine over plain http", function()
      for _, url in ipairs { "http://example.com/x", "http://[::1]x.example.com", "http://localhost:80.example.com" } do
        local transfer, failure = client:start("request", { url = url })
        assert.is_nil(transfer)
        assert.equal("invalid", failure.reason)
        assert.matches("would show the key", failure.message)
      end
    end)
  end)

  describe("a transfer", function()
    it("says false until it has ended, then hands its result over once", function()
      sim:script { { on = "status", delay = 0.05 } }
      local transfer = client:start("status", sim.source)
      assert.is_false(transfer:result())
      assert.matches("under way", tostring(transfer))
      local reply = finish(transfer)
      assert.equal(200, reply.code)
      local again, failure = transfer:result()
      assert.is_nil(again)
      assert.equal("taken", failure.reason)
      assert.is_false(transfer:cancel())
      assert.matches("ended", tostring(transfer))
    end)

    it("is handed out by take, in the order of ending", function()
      sim:script { { on = "status", task = "slow", delay = 0.2 } }
      local slow, fast = client:start("status", "slow"), client:start("status", "fast")
      local order = {}
      while #order < 2 do
        client:step(1000)
        local t = client:take()
        while t do
          order[#order + 1] = t
          t = client:take()
        end
      end
      assert.same({ fast, slow }, order)
      assert.is_nil(client:take())
    end)

    it("is cut by cancel", function()
      sim:script { { on = "status", hang = true } }
      local transfer = client:start("status", "t")
      client:step(50)
      assert.is_true(transfer:cancel())
      local reply, failure = transfer:result()
      assert.is_nil(reply)
      assert.equal("cancelled", failure.reason)
      sim:script {}
      assert.is_truthy(client:status(sim.source))
    end)

    it("is not cut when it is billable and bytes may have left", function()
      sim:script { { on = "extend", delay = 0.2 } }
      local transfer = client:start("extend", { taskId = sim.source, prompt = "x" })
      while sim:count("POST") == 0 do client:step(5) end
      assert.is_false(transfer:cancel())
      assert.equal(200, finish(transfer).code)
    end)

    it("goes on when nobody holds it", function()
      client:start("extend", { taskId = sim.source, prompt = "x" })
      collectgarbage()
      collectgarbage()
      while client:step(1000) == 0 do end
      local _, list = sim:charges()
      assert.equal(1, #list)
      assert.equal(200, client:take():result().code)
    end)

    it("tells its time-out apart from the connection's", function()
      sim:script { { on = "status", hang = true } }
      local _, failure = finish(client:start("status", "t", { timeout = 1 }))
      assert.same({ "network", true, 28 }, { failure.reason, failure.timed_out, failure.curl_code })
    end)
  end)

  describe("closed", function()
    it("ends what is under way, and takes no more", function()
      sim:script { { on = { "status", "extend" }, hang = true } }
      local status = client:start("status", "t")
      local extend = client:start("extend", { taskId = "a", prompt = "b" })
      while sim:count("POST") == 0 do client:step(5) end
      client:close()
      client:close()
      assert.is_true(client:closed())
      assert.matches("closed", tostring(client))
      local _, failure = status:result()
      assert.equal("closed", failure.reason)
      _, failure = extend:result()
      assert.same({ "closed", "maybe" }, { failure.reason, failure.sent })
      assert.is_false(extend:cancel())
      for _, call in ipairs { "step", "take", "warm", "pollfd", "timeout" } do
        local ok, message = pcall(client[call], client)
        assert.is_false(ok)
        assert.matches("closed", message)
      end
    end)

    it("by the collector, with transfers in flight and taken", function()
      sim:script { { on = "status", hang = true } }
      do
        local lost = core.new { base_url = sim.url, api_key = KEY }
        lost:start("status", "t")
        lost:step(20)
        lost:start("status", "u")
      end
      collectgarbage()
      collectgarbage()
      assert.is_truthy(client:step(0))
    end)

    it("closes its metatables to scripts", function()
      assert.is_false(getmetatable(client))
      assert.is_false(getmetatable(client:start("status", "t")))
      assert.is_nil(client.__gc)
    end)
  end)

  describe("the loop's side", function()
    it("is one descriptor, readable while something waits", function()
      local socket = require "socket"
      local fd = client:pollfd()
      if not fd then return pending("no such descriptor on this system") end
      assert.is_number(fd)
      assert.equal("r", client:events())
      local watched = { getfd = function() return fd end, dirty = function() return false end }
      local function readable(seconds) return #socket.select({ watched }, nil, seconds) == 1 end
      assert.is_false(readable(0))
      assert.is_nil(client:timeout())
      client:wake_at(core.now() + 1)
      assert.is_true(client:timeout() <= 1)
      assert.is_false(readable(0))
      assert.is_true(readable(60))
      client:wake_at(nil)
      client:step(0)
      assert.is_false(readable(0))
      local transfer = client:start("status", sim.source)
      assert.is_true(readable(60))
      while client:step(0) == 0 do readable(60) end
      assert.is_true(readable(0)) -- until it is taken
      assert.is_true(readable(0))
      assert.equal(0, client:timeout())
      assert.equal(transfer, client:take())
      if sim.ca_file then client:step(0) end -- over HTTP/2 libcurl asks for one more turn
      assert.is_false(readable(0))
    end)

    it("is, without a descriptor, to be looked at again soon while something is under way", function()
      sim:script { { on = "status", hang = true } }
      if client:pollfd() then return pending("a descriptor tells of it") end
      assert.is_nil(client:timeout())
      assert.is_true(client:timeout(true) <= 0.02) -- somebody waits for what the core knows nothing of
      client:start("status", "t")
      local deadline = core.now() + 60
      while sim:count("GET") == 0 and core.now() < deadline do client:step(10) end
      for _ = 1, 20 do
        client:step(10)
        assert.is_true(client:timeout() <= 0.02)
      end
    end)

    it("does not burn the processor in a blocking call while a completion waits", function()
      sim:script { { on = "status", task = "slow", delay = 2 } }
      client:pollfd()
      client:start("status", sim.source)
      while client:step(1000) == 0 do end
      local began = os.clock()
      assert.is_truthy(client:status("slow"))
      assert.is_true(os.clock() - began < 0.7)
      -- And whoever watches is still told of the one that waits.
      local socket = require "socket"
      local fd = client:pollfd()
      if not fd then return end
      local watched = { getfd = function() return fd end, dirty = function() return false end }
      assert.equal(1, #socket.select({ watched }, nil, 0))
      assert.equal(1, client:step(0))
    end)

    it("does not sleep in step(0), nor past the wake time", function()
      sim:script { { on = "status", hang = true } }
      client:start("status", "t")
      local began = core.now()
      for _ = 1, 100 do client:step(0) end
      assert.is_true(core.now() - began < 20) -- of 60
      client:wake_at(core.now() + 0.05)
      began = core.now()
      client:step(60000)
      assert.is_true(core.now() - began < 20) -- of 60
    end)

    it("queues what passes max_in_flight", function()
      client:close()
      client = core.new { base_url = sim.url, api_key = sim.api_key, max_in_flight = 2 }
      sim:script { { on = "status", delay = 0.1 } }
      local began = core.now()
      for i = 1, 6 do client:start("status", "t" .. i) end
      local done = 0
      while done < 6 do
        client:step(1000)
        while client:take() do done = done + 1 end
      end
      local took = core.now() - began
      assert.is_true(took >= 0.29, "took " .. took)
    end)

    it("reuses its connections", function()
      for _ = 1, 5 do client:status("t") end
      local connections = {}
      for _, request in ipairs(sim:requests()) do connections[request.connection] = true end
      assert.is_nil(next(connections, (next(connections))))
    end)

    it("warms a connection without a key", function()
      assert.is_truthy(client:warm())
      client:status("t")
      for _, request in ipairs(sim:requests()) do
        if request.method ~= "GET" or request.path ~= helper.STATUS then
          assert.is_nil(request.headers.authorization)
        end
      end
    end)
  end)

  describe("a sink", function()
    it("is a locked file that can be read and cut", function()
      local path = folder .. "/x.part"
      helper.write(path, "hello boat")
      local sink = core.sink(path, { resume = true })
      assert.same({ 10, path, "boat", "" }, { sink:size(), sink:path(), sink:read(6, 100), sink:read(50, 10) })
      local other, failure = core.sink(path)
      assert.is_nil(other)
      assert.equal("busy", failure.reason)
      assert.equal("hello boat", helper.read(path))
      sink:truncate(5)
      assert.equal("hello", helper.read(path))
      sink:close()
      sink:close()
      assert.is_false((pcall(sink.size, sink)))
      assert.matches("closed", tostring(sink))
      sink = core.sink(path)
      assert.equal(0, sink:size())
      sink:close()
    end)

    it("says why it cannot be", function()
      local sink, failure = core.sink(folder .. "/no/x")
      assert.is_nil(sink)
      assert.equal("io", failure.reason)
      assert.matches("No such file", failure.message)
      assert.is_number(failure.errno)
      assert.is_nil(core.sink(folder))
    end)

    it("tells what a path is", function()
      helper.write(folder .. "/f", "x")
      assert.equal("file", core.kind(folder .. "/f"))
      assert.equal("directory", core.kind(folder))
      assert.equal("other", core.kind("/dev/null"))
      assert.is_nil(core.kind(folder .. "/none"))
      os.execute(("cd %s && ln -s f to-file && ln -s none to-none && ln -s loop loop"):format(folder))
      assert.same({ "file", "link", "link" },
        { core.kind(folder .. "/to-file"), core.kind(folder .. "/to-none"), core.kind(folder .. "/loop") })
    end)

    it("is saved to its name, without replacing unless told to", function()
      local path = folder .. "/x.part"
      helper.write(path, "new")
      local sink = core.sink(path, { resume = true })
      helper.write(folder .. "/x", "old")
      local saved, failure = finish(client:start("save", { sink = sink, to = folder .. "/x" }))
      assert.is_nil(saved)
      assert.equal("exists", failure.reason)
      assert.equal("old", helper.read(folder .. "/x"))
      assert.is_truthy(finish(client:start("save", { sink = sink, to = folder .. "/x", overwrite = true })))
      sink:close()
      assert.equal("new", helper.read(folder .. "/x"))
      assert.same({ "x" }, helper.list(folder))
    end)

    it("survives its client and its own handle while a transfer writes", function()
      sim:script { { on = "media", drip = 200000 } }
      local sink = core.sink(folder .. "/y.part")
      client:start("download", { url = sim.media_url .. "/media/blob/1000000.mp4", sink = sink })
      client:step(50)
      sink:close()
      client:step(50)
      client:close()
      collectgarbage()
    end)
  end)

  it("speaks JSON through an instance of its own", function()
    local shared = require "cjson.safe"
    local precision = shared.encode_number_precision()
    shared.encode_number_precision(3)
    client:extend { taskId = sim.source, prompt = "x", seeds = 12345 }
    core.new({ api_key = KEY }):close()
    assert.equal(3, shared.encode_number_precision())
    shared.encode_number_precision(precision)
    assert.matches('"seeds":12345', sim:requests()[1].body)
  end)
end)
