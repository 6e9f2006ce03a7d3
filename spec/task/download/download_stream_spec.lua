-- Downloads into a function: every byte once and in order, memory bounded, whatever the function does.

local blob = require "veo.simulator.blob"
local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local SIZE = 3000000

describe("a download into a function", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  local function url(size) return ("%s/media/blob/%d/s.mp4"):format(sim.media_url, size or SIZE) end
  local function media() return sim:requests { endpoint = "media" } end

  -- A sink that keeps everything.
  local function collector()
    local pieces = {}
    return function(chunk) pieces[#pieces + 1] = chunk end, function() return table.concat(pieces) end, pieces
  end
  local function expected(size) return blob.bytes(0, (size or SIZE) - 1, "s") end

  it("gets every byte in order", function()
    local sink, all = collector()
    local file = assert(client:download(url(), sink))
    assert.same({ SIZE, 1 }, { file.bytes, file.requests })
    assert.is_nil(file.path)
    assert.is_true(all() == expected())
  end)

  it("in pieces of bounded size", function()
    local sink, _, pieces = collector()
    assert(client:download(url(20000000), sink))
    for _, piece in ipairs(pieces) do assert.is_true(#piece <= 512 * 1024, #piece) end
  end)

  it("from a status, in a job, beside other jobs", function()
    local sink, all = collector()
    local job = client:spawn(function() return client:download(client:status(sim.source), sink) end)
    local beside = client:spawn(function() return client:credits() end)
    assert(client:run())
    assert.equal(sim.source, assert(job:result()).taskId)
    assert.is_number(beside:result())
    assert.equal("ftyp", all():sub(5, 8))
  end)

  it("goes on where it was when the connection is cut", function()
    sim:script { { on = "media", cut = "random", times = 5 } }
    local sink, all = collector()
    local file = assert(client:download(url(), sink))
    assert.equal(6, file.requests)
    assert.is_true(all() == expected())
    assert.is_string(media()[2].headers["if-range"])
  end)

  it("passes over what it has when the server knows no ranges", function()
    sim:script { { on = "media", cut = 700000, times = 2, ranges = false }, { on = "media", ranges = false } }
    local sink, all = collector()
    assert(client:download(url(), sink))
    assert.is_true(all() == expected())
  end)

  it("cannot go on when the file has changed, and says so", function()
    sim:script { { on = "media", cut = 700000, times = 1 }, { on = "media", etag = '"other"' } }
    local sink, all = collector()
    local file, err = client:download(url(), sink)
    assert.is_nil(file)
    assert.equal("changed", err.code)
    assert.is_true(all() == expected():sub(1, #all()))
  end)

  it("makes a dead link anew and goes on", function()
    local status = client:status(sim.source)
    sim:script { { on = "media", cut = 3000, times = 1 }, { on = "media", http = 403, times = 1 } }
    local sink, all = collector()
    local file = assert(client:download(status, sink))
    assert.equal(3, file.requests)
    assert.equal(file.bytes, #all())
  end)

  it("hands nothing on that is no video", function()
    for _, rule in ipairs { { form = "html" }, { body = "short" }, { body = "" } } do
      rule.on = "media"
      sim:script { rule }
      local calls = 0
      local file, err = client:download(url(), function() calls = calls + 1 end)
      assert.is_nil(file)
      assert.same({ "not_video", 0 }, { err.code, calls })
    end
  end)

  it("is ended by false, and the connection goes", function()
    local bytes = 0
    local file, err = client:download(url(100000000), function(chunk)
      bytes = bytes + #chunk
      return bytes < 1000000
    end)
    assert.is_nil(file)
    assert.equal("cancelled", err.code)
    assert.is_true(bytes < 3000000)
    assert.is_number(client:credits())
  end)

  it("stops at its cap", function()
    local bytes = 0
    local _, err = client:download(url(), function(chunk) bytes = bytes + #chunk end, { max_bytes = 1000000 })
    assert.equal("too_large", err.code)
    assert.is_true(bytes <= 1000000)
  end)

  it("tells its progress", function()
    local last
    assert(client:download(url(), function() end, { on_progress = function(...) last = { ... } end }))
    assert.same({ SIZE, SIZE, 0 }, { last[1], last[2], last[3].left })
  end)

  it("a function that waits slows the server down, and memory stays bounded", function()
    -- 100 MB are on offer; while the function sleeps the core holds its quarter of a MiB and no more.
    local calls = 0
    local job = client:spawn(function()
      return client:download(url(100000000), function()
        calls = calls + 1
        assert(client:sleep(0.1))
        return calls < 4
      end)
    end)
    local before = collectgarbage "count"
    assert(client:run())
    local _, err = job:result()
    assert.same({ "cancelled", 4 }, { err.code, calls })
    assert.is_true(collectgarbage "count" - before < 4096)
  end)

  it("a function may make calls of the client", function()
    local credits
    assert(client:download(url(), function() credits = credits or client:credits() end))
    assert.equal(10000, credits)
  end)

  it("an error in the function comes out as it is, and lets go of the transfer", function()
    local narrow = helper.client(sim, { max_downloads = 1 })
    local thrown = { "mine" }
    local ok, caught = pcall(function() narrow:download(url(), function() error(thrown) end) end)
    assert.is_false(ok)
    assert.equal(thrown, caught)
    local sink, all = collector()
    assert(narrow:download(url(), sink))
    assert.equal(SIZE, #all())
    narrow:close()
  end)

  it("is cut when its job is cancelled, even while the function waits", function()
    local narrow = helper.client(sim, { max_downloads = 1 })
    local calls = 0
    local job = narrow:spawn(function()
      narrow:download(url(100000000), function()
        calls = calls + 1
        narrow:sleep(60)
      end)
    end)
    helper.step_until(narrow, function() return calls == 1 end)
    assert.is_true(job:cancel())
    assert(narrow:download(url(1000), function() end)) -- the place is free again
    narrow:close()
  end)

  it("ends as closed when the client is closed meanwhile", function()
    local mine = helper.client(sim)
    local job = mine:spawn(function() return mine:download(url(100000000), function() mine:sleep(60) end) end)
    for _ = 1, 20 do mine:step(5) end
    mine:close()
    local _, err = job:result()
    assert.equal("closed", err.code)
  end)

  it("misuse raises", function()
    assert.error_matches(function() client:download(url(), 5) end, "a non%-empty file name, or a function, expected")
  end)
end)

describe("veo.core, a stream", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = core.new { base_url = sim.url, api_key = sim.api_key }
  end)
  after_each(function() client:close() end)

  local function start(more)
    local options = { url = sim.media_url .. "/media/blob/50000000/s.mp4", stream = 100000 }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(client:start("download", options))
  end
  local function idle(seconds)
    local deadline = core.now() + seconds
    repeat
      client:step(5)
      client:take()
    until core.now() > deadline
  end

  it("is handed out by take whenever bytes came, and pauses when nobody reads", function()
    local transfer = start()
    while client:step(1000) == 0 do end -- luacheck: ignore
    assert.equal(transfer, client:take())
    idle(0.1)
    local held = transfer:progress()
    assert.is_true(held <= 100000 + 65536)
    idle(0.1)
    assert.equal(held, transfer:progress())
    assert.equal(held, #transfer:read())
    idle(0.05)
    assert.is_true(transfer:progress() > held)
  end)

  it("does not spin while it is paused", function()
    start()
    idle(0.1)
    local turns, till = 0, core.now() + 0.1
    repeat
      client:step(1000)
      client:wake_at(core.now() + 0.05)
      turns = turns + 1
    until core.now() > till
    assert.is_true(turns < 20, turns)
  end)

  it("has no result while bytes wait to be read", function()
    local transfer = start { url = sim.media_url .. "/media/blob/5000/s.mp4" }
    idle(0.1)
    assert.is_false(transfer:result())
    assert.equal(5000, #transfer:read())
    assert.equal(5000, assert(transfer:result()).bytes)
    assert.is_nil(transfer:read())
  end)

  it("knows its headers early", function()
    local transfer = start()
    assert.is_nil(transfer:headers())
    local headers = helper.step_until(client, function() return transfer:headers() end)
    assert.same({ 50000000, '"blob-50000000-s"' }, { headers.total, headers.etag })
  end)

  it("can be cut, dropped and closed at any time", function()
    assert.is_true(start():cancel())
    local transfer = start()
    idle(0.05)
    assert.is_true(transfer:cancel())
    assert.is_nil(transfer:read())
    transfer = start()
    idle(0.05)
    client:close()
    assert.is_nil(transfer:read())
    local _, failure = transfer:result()
    assert.equal("closed", failure.reason)
  end)

  it("goes to a sink or is read, not both", function()
    local path = os.tmpname()
    assert.error_matches(function() start { sink = core.sink(path) } end, "one of the two")
    os.remove(path)
  end)
end)
