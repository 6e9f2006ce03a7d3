-- Files that come encoded though nobody asked for it, or are only said to: decoded, or as they are with a warning.

local gzip = require "veo.simulator.gzip"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CLIP = helper.read("lua/veo/simulator/clips/source.mp4")
local PACKED = gzip.pack(CLIP)

for _, kind in ipairs { "a file", "a function" } do
  describe("a Content-Encoding, of " .. kind .. ":", function()
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
      return client:download(sim.media_url .. "/media/clip/source.mp4", target, options)
    end
    local function assert_saved(content, requests, warned, file, err)
      if not file then error(err:explain()) end
      assert.is_true((helper.read(path) or table.concat(got)) == content, "other bytes than expected")
      assert.same(kind == "a file" and { "a.mp4" } or {}, helper.list(dir))
      assert.same({ requests, #content, warned }, { #media(), file.bytes, #warnings })
      for _, request in ipairs(media()) do assert.is_nil(request.headers["accept-encoding"]) end
    end
    local function encoded(name, body, more)
      local rule = { body = body, headers = { ["Content-Encoding"] = name, ETag = '"1"' } }
      for field, value in pairs(more or {}) do rule[field] = value end
      return rule
    end

    it("gzip is decoded", function()
      assert_saved(CLIP, 1, 0, fetch { encoded("gzip", PACKED) })
      assert.is_nil(media()[1].headers.range)
    end)

    it("gzip without a length is decoded", function()
      assert_saved(CLIP, 1, 0, fetch { encoded("gzip", PACKED, { chunked = true }) })
    end)

    it("a page that came packed is none", function()
      local _, err = fetch { encoded("gzip", gzip.pack("<html><body>no such file</body></html>")) }
      assert.equal("not_video", err.code)
      assert.same({}, helper.list(dir))
    end)

    for _, name in ipairs { "none", "identity" } do
      it(name .. " is no encoding", function() assert_saved(CLIP, 1, 0, fetch { encoded(name, CLIP) }) end)
    end

    for _, name in ipairs { "utf-8", "gzip", "gzip, aws-chunked", "aws-chunked" } do
      it(name .. " that is only said is a warning, and costs no try", function()
        assert_saved(CLIP, 2, 1, fetch({ encoded(name, CLIP) }, { attempts = 1 }))
        assert.matches(name, warnings[1], 1, true)
      end)
    end

    it("what cannot be decoded is taken as it is, with a warning", function()
      assert_saved(PACKED, 2, 1, fetch { encoded("gzip, aws-chunked", PACKED) })
      assert.matches("gzip, aws-chunked", warnings[1], 1, true)
    end)

    if kind == "a file" then
      it("a cut one is begun anew", function()
        assert_saved(CLIP, 2, 0, fetch { encoded("gzip", PACKED, { cut = math.floor(#PACKED / 2), times = 1 }),
          encoded("gzip", PACKED) })
        assert.is_nil(media()[2].headers.range)
      end)

      it("junk behind it is left away", function()
        assert_saved(CLIP, 2, 0, fetch { encoded("gzip", PACKED .. "junk") })
      end)

      it("two streams, of which one is decoded, are taken as they are, with a warning", function()
        local packed = gzip.pack(CLIP:sub(1, 5000)) .. gzip.pack(CLIP:sub(5001))
        assert_saved(packed, 3, 1, fetch { encoded("gzip", packed) })
      end)

      it("one that is taken as it is goes on where it was cut", function()
        local cut = encoded("utf-8", CLIP, { cut = 5000, times = 1 })
        local rest = encoded("utf-8", CLIP:sub(5001), { http = 206 })
        rest.headers["Content-Range"] = ("bytes 5000-%d/%d"):format(#CLIP - 1, #CLIP)
        assert_saved(CLIP, 3, 1, fetch { encoded("utf-8", CLIP, { times = 1 }), cut, rest })
      end)

      it("a step without sleep decodes as well", function()
        sim:script { { on = "media", body = PACKED, headers = { ["Content-Encoding"] = "gzip" } } }
        local job = client:spawn(client.download, client, sim.media_url .. "/media/clip/source.mp4", path)
        helper.wait_until(function() return job:status() ~= "pending" end, function() client:step(0) end)
        assert_saved(CLIP, 1, 0, job:result())
      end)
    end
  end)
end
