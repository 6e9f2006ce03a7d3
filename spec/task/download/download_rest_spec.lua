-- What comes in answer to a request for the rest of a file: it is put behind what is here only when it can be that, and
-- what is here is not given up for anything else.

local gzip = require "veo.simulator.gzip"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CLIP = helper.read("lua/veo/simulator/clips/source.mp4")
local HAD = 5000
local TAG = { ETag = '"1"' }

for _, kind in ipairs { "a file", "a function" } do
  describe("the rest of " .. kind .. ":", function()
    local is_file = kind == "a file"
    local sim, client, dir, path, got

    setup(function() sim = simulator.start { speed = 1000, rate = false } end)
    teardown(function() sim:stop() end)
    before_each(function()
      sim:reset()
      client = helper.client(sim, { retry = { attempts = 3, base = 0.01, max = 0.05 } })
      dir = helper.folder()
      path, got = dir .. "/a.mp4", {}
    end)
    after_each(function()
      client:close()
      helper.sweep()
    end)

    local function fetch(rules)
      for _, rule in ipairs(rules) do rule.on = "media" end
      sim:script(rules)
      return client:download(sim.media_url .. "/media/clip/source.mp4", is_file and path
        or function(chunk) got[#got + 1] = chunk end)
    end
    local function begun(rule)
      return { { body = CLIP, cut = HAD, times = 1, headers = TAG }, rule, { body = CLIP, headers = TAG } }
    end
    local function rest(body, total, more)
      local headers = { ETag = '"1"', ["Content-Range"] = ("bytes %d-%d/%d"):format(HAD, total - 1, total) }
      for name, value in pairs(more or {}) do headers[name] = value end
      return { http = 206, body = body, headers = headers }
    end
    local function once(rule)
      rule.times = 1
      return rule
    end
    local function assert_whole(requests, file, err)
      if not file then error(err:explain()) end
      assert.is_true((is_file and helper.read(path) or table.concat(got)) == CLIP, "other bytes than were sent")
      assert.same({ requests, requests }, { file.requests, #sim:requests { endpoint = "media" } })
    end
    local function assert_kept(code, file, err)
      assert.same({ nil, code }, { file, err.code })
      assert.is_true((is_file and helper.read(path .. ".part") or table.concat(got)) == CLIP:sub(1, HAD),
        "not what came")
    end

    for name, rule in pairs {
      ["the whole file"] = { body = gzip.pack(CLIP), headers = { ETag = '"1"', ["Content-Encoding"] = "gzip" } },
      ["a range"] = rest(gzip.pack(CLIP:sub(HAD + 1)), #CLIP, { ["Content-Encoding"] = "gzip" }),
      ["a range of the encoded file"] = rest(gzip.pack(CLIP):sub(HAD + 1), #gzip.pack(CLIP),
        { ["Content-Encoding"] = "gzip" }),
    } do
      it(name .. ", encoded, is not put behind bytes that are not", function()
        if is_file then
          assert_whole(3, fetch(begun(once(rule))))
          assert.is_nil(sim:requests { endpoint = "media" }[3].headers.range)
        else
          rule.times = nil
          assert_kept("changed", fetch(begun(rule)))
        end
      end)
    end

    it("more than there is of the file is none of it", function()
      local file, err = fetch(begun(once(rest(CLIP:sub(HAD + 1) .. "more", #CLIP))))
      if is_file then return assert_whole(3, file, err) end
      assert.same({ nil, "changed", 2 }, { file, err.code, err.attempts })
    end)

    it("nothing at all is asked for again", function()
      assert_whole(3, fetch { { body = CLIP, cut = HAD, times = 1, headers = TAG },
        { body = "", headers = TAG, times = 1 }, rest(CLIP:sub(HAD + 1), #CLIP) })
    end)

    it("a text leaves what is here alone", function()
      assert_kept("not_video", fetch(begun { body = "Service temporarily unavailable" }))
    end)

    it("another length is another file, under the same ETag too", function()
      local file, err = fetch(begun(once(rest(CLIP:sub(HAD + 1) .. "more", #CLIP + 4))))
      if is_file then return assert_whole(3, file, err) end
      assert_kept("changed", file, err)
    end)

    it("a file of which there is no byte is none", function()
      local file, err = fetch { { http = 416, body = "", headers = { ["Content-Range"] = "bytes */0" } } }
      assert.same({ nil, "server" }, { file, err and err.code })
    end)

    it("bytes that no text has make no page, whatever they begin with", function()
      local bytes = ("{\0\1\2"):rep(1000)
      local _, err = fetch { { body = bytes } }
      assert.same({ "not_video", is_file and bytes or nil }, { err.code, helper.read(path .. ".part") })
    end)
  end)
end
