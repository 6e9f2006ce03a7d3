-- A file whose length nobody tells is whole when its boxes say so; one of a length that was told is saved in any case.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CLIP = helper.read("lua/veo/simulator/clips/source.mp4")

local function u32(n)
  return string.char(math.floor(n / 2 ^ 24) % 256, math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
end
local function box(name, content) return u32(#content + 8) .. name .. content end
local FTYP, MOOV, MDAT = box("ftyp", "isom\0\0\2\0"), box("moov", ("\0\1"):rep(50)), box("mdat", ("\0\2"):rep(500))

for _, kind in ipairs { "a file", "a function" } do
  describe("verify, of " .. kind .. ":", function()
    local sim, client, dir, path, got, warnings

    setup(function() sim = simulator.start { speed = 1000, rate = false } end)
    teardown(function() sim:stop() end)
    before_each(function()
      sim:reset()
      warnings = {}
      client = helper.client(sim, { log = function(event)
        if event.event == "warning" then warnings[#warnings + 1] = event.message end
      end })
      dir = helper.folder()
      path, got = dir .. "/a.mp4", {}
    end)
    after_each(function()
      client:close()
      helper.sweep()
    end)

    local function media() return sim:requests { endpoint = "media" } end
    local function fetch(rules, options)
      for _, rule in ipairs(rules) do rule.on = "media" end
      sim:script(rules)
      local target = kind == "a file" and path or function(chunk) got[#got + 1] = chunk end
      return assert(client:download(sim.media_url .. "/media/clip/source.mp4", target, options))
    end
    local function assert_saved(file, content, requests, verified, warned)
      assert.is_true((helper.read(path) or table.concat(got)) == content, "other bytes than were sent")
      assert.same(kind == "a file" and { "a.mp4" } or {}, helper.list(dir))
      assert.same({ requests, #content, verified, warned }, { #media(), file.bytes, file.verified, #warnings })
    end

    describe("without a length", function()
      for _, etag in ipairs { true, false } do
        it("a cut box is gone on with" .. (etag and "" or ", also without ETag and date"), function()
          local tag = nil
          if not etag then tag = false end
          local file = fetch { { until_close = true, cut = 5000, times = 1, etag = tag }, { etag = tag } }
          if kind == "a function" and not etag then return assert_saved(file, CLIP:sub(1, 5000), 1, false, 1) end
          assert_saved(file, CLIP, 2, true, 0)
          assert.equal(etag and "bytes=5000-" or nil, media()[2].headers.range)
        end)
      end

      it("every cut is gone on from", function()
        local pieces = math.ceil(#CLIP / 3000)
        assert_saved(fetch { { until_close = true, cut = 3000, untold = true } }, CLIP, pieces, true, 0)
      end)

      it("a file that ends before its index is gone on with, though no box is cut", function()
        local whole, had = FTYP .. MDAT .. MOOV, #FTYP + #MDAT
        local file = fetch { { until_close = true, body = FTYP .. MDAT, times = 1, headers = { ETag = '"1"' } },
          { http = 206, body = MOOV, headers = { ["Content-Range"] = ("bytes %d-%d/*"):format(had, #whole - 1) } } }
        assert_saved(file, whole, 2, true, 0)
      end)

      it("the same end twice is the end, and a warning", function()
        local cut, tag = CLIP:sub(1, 5000), { ETag = '"1"' }
        for _, second in ipairs { { until_close = true, body = cut, headers = tag },
          { chunked = true, body = cut, headers = tag },
          { http = 416, body = "", headers = { ["Content-Range"] = "bytes */5000" } }, { http = 416, body = "" } } do
          sim:reset()
          warnings = {}
          os.remove(path)
          got = {}
          local file = fetch({ { until_close = true, body = cut, times = 1, headers = tag }, second })
          assert_saved(file, cut, 2, false, 1)
          assert.matches("may not be whole", warnings[1])
        end
      end)

      it("a whole one is asked for once", function()
        for _, rule in ipairs { { until_close = true }, { chunked = true } } do
          sim:reset()
          os.remove(path)
          got = {}
          assert_saved(fetch { rule }, CLIP, 1, true, 0)
        end
      end)

      it("nobody can say of a last box without a size where it ends", function()
        local body = FTYP .. MOOV .. "\0\0\0\0mdat" .. ("\3"):rep(999)
        assert_saved(fetch { { until_close = true, body = body } }, body, 1, nil, 0)
      end)

      it("WebM, and whatever has no boxes, is taken as it comes", function()
        local body = "\26\69\223\163\159\66\134\129" .. ("\0\1"):rep(500)
        assert_saved(fetch { { until_close = true, body = body } }, body, 1, nil, 0)
      end)

      it("nothing is looked at with verify = false", function()
        assert_saved(fetch({ { until_close = true, cut = 5000 } }, { verify = false }), CLIP:sub(1, 5000), 1, nil, 0)
      end)
    end)

    describe("with a length that was told", function()
      local fine = {
        ["a film"] = FTYP .. MOOV .. MDAT, ["its index last"] = FTYP .. MDAT .. MOOV,
        ["a last box of size 0"] = FTYP .. MOOV .. "\0\0\0\0mdat" .. ("\3"):rep(999),
        ["a box with 64 bits of size"] = FTYP .. MOOV .. u32(1) .. "mdat\0\0\0\0" .. u32(1016) .. ("\3"):rep(1000),
        ["zeros behind it"] = FTYP .. MOOV .. MDAT .. ("\0"):rep(1000),
        ["a few zeros"] = FTYP .. MOOV .. MDAT .. "\0\0\0",
        ["other padding"] = FTYP .. MOOV .. MDAT .. ("\255"):rep(500),
        ["blanks"] = FTYP .. MOOV .. MDAT .. ("   "):rep(50),
        ["fragments"] = FTYP .. MOOV .. (box("moof", ("\0"):rep(16)) .. box("mdat", "\0\1\2\3")):rep(3000),
        ["a segment"] = box("styp", "msdh\0\0\0\0") .. box("moof", ("\0"):rep(16)) .. MDAT,
      }
      for name, body in pairs(fine) do
        it("nothing is said of " .. name, function()
          assert_saved(fetch { { body = body } }, body, 1, true, 0)
        end)
      end

      local odd = {
        ["a cut box"] = FTYP .. MOOV .. MDAT:sub(1, -2), ["a cut head"] = FTYP .. MOOV .. "\0\0\1",
        ["a cut long head"] = FTYP .. MOOV .. u32(1) .. "mdat\0\0",
        ["no index"] = FTYP .. MDAT, ["no media"] = FTYP .. MOOV,
        ["no box where one should be"] = FTYP .. ("\0\1\2\3"):rep(500),
        ["a box of 7 bytes"] = FTYP .. u32(7) .. "moov" .. MDAT,
        ["a long box of 15 bytes"] = FTYP .. u32(1) .. "moov\0\0\0\0" .. u32(15) .. MDAT,
        ["a box of 2^63 bytes"] = FTYP .. MOOV .. u32(1) .. "mdat\127\255\255\255\255\255\255\255" .. ("\3"):rep(100),
      }
      for name, body in pairs(odd) do
        it("there is a warning of " .. name .. ", and it is saved", function()
          assert_saved(fetch { { body = body } }, body, 1, nil, 1)
          assert.matches("byte %d+", warnings[1])
        end)
      end
    end)
  end)
end

describe("verify", function()
  local sim, client, dir

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function() sim:stop() end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  it("looks at a file that a crash left without its name", function()
    client, dir = helper.client(sim), helper.folder()
    local name, path = sim.media_url .. "/media/clip/source.mp4", dir .. "/a.mp4"
    sim:script { { on = "media", cut = 5000, times = 1 }, { on = "media", close = "unanswered" } }
    assert.is_nil((client:download(name, path, { attempts = 1 })))
    helper.write(path .. ".part", CLIP)
    local file = assert(client:download(name, path))
    assert.same({ 0, true }, { file.requests, file.verified })
  end)

  it("says the same of bytes that come one by one", function()
    local boxes = require("veo.task.download.boxes").new()
    for i = 1, #CLIP do
      assert.equal("cut", boxes:look().boxes)
      boxes:feed(CLIP:sub(i, i))
    end
    assert.equal("whole", boxes:look().boxes)
    client, dir = helper.client(sim), helper.folder() -- for after_each
  end)
end)
