-- The receiver: one program submits, receives and saves; whoever else calls gets short answers.

local helper = require "spec.support.helper"
local raw = require "spec.support.raw"
local receivers = require "veo.receiver"
local simulator = require "veo.simulator"
local socket = require "socket"

local KEY = "whsec-42"

describe("veo.receiver", function()
  local sim, client, receiver, seen, dir

  setup(function() sim = simulator.start { speed = 1000, rate = false, webhook_key = KEY } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    dir = helper.folder()
    client = helper.client(sim, { webhook_key = KEY, wait = { first = 60, interval = 60, max_interval = 60 } })
    seen = {}
    receiver = assert(receivers.new { client = client, on_status = function(status, event)
      seen[#seen + 1] = { status = status, event = event }
    end })
  end)
  after_each(function()
    receiver:close()
    client:close()
  end)

  local function order(prompt)
    return client:spawn(function()
      local task = assert(client:extend { taskId = sim.source, prompt = prompt or "x", callBackUrl = receiver.url })
      local status = assert(client:wait(task))
      return assert(client:download(status, dir .. "/" .. status.taskId .. ".mp4"))
    end)
  end

  it("one program submits, receives and saves", function()
    local jobs = {}
    for i = 1, 5 do jobs[i] = order() end
    local began = helper.now()
    assert(receiver:run())
    assert.is_true(helper.now() - began < 20) -- of 60
    for i = 1, 5 do assert(jobs[i]:result()) end
    assert.equal(5, #helper.list(dir))
    assert.equal(5, #seen)
    for _, entry in ipairs(sim:callbacks()) do assert.equal(200, entry.http) end
    assert.same({}, sim:violations())
  end)

  it("missing: polling is the safety net", function()
    receiver:close()
    client:close()
    client = helper.client(sim, { webhook_key = KEY })
    receiver = assert(receivers.new { client = client })
    local job = order "[sim:callback skip_callback=true] x"
    assert(receiver:run())
    assert(job:result())
    assert.equal(0, #sim:callbacks())
  end)

  it("duplicated: handled once, answered with success every time", function()
    local job = order "[sim:callback repeats=3] x"
    assert(receiver:run())
    assert(job:result())
    receiver:run(0.3)
    assert.equal(3, #sim:callbacks())
    for _, entry in ipairs(sim:callbacks()) do assert.equal(200, entry.http) end
  end)

  for forge, why in pairs { signature = "wrong", timestamp = "old", none = "missing" } do
    it("forged, its signature " .. why .. ": 401, and nothing is believed", function()
      sim:call_back(sim.source, { forge = forge }, receiver.url)
      receiver:run(0.4)
      assert.equal(401, sim:callbacks()[1].http)
      assert.equal(0, sim:count("GET", helper.STATUS))
      assert.same({}, seen)
    end)
  end

  it("late: after its program forgot the task", function()
    sim:call_back(sim.source, { snake = true, no_info = true }, receiver.url)
    receiver:run(0.3)
    assert.equal(200, sim:callbacks()[1].http)
    assert.same({ sim.source, "succeeded" }, { seen[1].status.taskId, seen[1].status.state })
  end)

  it("lets the service try again while the record cannot be read", function()
    sim:script { { on = "status", code = 500, times = 4 } }
    sim:call_back(sim.source, {}, receiver.url)
    receiver:run(1)
    local codes = {}
    for i, entry in ipairs(sim:callbacks()) do codes[i] = entry.http end
    assert.same({ 500, 200 }, codes)
  end)

  -- Requests by hand, from another process, while the loop runs here.
  local function ask(arguments)
    local file = os.tmpname()
    os.execute(("curl -s -o /dev/null -w '%%{http_code}' -m 60 %s > %s 2>/dev/null &"):format(arguments, file))
    helper.wait_until(function() return #(helper.read(file) or "") >= 3 end, function() receiver:run(0.05) end)
    local code = helper.read(file)
    os.remove(file)
    return code
  end

  it("answers everybody else shortly", function()
    local base = receiver.url:match "^http://[^/]+"
    assert.equal("405", ask(receiver.url))
    assert.equal("404", ask("-d x " .. base .. "/other"))
    assert.equal("400", ask("-d x " .. receiver.url))
    assert.equal("401", ask([[-d '{"data":{"taskId":"t"}}' ]] .. receiver.url))
    assert.equal("401", ask([[-H 'Transfer-Encoding: chunked' -d '{"data":{"taskId":"t"}}' ]] .. receiver.url))
    helper.write(dir .. "/big", ("x"):rep(1100000))
    assert.equal("413", ask("--data-binary @" .. dir .. "/big " .. receiver.url))
    assert.equal("413", ask("-H 'X: " .. ("x"):rep(30000) .. "' -d x " .. receiver.url))
  end)

  -- What a request by hand is answered, byte for byte.
  local function send(...)
    local connection = raw.connect(receiver.url)
    for _, piece in ipairs { ... } do
      connection:send(piece)
      receiver:run(0.05)
    end
    local reply = connection:read()
    connection:close()
    return reply and reply.status
  end

  it("takes no odd length for a number, and goes on", function()
    local head = "POST /veo/callback HTTP/1.1\r\n"
    for _, length in ipairs { "1.5", "1e1", "0x4", "-3", "", "nan" } do
      assert.equal(400, send(head .. "Content-Length: " .. length .. "\r\n\r\nabcdef"))
    end
    local chunked = head .. "Transfer-Encoding: chunked\r\n\r\n"
    for _, size in ipairs { "8000000000000000", "ffffffffffffffff", "fffffffffffffff0", "000000001", "g" } do
      assert.equal(400, send(chunked .. size .. "\r\nabc\r\n"))
    end
    assert.equal(413, send(chunked .. "ffffffff\r\nabc"))
    local code = send(chunked .. "8;x=y\r\n{\"data\":\r\n", "f\r\n{\"taskId\":\"t\"}}", "\r\n0\r", "\nX: y\r\n\r\n")
    assert.equal(401, code)
    assert.equal("405", ask(receiver.url))
  end)

  it("takes nothing whose end can be told in two ways, and no head that is none", function()
    local head, body = "POST /veo/callback HTTP/1.1\r\n", '{"data":{"taskId":"t"}}'
    local length = "Content-Length: " .. #body .. "\r\n"
    assert.equal(401, send(head .. length .. "\r\n" .. body))
    for _, more in ipairs { "Content-Length: 5\r\n", length, "Transfer-Encoding: chunked\r\n", "X : y\r\n", " X: y\r\n",
      "X: \0\r\n", "no colon\r\n", ": y\r\n", "X: y\n", "X\127: y\r\n" } do
      assert.equal(400, send(head .. length .. more .. "\r\n" .. body), more)
    end
    for _, coding in ipairs { "gzip", "chunked, chunked", "identity", "xchunked", "" } do
      assert.equal(400, send(head .. "Transfer-Encoding: " .. coding .. "\r\n\r\n0\r\n\r\n"), coding)
    end
    assert.equal(411, send(head .. "\r\n" .. body))
    assert.equal(413, send(head .. ("X: y\r\n"):rep(101) .. length .. "\r\n" .. body))
    assert.equal(400, send("POST  /veo/callback HTTP/1.1\r\n" .. length .. "\r\n" .. body))
  end)

  it("goes on while no descriptor is left", function()
    helper.write(dir .. "/few.lua", [[
      local client = require "veo".new { api_key = "k", base_url = "http://127.0.0.1:1", webhook_key = "w" }
      local receiver = assert(require "veo.receiver".new { client = client })
      local cqueues, ticks, held = require "cqueues", 0, {}
      receiver.loop:wrap(function() while true do cqueues.sleep(0.05) ticks = ticks + 1 end end)
      receiver:run(0.2)
      repeat held[#held + 1] = io.open "/dev/null" until not held[64]
      os.execute(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; sleep 1' &"):format(receiver.port))
      local seen = ticks
      repeat receiver:run(0.1) until ticks > seen + 10
      print(true)]])
    assert.matches("true\n$", helper.output(("ulimit -n 60; timeout 60 %s %s/few.lua"):format(helper.lua(), dir)))
  end)

  it("is not held up by connections that say nothing", function()
    local silent = {}
    for i = 1, 5 do silent[i] = raw.connect(receiver.url) end
    local job = order()
    helper.wait_until(function() return job:status() ~= "pending" end, function() receiver:run(0.1) end)
    assert(job:result())
    for _, connection in ipairs(silent) do
      connection.sock:settimeout(0)
      assert.equal("timeout", select(2, connection.sock:receive(1))) -- it is open still, so nobody waited for its end
      connection:close()
    end
  end)

  it("is reached past any number of connections that say nothing", function()
    local silent = {}
    local job = order()
    for i = 1, 200 do silent[i] = raw.connect(receiver.url) end
    local began = helper.now()
    helper.wait_until(function() return job:status() ~= "pending" end, function() receiver:run(0.1) end)
    assert.is_true(receiver.listener.connections <= 66, receiver.listener.connections)
    assert.equal("done", job:status())
    assert.is_true(helper.now() - began < 20) -- of 60
    assert.equal(1, #seen)
    for _, entry in ipairs(sim:callbacks()) do assert.equal(200, entry.http) end
    for _, connection in ipairs(silent) do connection:close() end
  end)

  it("answers a burst of more than it serves at once", function()
    local calls = {}
    for i = 1, 100 do
      calls[i] = raw.connect(receiver.url)
      calls[i]:send "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    end
    local sockets = {}
    for i, call in ipairs(calls) do sockets[i] = call.sock end
    helper.wait_until(function() return #socket.select(sockets, nil, 0) == 100 end, function() receiver:run(0.1) end)
    for _, call in ipairs(calls) do
      assert.equal(404, assert(call:read()).status)
      call:close()
    end
  end)

  it("closed within a loop of the host's, leaves that alone", function()
    local cqueues = require "cqueues"
    local loop, ticks = cqueues.new(), 0
    local guest = assert(receivers.new { client = client, loop = loop })
    loop:wrap(function()
      cqueues.sleep(0.05)
      guest:close()
      for _ = 1, 5 do
        cqueues.sleep(0.02)
        ticks = ticks + 1
      end
    end)
    assert(loop:loop())
    assert.equal(5, ticks)
  end)

  it("runs in a loop that is there already", function()
    local cqueues = require "cqueues"
    local loop = cqueues.new()
    local other = assert(receivers.new { client = client, loop = loop })
    local ticks, job = 0, nil
    loop:wrap(function()
      local task = assert(client:extend { taskId = sim.source, prompt = "x", callBackUrl = other.url })
      job = client:spawn(function() return client:wait(task) end)
      while job:status() == "pending" do
        cqueues.sleep(0.01)
        ticks = ticks + 1
      end
      other:close()
    end)
    local deadline = helper.now() + helper.PATIENCE
    while (not job or job:status() == "pending") and helper.now() < deadline do assert(loop:step(0.1)) end
    assert.equal("succeeded", assert(job:result()).state)
    assert.is_true(ticks > 0)
  end)

  it("says when it cannot listen, and misuse raises", function()
    local none, err = receivers.new { client = client, port = receiver.port }
    assert.is_nil(none)
    assert.equal("io", err.code)
    assert.error_matches(function() receivers.new { port = 1 } end, "client: a client expected")
    local file, _, message = helper.raised(function() receivers.new { client = client, prot = 1 } end)
    assert.equal("receiver_spec.lua", file) -- at the caller's line
    assert.matches("unknown option prot (did you mean port?)", message, 1, true)
    assert.error_matches(function() receivers.new { client = client, port = "1" } end,
      "port: given a string, expected a number")
    assert.error_matches(function() receivers.new { client = client, path = "x" } end, "begins with a slash")
  end)
end)

describe("examples/receiver.lua", function()
  it("runs as it stands: submits, receives, saves", function()
    local folder = helper.folder()
    local said = helper.output(("VEO_SIMULATE=1 %s examples/receiver.lua %s/a.mp4; echo status $?"):format(helper.lua(),
      folder))
    assert.matches("callback:  task %S+ succeeded", said)
    assert.matches("status 0\n$", said)
    assert.same({ "a.mp4" }, helper.list(folder))
    helper.sweep()
  end)
end)
