-- How exchanges end that must not: redirects that are not followed, headers without an end, what fails at once. The
-- exchange after each works as on a new client; spec/core/pairs_spec.lua tries that for all kinds and ends.

local core = require "veo.core"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local socket = require "socket"
local veo = require "veo"

-- Bytes that a client and the system's buffers may have taken before it gives up.
local ENOUGH = 16 * 1024 * 1024
local KEY = "spec-key-0123456789"
-- Where a result link must not lead.
local FORBIDDEN = { file = "file:///etc/passwd", ftp = "ftp://127.0.0.1/", gopher = "gopher://127.0.0.1:70/",
  dict = "dict://127.0.0.1/d:", scp = "scp://127.0.0.1/", smb = "smb://127.0.0.1/s/", slashes = "///",
  long = "http://" .. ("a"):rep(70000) }

describe("a redirect that is not followed", function()
  local server, client, folder

  setup(function()
    local listeners = { good = {}, loop = { get = "redirect", to = "loop" } }
    for name, to in pairs(FORBIDDEN) do listeners[name] = { get = "redirect", to = to } end
    server = fault.start(listeners)
  end)
  teardown(function() server:stop() end)
  before_each(function()
    folder = helper.folder()
    client = core.new { base_url = server.url.good, api_key = KEY }
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function download(url)
    local sink = assert(core.sink(folder .. "/file.part"))
    local transfer = assert(client:start("download", { url = url, sink = sink }))
    while transfer:running() do client:step(50) end
    while client:take() do end
    local reply, failure = transfer:result()
    sink:close()
    return reply, failure, helper.read(folder .. "/file.part")
  end

  local function works()
    local reply, failure, bytes = download(server.url.good .. "/file")
    assert.is_nil(failure)
    assert.equal(#bytes, reply.bytes)
    assert.matches("^{.*}$", bytes)
  end

  for name, to in pairs(FORBIDDEN) do
    it("is an error of its own kind, and the next download works: " .. to:sub(1, 30), function()
      for _ = 1, 3 do
        local reply, failure = download(server.url[name] .. "/ok?secret=1")
        assert.is_nil(reply)
        assert.equal("redirect", failure.reason)
        assert.equal(to:sub(1, 100), failure.location:sub(1, #to):sub(1, 100))
        assert.is_nil(failure.location:find("secret", 1, true))
        works()
      end
    end)
  end

  it("ends a circle", function()
    local _, failure = download(server.url.loop .. "/")
    assert.equal("redirect", failure.reason)
    assert.equal(6, server:count("loop", "GET"))
    works()
  end)

  it("is not tried again, and its error says where it pointed", function()
    local whole = veo.new { base_url = server.url.good, api_key = KEY }
    finally(function() whole:close() end)
    server:forget()
    local file, err = whole:download(server.url.file .. "/x.mp4", folder .. "/x.mp4")
    assert.is_nil(file)
    assert.equal("redirect", err.code)
    assert.equal("file:///etc/passwd/x.mp4", err.location)
    assert.equal(1, server:count("file", "GET"))
    assert.same({}, helper.list(folder))
  end)

  it("of a name that is not known is an ordinary failure of the network, after which downloads work", function()
    local _, failure = download("http://no-such-host.invalid/file")
    assert.equal("network", failure.reason)
    works()
    _, failure = client:status("a")
    assert.is_nil(failure)
    works()
  end)
end)

describe("an exchange with a server that sends", function()
  local listener, client

  before_each(function()
    listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(60)
    local _, port = listener:getsockname()
    client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = KEY, timeout = 60 }
  end)
  after_each(function()
    client:close()
    listener:close()
  end)

  -- Sends the text, then the line again and again until the client has gone; the bytes of that.
  local function endless(transfer, text, line)
    for _ = 1, 5 do client:step(5) end
    local connection = assert(listener:accept())
    connection:settimeout(0.2)
    connection:send(text)
    local sent, lines = 0, line:rep(100)
    while transfer:running() and sent < 64 * 1024 * 1024 do
      local n, _, part = connection:send(lines)
      sent = sent + (n or part or 0)
      client:step(0)
      while client:take() do end
    end
    connection:close()
    return sent
  end

  it("headers without an end gives up", function()
    local transfer = client:start("status", "a")
    assert.is_true(endless(transfer, "HTTP/1.1 200 OK\r\n", "X-Header: abcdefghijklmnopqrstuvwxyz\r\n") < ENOUGH)
    local reply, failure = transfer:result()
    assert.is_nil(reply)
    assert.equal("malformed", failure.reason)
  end)

  it("trailers without an end gives up", function()
    local transfer = client:start("status", "a")
    assert.is_true(endless(transfer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n0\r\n",
      "X-Trailer: abcdefghijklmnopqrstuvwxyz\r\n") < ENOUGH)
    local reply, failure = transfer:result()
    assert.is_nil(reply)
    assert.equal("malformed", failure.reason)
    assert.matches("headers", failure.message)
  end)
end)

describe("a reply that is cut within its headers", function()
  -- libcurl calls it a whole reply without a body, and an empty file would take the place of what was fetched before.
  it("is no empty file: what was fetched before stays", function()
    local server = fault.start { cut = { get = "half_head", post = "half_head" }, good = {} }
    local client = core.new { base_url = server.url.cut, api_key = KEY }
    local folder = helper.folder()
    finally(function()
      client:close()
      server:stop()
      helper.sweep()
    end)
    helper.write(folder .. "/file.part", ("x"):rep(1000))
    local sink = assert(core.sink(folder .. "/file.part", { resume = true }))
    local transfer = assert(client:start("download", { url = server.url.cut .. "/", sink = sink, offset = 1000,
      if_range = '"v1"' }))
    while transfer:running() do client:step(50) end
    while client:take() do end
    local _, failure = transfer:result()
    assert.equal("network", failure.reason)
    assert.equal(1000, sink:size())
    _, failure = client:status "a"
    assert.equal("network", failure.reason)
    _, failure = client:extend { taskId = "a", prompt = "b" }
    assert.equal("network", failure.reason)
  end)
end)

describe("answers that lie in their sockets", function()
  it("count, however late the step that reads them comes", function()
    local N = 100
    local listener = assert(socket.bind("127.0.0.1", 0, N))
    local _, port = listener:getsockname()
    local client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = KEY, timeout = 6 }
    finally(function()
      client:close()
      listener:close()
    end)
    listener:settimeout(0)
    local transfers, connections = {}, {}
    for i = 1, N do transfers[i] = assert(client:start("extend", { prompt = "p" .. i })) end
    while #connections < N do
      client:step(0)
      connections[#connections + 1] = listener:accept()
    end
    for _, connection in ipairs(connections) do
      connection:settimeout(0)
      local request = ""
      repeat
        client:step(0)
        local whole, _, part = connection:receive(4096)
        request = request .. (whole or part)
      until request:find("\r\n\r\n.*}$")
    end
    -- No timer of libcurl's is left then, which would read as well. (Without a descriptor it is never more than 0.02.)
    local settled = core.now() + 1
    repeat client:step(10) until client:timeout() > 1 or core.now() > settled
    for _, connection in ipairs(connections) do
      connection:send('HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{"code":200,"data":{"taskId":"abcdef"}}')
    end
    socket.sleep(6.5) -- the host does not step
    for _, transfer in ipairs(transfers) do
      while transfer:running() do client:step(0) end
      local reply, failure = transfer:result()
      assert.is_nil(failure)
      assert.equal("abcdef", reply.data.taskId)
    end
  end)
end)

describe("a sleeping step", function()
  -- What a step without sleep had no more time for ends at the start of the next one, which then must not sleep.
  it("is not slept through by a download that is too large", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = KEY }
    local folder, block = helper.folder(), ("x"):rep(4 * 1024 * 1024)
    finally(function()
      client:close()
      listener:close()
      helper.sweep()
    end)
    for round = 1, 60 do
      local sink = assert(core.sink(folder .. "/x.part"))
      local transfer = client:start("download", { url = ("http://127.0.0.1:%d/"):format(port), sink = sink,
        max_bytes = round * 32 * 1024 })
      for _ = 1, 3 do client:step(1) end
      local connection = assert(listener:accept())
      connection:settimeout(0)
      connection:send("HTTP/1.1 200 OK\r\n\r\n")
      connection:send(block) -- as much as the system takes
      for _ = 1, round % 4 + 1 do client:step(0) end
      while transfer:running() do
        local began = core.now()
        client:step(60000)
        assert.is_true(core.now() - began < 20) -- of 60
      end
      while client:take() do end
      local _, failure = transfer:result()
      assert.equal("too_large", failure.reason)
      sink:close()
      connection:close()
    end
  end)

  -- Each number of descriptors that a process may have left: what fails for want of one fails at once.
  it("is not slept through by what cannot begin for want of descriptors", function()
    local program = [[
      local core, socket = require "veo.core", require "socket"
      local listener = socket.bind("127.0.0.1", 0)
      local _, port = listener:getsockname()
      local client = core.new { base_url = "http://127.0.0.1:" .. port, api_key = "k", timeout = 1 }
      local sink = core.sink(arg[1] .. "/x.part")
      local held = {}
      for i = 1, 100 do held[i] = io.open("/dev/null") end
      for left = 0, 6 do
        for _, what in ipairs { "download", "save", "status" } do
          local transfer, failure
          if what == "download" then
            transfer, failure = client:start("download", { url = "http://127.0.0.1:" .. port .. "/", sink = sink },
              { timeout = 1 })
          elseif what == "save" then
            transfer, failure = client:start("save", { sink = sink, to = arg[1] .. "/x" .. left, overwrite = true })
          else
            transfer, failure = client:start("status", "a")
          end
          local began = core.now()
          while transfer and transfer:running() and core.now() - began < 60 do client:step(60000) end
          if core.now() - began > 20 then print("slept", what, left, core.now() - began) end
          while client:take() do end
          if transfer then transfer:result() end
        end
        if #held > 0 then table.remove(held):close() end
      end
      print "done"
    ]]
    local folder = helper.folder()
    finally(helper.sweep)
    helper.write(folder .. "/run.lua", program)
    assert.equal("done\n", helper.output(("ulimit -n 40; exec %s %s/run.lua %s"):format(helper.lua(), folder, folder)))
  end)
end)

describe("an exchange that takes too long", function()
  it("says so, whatever libcurl meets on the connection that is left", function()
    local server = fault.start { plain = { get = "hang" }, tls = { tls = true, alpn = "http/1.1", get = "hang" },
      h2 = { tls = true, h2_get = "hang" } }
    finally(function() server:stop() end)
    for name, url in pairs(server.url) do
      local client = core.new { base_url = url, api_key = KEY, ca_file = server.ca_file }
      for _ = 1, 2 do
        local _, failure = client:status("a", { timeout = 1.5 })
        assert.is_true(failure.timed_out, name)
        assert.matches("^timed out after 1.5 s", failure.message, name)
      end
      client:close()
    end
  end)
end)
