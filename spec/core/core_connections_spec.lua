-- Connections between two exchanges: they stay in the set that is watched, are no more than
-- exchanges were under way, and go through the proxy that the environment names.

local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local socket = require "socket"

local REPLY = '{"code":200,"msg":"success","data":{"taskId":"a","successFlag":0}}'

describe("connections of the core", function()
  local listener, client, pipe

  before_each(function()
    listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(helper.PATIENCE)
    local _, port = listener:getsockname()
    client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = "k" }
  end)
  after_each(function()
    client:close()
    listener:close()
    if pipe then pipe:close() end
    pipe = nil
  end)

  local function readable(fd)
    return #socket.select({ { getfd = function() return fd end } }, nil, 0) > 0
  end

  local function finish(transfer)
    local deadline = core.now() + helper.PATIENCE
    while transfer:running() and core.now() < deadline do client:step(10) end
    while client:take() do end
    return transfer:result()
  end

  -- Reads one request of a connection and answers it.
  local function answer(connection)
    connection:settimeout(helper.PATIENCE)
    repeat local line = assert(connection:receive "*l") until line == ""
    assert(connection:send("HTTP/1.1 200 OK\r\nContent-Length: " .. #REPLY .. "\r\n\r\n" .. REPLY))
  end

  local function accept(transfer)
    for _ = 1, 5 do client:step(5) end
    local connection = assert(listener:accept())
    for _ = 1, 5 do client:step(5) end
    answer(connection)
    assert.equal(200, assert(finish(transfer)).http_status)
    return connection
  end

  local function connections_of(sim)
    local connections, count = {}, 0
    for _, request in ipairs(sim:requests()) do
      if not connections[request.connection] then count = count + 1 end
      connections[request.connection] = true
    end
    return count
  end

  it("are used again, and nothing is to be done between", function()
    local fd = client:pollfd()
    local connection = accept(client:start("status", "a"))
    for _ = 1, 3 do
      assert.is_false(readable(fd))
      assert.is_nil(client:timeout())
      local transfer = client:start("status", "a")
      for _ = 1, 5 do client:step(5) end
      answer(connection)
      assert.equal(200, assert(finish(transfer)).http_status)
    end
    connection:close()
  end)

  it("that the server closes while idle wake a foreign loop once, and the next exchange takes a new one", function()
    local fd = client:pollfd()
    local connection = accept(client:start("status", "a"))
    connection:close()
    socket.sleep(0.05)
    for _ = 1, 3 do client:step(0) end
    assert.is_false(readable(fd))
    assert.is_nil(client:timeout())
    accept(client:start("status", "a")):close()
  end)

  it("that the server closes while idle keep no sleeping step awake", function()
    local first = accept(client:start("status", "a"))
    local other = client:start("status", "b")
    client:step(20)
    local second = client:start("status", "c") -- on a connection of its own
    for _ = 1, 5 do client:step(5) end
    local connection = assert(listener:accept())
    connection:settimeout(helper.PATIENCE)
    repeat local line = assert(connection:receive "*l") until line == ""
    answer(first)
    assert.equal(200, assert(finish(other)).http_status)
    first:close() -- idle now, while the second is under way
    local began = os.clock()
    for _ = 1, 3 do client:step(500) end
    assert.is_true(os.clock() - began < 0.5)
    connection:send("HTTP/1.1 200 OK\r\nContent-Length: " .. #REPLY .. "\r\n\r\n" .. REPLY)
    assert.equal(200, assert(finish(second)).http_status)
    connection:close()
  end)

  it("that a child has inherited leave the set when they are closed", function()
    local connection = accept(client:start("status", "a"))
    pipe = io.popen("sleep 3") -- it holds both sockets
    connection:shutdown("both")
    connection:close()
    socket.sleep(0.05)
    accept(client:start("status", "a")):close() -- libcurl closes the first, whose registration would outlive it
    local hanging = client:start("status", "b")
    local began, now = os.clock(), core.now()
    while core.now() < now + 1.5 do client:step(500) end
    assert.is_true(os.clock() - began < 0.5)
    hanging:cancel()
  end)

  it("are as many as exchanges under way", function()
    local sim = simulator.start { speed = 10000, rate = false }
    client:close()
    client = core.new { base_url = sim.url, api_key = sim.api_key, max_in_flight = 200 }
    sim:script { { on = "status", delay = 0.05 } }
    for _ = 1, 3 do
      local left = {}
      for i = 1, 400 do left[i] = client:start("look", sim.source) end
      left[7]:cancel()
      left[150]:cancel()
      left[390]:cancel()
      local done, deadline = 0, core.now() + helper.PATIENCE
      while done < 397 and core.now() < deadline do
        client:step(100)
        local transfer = client:take()
        while transfer do
          local status = transfer:result()
          if status then done = done + 1 end
          transfer = client:take()
        end
      end
      assert.equal(397, done)
    end
    local count = connections_of(sim)
    sim:stop()
    assert.is_true(count <= 210, count .. " connections")
  end)

  it("of one kind of call serve the other kinds", function()
    local sim = simulator.start { speed = 10000, rate = false }
    client:close()
    client = core.new { base_url = sim.url, api_key = sim.api_key, max_in_flight = 150 }
    sim:script { { on = { "status", "credits" }, delay = 0.1 } }
    local function all(...)
      local left, deadline = 150, core.now() + helper.PATIENCE
      for _ = 1, left do client:start(...) end
      while left > 0 and core.now() < deadline do
        client:step(100)
        while client:take() do left = left - 1 end
      end
      assert.equal(0, left)
    end
    for _ = 1, 2 do
      all("request", { path = "/api/v1/chat/credit" })
      all("look", sim.source)
    end
    local count = connections_of(sim)
    sim:stop()
    assert.is_true(count <= 165, count .. " connections")
  end)

  it("know places and what is under way", function()
    client:close()
    local _, port = listener:getsockname()
    client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = "k", max_in_flight = 2 }
    assert.same({ 2, 0 }, { client:room(), client:under_way() })
    local one = client:start("status", "a", nil, "a tag")
    assert.same({ 1, 1, "a tag" }, { client:room(), client:under_way() })
    local two = client:start("status", "b")
    assert.same({ 0, 2 }, { client:room(), client:under_way() })
    client:step(5)
    assert.equal(0, client:room())
    two:cancel()
    assert.equal(1, client:room())
    for _ = 1, 5 do client:step(5) end
    local connection = assert(listener:accept())
    answer(connection)
    local deadline = core.now() + helper.PATIENCE
    while one:running() and core.now() < deadline do client:step(10) end
    assert.same({ 2, 1 }, { client:room(), client:under_way() })
    assert.same({ one, "a tag" }, { client:take() })
    assert.equal(0, client:under_way())
    connection:close()
  end)

  describe("of a client made where the environment", function()
    local function lua(environment, url, proxy)
      local _, port = listener:getsockname()
      local code = ([[local veo = require "veo"
        local client = veo.new { base_url = "%s:%d", api_key = "k", timeout = 60, allow_http = true, proxy = %s }
        client:status "a"]])
      pipe = io.popen(("%s %s -e '%s'"):format(environment, helper.lua(), code:format(url, port, tostring(proxy))
        :gsub("%s+", " ")))
      local connection = assert(listener:accept())
      connection:settimeout(helper.PATIENCE)
      if url:find "^https" then
        local first = assert(connection:receive(1))
        connection:close()
        return first
      end
      local first = assert(connection:receive "*l")
      repeat local line = assert(connection:receive "*l") until line == ""
      connection:send("HTTP/1.1 200 OK\r\nContent-Length: " .. #REPLY .. "\r\n\r\n" .. REPLY)
      connection:close()
      return first
    end

    it("names a proxy go through it", function()
      local _, port = listener:getsockname()
      local first = lua("http_proxy=http://127.0.0.1:" .. port, "http://service.invalid")
      assert.matches("^GET http://service%.invalid:", first)
    end)

    it("names a proxy go straight when proxy is false", function()
      for _, name in ipairs { "https_proxy", "all_proxy", "ALL_PROXY" } do
        assert.equal("\22", lua(name .. "=http://127.0.0.1:9", "https://127.0.0.1", false), name) -- TLS begins
      end
    end)

    -- It would get the key, which goes in clear text there.
    it("names a proxy, but the service is on this machine and without TLS, go straight", function()
      assert.matches("^GET /", lua("http_proxy=http://127.0.0.1:9 all_proxy=http://127.0.0.1:9", "http://127.0.0.1"))
    end)

    it("names none go straight", function()
      assert.matches("^GET /", lua("", "http://127.0.0.1"))
    end)
  end)
end)
