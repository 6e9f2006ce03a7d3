-- What is a video and what is none, by its bytes; and what becomes of that.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local function box(name, content)
  return string.pack and string.pack(">I4", #content + 8) .. name .. content
    or string.char(0, 0, math.floor((#content + 8) / 256), (#content + 8) % 256) .. name .. content
end

describe("download, by the content:", function()
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

  local function url() return sim.media_url .. "/media/blob/1000000/a.mp4" end
  local function media() return sim:requests { endpoint = "media" } end
  local function serve(body, more)
    local rule = { on = "media", body = body }
    for name, value in pairs(more or {}) do rule[name] = value end
    sim:script { rule }
  end

  for _, name in ipairs { "ftyp", "styp", "wide", "free", "skip", "moov", "mdat", "pnot" } do
    it("a first box named " .. name .. " makes a video", function()
      local body = box(name, ("\0\1\2\3"):rep(10)) .. box("mdat", "x")
      serve(body)
      assert(client:download(url(), path))
      assert.is_true(helper.read(path) == body)
      local got = ""
      assert(client:download(url(), function(chunk) got = got .. chunk end))
      assert.is_true(got == body)
    end)
  end

  it("WebM is a video", function()
    local body = "\26\69\223\163\1\0\0\0\0\0\0\31\66\134\129\1" .. ("\0\255"):rep(500)
    serve(body)
    assert(client:download(url(), path))
    assert.is_true(helper.read(path) == body)
    assert.same({ "a.mp4" }, helper.list(dir))
  end)

  local texts = { JSON = '{"code":404}', XML = '<?xml version="1.0"?><Error/>', plain = ("no\r\n\tfile\n"):rep(300),
    UTF8 = "\239\187\191<html>\195\164</html>", UTF16 = "\255\254<\0h\0t\0m\0l\0>\0", page = "<!DOCTYPE html><p>gone" }
  for name, body in pairs(texts) do
    it("text is none, and nothing is left of it: " .. name, function()
      serve(body)
      local file, err = client:download(url(), path)
      assert.same({ nil, "not_video" }, { file, err.code })
      assert.is_string(err.excerpt)
      assert.same({}, helper.list(dir))
    end)
  end

  describe("what is neither", function()
    local body = "RIFF\0\1\0\0AVI LIST" .. ("\0\1\2\3\255"):rep(1000)

    it("stays in the .part, and the error says so", function()
      serve(body, { content_type = "application/octet-stream" })
      local file, err = client:download(url(), path)
      assert.same({ nil, "not_video" }, { file, err.code })
      assert.matches(path .. ".part", err.message, 1, true)
      assert.is_true(helper.read(path .. ".part") == body)
      assert.is_nil(helper.read(path))
    end)

    it("is asked for again by the next download, which saves what is a video by then", function()
      serve(body, { headers = { ETag = '"1"' } })
      assert.equal("not_video", select(2, client:download(url(), path)).code)
      sim:script {}
      local before = #media()
      assert(client:download(url(), path))
      assert.equal(1, #media() - before)
      assert.equal(1000000, #helper.read(path))
      assert.same({ "a.mp4" }, helper.list(dir))
    end)
  end)

  describe("a file that is too large", function()
    it("keeps what came of it, and goes on from there under a larger cap", function()
      sim:script { { on = "media", chunked = true } }
      local _, err = client:download(url(), path, { max_bytes = 500000 })
      assert.equal("too_large", err.code)
      assert.matches(path .. ".part", err.message, 1, true)
      local had = #helper.read(path .. ".part")
      assert.is_true(had > 0 and had <= 500000)
      sim:script {}
      assert.equal(had, assert(client:download(url(), path, { max_bytes = 1000000 })).resumed)
      assert.is_true(helper.read(path) == require("veo.simulator.blob").bytes(0, 999999, "a"))
      assert.same({ "a.mp4" }, helper.list(dir))
    end)

    it("has 8 GiB at most where its length is unknown and no cap is given", function()
      sim:script { { on = "media", chunked = true, cut = 100000, times = 1 }, { on = "media", close = "unanswered" } }
      assert.is_nil((client:download(url(), path, { attempts = 1 })))
      local size = 8 * 1024 ^ 3 - 100
      os.execute(("truncate -s %.0f %s.part"):format(size, path)) -- a hole, which takes no room
      local function rest(most, total)
        local range = ("bytes %.0f-%.0f/%s"):format(size, size + 999, total)
        serve(("x"):rep(1000), { http = 206, headers = { ["Content-Range"] = range, ETag = '"blob-1000000-a"' } })
        return select(2, client:download(url(), path, { max_bytes = most, attempts = 1 }))
      end
      local err = rest(nil, "*")
      assert.equal("too_large", err.code)
      assert.matches("8 GiB", err.message)
      assert.matches(path .. ".part", err.message, 1, true)
      os.execute(("truncate -s %.0f %s.part"):format(size, path))
      assert.is_nil(rest(nil, ("%.0f"):format(size + 1000)))
      assert.equal(size + 1000, assert(io.open(path)):seek "end")
    end)
  end)
end)
