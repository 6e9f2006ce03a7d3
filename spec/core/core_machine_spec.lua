-- What the core knows of the machine: which file, which process, which boot; and the limit for a library that waits on a
-- socket without one.

local core = require "veo.core"
local helper = require "spec.support.helper"
local socket = require "socket"

describe("the core knows", function()
  teardown(helper.sweep)

  it("a file by what it is, not by its name", function()
    local folder = helper.folder()
    helper.write(folder .. "/a", "x")
    local a = core.identity(folder .. "/a")
    assert.matches("^%d+%.%d+$", a)
    os.execute(("ln %s/a %s/b; ln -s a %s/c; cp %s/a %s/d"):format(folder, folder, folder, folder, folder))
    assert.equal(a, core.identity(folder .. "/b"))
    assert.equal(a, core.identity(folder .. "/c"))
    assert.is_not.equal(a, core.identity(folder .. "/d"))
    assert.is_nil(core.identity(folder .. "/none"))
  end)

  it("which processes there are", function()
    assert.is_true(core.exists(core.pid()))
    assert.is_true(core.exists(1))
    local pid = tonumber(helper.output("sh -c 'echo $$'")) -- it has ended, and was waited for
    assert.is_false(core.exists(pid))
    assert.has_error(function() core.exists(0) end)
    assert.has_error(function() core.exists(-1) end)
  end)

  it("the time since boot", function()
    local before = core.boottime()
    assert.is_true(before > 0 and core.boottime() >= before)
  end)

  it("SHA-256", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.digest "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.digest "abc")
    for _, length in ipairs { 55, 56, 63, 64, 65, 119, 120, 1000 } do
      local text = helper.output(("head -c %d /dev/zero | sha256sum"):format(length))
      assert.equal(text:match "^%x+", core.digest(("\0"):rep(length)))
    end
  end)
end)

describe("a guard", function()
  local listener, port, client, server
  before_each(function()
    listener = assert(socket.bind("127.0.0.1", 0))
    local _, found = listener:getsockname()
    port = found
  end)
  after_each(function()
    for _, one in ipairs { listener, client, server } do one:close() end
    client, server = nil, nil
  end)
  local function connect()
    local guard = assert(core.guard())
    client = assert(socket.connect("127.0.0.1", port))
    return guard
  end

  it("ends a wait that has no limit of its own", function()
    local guard = connect()
    assert.is_true(guard:locate())
    server = listener:accept() -- says nothing
    local began = core.now()
    guard:arm(0.2)
    local _, why = client:receive(1)
    guard:disarm()
    guard:close()
    assert.equal("closed", why)
    local took = core.now() - began
    assert.is_true(took >= 0.19 and took < 20, took) -- of for ever
  end)

  it("leaves the connection alone when it is disarmed in time, however often", function()
    local guard = connect()
    assert.is_true(guard:locate())
    server = listener:accept()
    for i = 1, 200 do
      guard:arm(60)
      server:send(string.char(i % 256))
      assert.equal(string.char(i % 256), client:receive(1))
      guard:disarm()
    end
    guard:close()
    guard:close()
    guard:arm(0.01) -- of no connection any more
    server:send "x"
    assert.equal("x", client:receive(1))
  end)

  it("keeps no connection open that its library closed, and touches no other one", function()
    local guard = connect()
    assert.is_true(guard:locate())
    server = listener:accept()
    guard:arm(0.1)
    client:close()
    client = assert(socket.connect("127.0.0.1", port)) -- has the number of the closed one
    local other = listener:accept()
    socket.sleep(0.2)
    guard:close()
    other:send "x"
    assert.equal("x", client:receive(1))
    assert.equal("closed", select(2, server:receive(1)))
    other:close()
  end)

  it("does not guess between two new connections", function()
    local guard = connect()
    local second = assert(socket.connect("127.0.0.1", port))
    assert.is_false(guard:locate())
    server = listener:accept()
    second:close()
    guard:close()
  end)

  it("is collected while it is armed", function()
    local guard = connect()
    assert.is_true(guard:locate())
    server = listener:accept()
    guard:arm(60)
    guard = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    server:send "x"
    assert.equal("x", client:receive(1))
  end)
end)
