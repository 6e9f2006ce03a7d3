-- Corners of the core that a review found broken: a descriptor readable with nothing to do, numbers out of range, a
-- client that ends in the middle of its own call.

local core = require "veo.core"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local socket = require "socket"

describe("the core", function()
  local sim, server

  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    server = fault.start { hang = { get = "hang" } }
  end)
  teardown(function()
    sim:stop()
    server:stop()
    helper.sweep()
  end)
  before_each(function() sim:reset() end)

  local function new(more)
    local options = { base_url = sim.url, api_key = sim.api_key }
    for name, value in pairs(more or {}) do options[name] = value end
    return core.new(options)
  end

  local function readable(fd)
    return #socket.select({ { getfd = function() return fd end } }, nil, 0) > 0
  end

  describe("asks a foreign loop for nothing", function()
    it("while a name is known and all places are taken", function()
      local base = server.url.hang:gsub("127%.0%.0%.1", "localhost")
      local client = new { base_url = base, max_in_flight = 1 }
      local fd = client:pollfd()
      client:start("status", "a")
      client:start("status", "b")
      helper.step_until(client, function() return server:count("hang", "GET") > 0 end)
      helper.wait_until(function() return client:timeout() > 0 end, function() client:step(0) end)
      assert.is_false(readable(fd))
      client:close()
    end)

    it("after a download was cancelled that had used up its share of a frame", function()
      local client = new()
      local fd = client:pollfd()
      local sink = core.sink(helper.folder() .. "/x.part")
      local transfer = client:start("download", { url = sim.media_url .. "/media/blob/200000000.mp4", sink = sink })
      helper.wait_until(function() return client:timeout() == 0 and transfer:progress() > 0 end,
        function() client:step(0) end)
      assert.is_true(transfer:cancel())
      for _ = 1, 20 do client:step(0) end
      assert.is_nil(client:timeout())
      assert.is_false(readable(fd))
      client:close()
      sink:close()
    end)

    it("after a file was saved", function()
      local client = new()
      local fd = client:pollfd()
      local folder = helper.folder()
      for i = 1, 50 do
        local sink = core.sink(folder .. "/" .. i .. ".part")
        client:start("save", { sink = sink, to = folder .. "/" .. i })
        while client:step(0) == 0 do end
        assert.is_truthy(client:take():result())
        for _ = 1, 20 do client:step(0) end
        assert.is_false(readable(fd), "save " .. i)
        sink:close()
      end
      client:close()
    end)
  end)

  describe("takes a server at its word within limits:", function()
    it("a pause beyond all integers is a long one", function()
      sim:script { { on = "status", code = 429, retry_after = "9223372036854775807" } }
      local client = new()
      assert.is_true(client:status("t").retry_after >= 21600) -- newer libcurls cut it to six hours
      client:close()
    end)

    it("an empty answer to a request for the rest leaves what is there", function()
      sim:script { { on = "media", body = "" } }
      local path = helper.folder() .. "/x.part"
      helper.write(path, ("x"):rep(500))
      local sink = core.sink(path, { resume = true })
      local client = new()
      local transfer = client:start("download",
        { url = sim.media_url .. "/media/blob/1000.mp4", sink = sink, offset = 500, if_range = '"a"' })
      while transfer:running() do client:step(100) end
      local reply, failure = transfer:result()
      assert.is_nil(reply)
      assert.same({ "network", 500 }, { failure.reason, sink:size() })
      client:close()
      sink:close()
    end)

    it("a link in JSON with backslashes hides what signs it", function()
      sim:script { { on = "status", body = [[{"x":"https:\/\/me:pw@cdn.example\/v.mp4?Signature=abc ]] } }
      local client = new()
      local _, failure = client:status("t")
      assert.equal([[{"x":"https:\/\/cdn.example\/v.mp4?]], failure.excerpt)
      client:close()
    end)
  end)

  it("goes to no address but a whole one", function()
    local client = new()
    client:status("t")
    local sink = core.sink(helper.folder() .. "/x.part")
    for _, url in ipairs { "other/thing?a=1", "//127.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd" } do
      local transfer, failure = client:start("download", { url = url, sink = sink })
      assert.is_nil(transfer)
      assert.equal("invalid", failure.reason)
    end
    assert.equal(1, #sim:requests())
    client:close()
    sink:close()
    for _, path in ipairs { "@127.0.0.1/x", ".example/x" } do
      assert.has_error(function() new { extend_path = path } end)
      assert.has_error(function() new { status_path = path } end)
      assert.has_error(function() new():start("request", { path = path }) end)
    end
  end)

  it("lets a blocking call pass streams that hold all places and wait for their reader", function()
    local client = new { max_in_flight = 1 }
    local stream = client:start("download", { url = sim.media_url .. "/media/blob/5000000.mp4", stream = 1000 })
    while client:step(100) == 0 do end
    for _ = 1, 10 do client:step(5) end
    assert.is_truthy(client:status("t"))
    local bytes = 0
    while stream:running() do
      client:step(100)
      while client:take() do end
      bytes = bytes + #(stream:read() or "")
    end
    assert.is_truthy(stream:result())
    assert.equal(5000000, bytes)
    client:close()
  end)

  it("writes through no symbolic link that somebody put there", function()
    local folder = helper.folder()
    helper.write(folder .. "/precious", "keep me")
    for _, target in ipairs { "precious", "nowhere" } do
      os.execute(("ln -sf %s/%s %s/x.part"):format(folder, target, folder))
      local sink, failure = core.sink(folder .. "/x.part")
      assert.is_nil(sink)
      assert.equal("io", failure.reason)
    end
    assert.equal("keep me", helper.read(folder .. "/precious"))
    assert.is_nil(helper.read(folder .. "/nowhere"))
  end)

  it("refuses numbers that are none and places without end", function()
    assert.has_error(function() new { max_in_flight = 1e10 } end)
    local client = new()
    client:pollfd()
    assert.has_error(function() client:wake_at(0 / 0) end)
    client:wake_at(1e200)
    assert.is_true(client:timeout() > 1e100)
    client:close()
  end)

  it("loads again after memory ran out while it loaded", function()
    local built, native = pcall(require, "native")
    if not built then return pending("make test builds what this needs") end
    local code = ([[
      local core
      if attempt(function() core = require "veo.core" end) then return "whole" end
      package.loaded["veo.core"] = nil -- 5.1 marks what it is loading
      core = require "veo.core"
      local client = core.new { base_url = "@URL", api_key = "@KEY" }
      client:step(0)
      tostring(client)
      client:close()
      return "failed"]]):gsub("@URL", sim.url):gsub("@KEY", sim.api_key)
    local n = 0
    repeat
      n = n + 1
      local text, message = native.sweep(code, n)
      if text == nil and message and message:find("no state") then return pending(message) end
      assert.is_truthy(text, message)
      assert.is_true(text == "whole" or text == "failed", "allocation " .. n .. ": " .. text)
    until text == "whole"
    assert.is_true(n > 1)
  end)

  describe("may be closed in the middle of its own call", function()
    -- Runs `action` at a garbage collection.
    local function at_collection(action)
      if newproxy then -- luacheck: ignore
        getmetatable(newproxy(true)).__gc = action -- luacheck: ignore
      else
        setmetatable({}, { __gc = action })
      end
    end

    it("by a metamethod of its arguments", function()
      for _, method in ipairs { "status", "start" } do
        local client = new()
        local options = setmetatable({}, { __index = function() client:close() end })
        local ok, message
        if method == "status" then
          ok, message = pcall(client.status, client, "t", options)
        else
          ok, message = pcall(client.start, client, "status", "t", options)
        end
        assert.is_false(ok)
        assert.is_truthy(message:find("closed"))
      end
    end)

    it("by a metamethod that closes the sink", function()
      local client = new()
      local sink = core.sink(helper.folder() .. "/x.part")
      local request = setmetatable({ url = sim.media_url .. "/media/blob/10.mp4", sink = sink },
        { __index = function(_, name) if name == "stream" then sink:close() end end })
      assert.has_error(function() client:start("download", request) end)
      client:close()
    end)

    -- Each round leaves more to collect, so that the finalizer runs at ever other places of the call.
    for _, what in ipairs { "a blocking call", "a result", "headers and pieces" } do
      it("by a finalizer: " .. what, function()
        local pause, step = helper.collector(0, 10000)
        for round = 1, 150 do
          local client = new()
          local transfer
          if what == "a result" then
            transfer = client:start("status", "t")
            while transfer:running() do client:step(100) end
          elseif what ~= "a blocking call" then
            transfer = client:start("download",
              { url = sim.media_url .. "/media/blob/90000.mp4", stream = 10000, headers = true })
            while transfer:progress() == 0 do client:step(100) end
          end
          collectgarbage("stop")
          at_collection(function() client:close() end)
          for _ = 1, round do local _ = {} end -- luacheck: ignore
          collectgarbage("restart")
          if what == "a result" then
            pcall(transfer.result, transfer)
          elseif transfer then
            local headers = transfer:headers()
            assert.is_true(headers == nil or headers.http_status == 200)
            pcall(transfer.read, transfer)
            transfer:headers()
          else
            pcall(client.status, client, "t")
          end
          client:close()
        end
        helper.collector(pause, step)
      end)
    end
  end)
end)
