-- Ranges as servers give them: from an earlier byte, shorter than asked, without a total, refused when all is there. The
-- file is whole or the download fails, after a bounded number of requests.

local blob = require "veo.simulator.blob"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local SIZE = 1000000
local MOST = 60 -- requests of a download that would go on without end

for _, kind in ipairs { "a file", "a function" } do
  describe("ranges, into " .. kind .. ":", function()
    local sim, client, dir, got

    setup(function() sim = simulator.start { speed = 1000, rate = false } end)
    teardown(function() sim:stop() end)
    before_each(function()
      sim:reset()
      client = helper.client(sim)
      dir = helper.folder()
      got = {}
    end)
    after_each(function()
      client:close()
      helper.sweep()
    end)

    local function media() return sim:requests { endpoint = "media" } end

    -- One that goes on without end is ended.
    local function fetch(rules, options)
      for _, rule in ipairs(rules) do rule.on = "media" end
      sim:script(rules)
      local target = kind == "a file" and dir .. "/a.mp4" or function(chunk) got[#got + 1] = chunk end
      local job = client:spawn(client.download, client, ("%s/media/blob/%d/a.mp4"):format(sim.media_url, SIZE), target,
        options)
      helper.step_until(client, function() return job:status() ~= "pending" or #media() > MOST end)
      return job:result()
    end

    local function assert_whole(requests, file, err)
      if not file then error(err and err:explain() or "without end") end
      local bytes = kind == "a file" and helper.read(dir .. "/a.mp4") or table.concat(got)
      assert.is_true(bytes == blob.bytes(0, SIZE - 1, "a"), "other bytes than were sent")
      assert.same(kind == "a file" and { "a.mp4" } or {}, helper.list(dir))
      assert.same({ SIZE, requests, requests }, { file.bytes, file.requests, #media() })
    end

    it("a part that begins before the byte asked for is taken", function()
      assert_whole(3, fetch { { cut = 300000, times = 2, align = 65536 }, { align = 65536 } })
      assert.equal("bytes=300000-", media()[2].headers.range)
    end)

    it("parts that never get past what is there end the download", function()
      local file, err = fetch({ { cut = 120000, times = 1 }, { cut = 10000, align = 65536 } }, { attempts = 3 })
      assert.same({ nil, "network" }, { file, err.code })
      assert.equal(4, err.attempts)
    end)

    it("parts that are shorter than asked for are put together, at once", function()
      local pauses = {}
      client:close()
      client = helper.client(sim, { log = function(event)
        if event.event == "retry" then pauses[#pauses + 1] = event.delay > 0 end
      end })
      assert_whole(8, fetch { { cut = 300000, times = 1 }, { piece = 100000 } })
      assert.same({ true, false, false, false, false, false, false }, pauses)
    end)

    it("a part without a total ends where an earlier answer said", function()
      assert_whole(2, fetch { { cut = 300000, times = 1 }, { untold = true } })
    end)

    it("parts without a total, of a file without a length, are asked for until there are no more", function()
      assert_whole(3, fetch { { cut = 300000, times = 1, chunked = true }, { untold = true } })
      sim:reset()
      os.remove(dir .. "/a.mp4")
      got = {}
      assert_whole(6, fetch { { cut = 300000, times = 1, chunked = true }, { untold = true, piece = 200000 } })
    end)

    it("a part is none of all though nobody asked for one", function()
      assert_whole(2, fetch { { http = 206, times = 1, body = blob.bytes(0, 299999, "a"),
        headers = { ["Content-Range"] = "bytes 0-299999/" .. SIZE, ETag = ('"blob-%d-a"'):format(SIZE) } } })
    end)

    it("a 416 that names the length that is there is the end", function()
      assert_whole(2, fetch { { cut = SIZE, chunked = true, times = 1 } })
      assert.equal(416, media()[2].http)
    end)

    it("a 416 that names no length is one as well", function()
      assert_whole(2, fetch { { cut = SIZE, chunked = true, times = 1 }, { http = 416, body = "" } })
    end)

    it("a part of another file is not taken, whatever it is said to be a part of", function()
      local function other(from, etag)
        return { http = 206, times = 1, body = blob.bytes(from, SIZE - 1, "b"),
          headers = { ["Content-Range"] = ("bytes %d-%d/%d"):format(from, SIZE - 1, SIZE), ETag = etag } }
      end
      assert_whole(3, fetch { { cut = 300000, times = 1 }, other(300000, '"b"') })
      if kind == "a file" then
        sim:reset()
        os.remove(dir .. "/a.mp4")
        assert_whole(3, fetch { { cut = 300000, times = 1 }, other(262144) }) -- the bytes that are there tell
      end
    end)
  end)
end

describe("ranges of a file without ETag and date", function()
  local sim, client, dir, path

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
    dir = helper.folder()
    path = dir .. "/a.mp4"
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function fetch(...)
    sim:script { ... }
    return client:download(("%s/media/blob/%d/a.mp4"):format(sim.media_url, SIZE), path)
  end

  it("begin before the end of what is there, which has to come again", function()
    local file = assert(fetch({ on = "media", cut = 300000, times = 1, etag = false }, { on = "media", etag = false }))
    assert.is_true(helper.read(path) == blob.bytes(0, SIZE - 1, "a"))
    assert.equal(2, file.requests)
    local second = sim:requests { endpoint = "media" }[2]
    assert.same({ "bytes=234464-", nil }, { second.headers.range, second.headers["if-range"] })
  end)

  it("are of another file when that has other bytes there", function()
    assert(fetch({ on = "media", cut = 300000, times = 1, etag = false },
      { on = "media", http = 206, times = 1, body = blob.bytes(234464, SIZE - 1, "b"),
        headers = { ["Content-Range"] = ("bytes 234464-%d/%d"):format(SIZE - 1, SIZE) } },
      { on = "media", etag = false }))
    assert.is_true(helper.read(path) == blob.bytes(0, SIZE - 1, "a"))
    assert.equal(3, #sim:requests { endpoint = "media" })
  end)
end)
