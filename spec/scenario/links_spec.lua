-- Links as the field has them: dead ones in all their forms, blocked clients, redirects that lead nowhere. Over plain
-- HTTP, and through nginx with TLS and HTTP/2.

local h2 = require "spec.support.h2"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local simulator = require "veo.simulator"

local XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>'
local DEAD = {
  ["ExpiredToken as XML"] = XML:format("ExpiredToken", "The provided token has expired."),
  ["AccessDenied as XML"] = XML:format("AccessDenied", "Request has expired"),
  ["XML behind a mark and a line"] = "\239\187\191\n" .. XML:format("AccessDenied", "Request has expired"),
  ["expired as JSON"] = '{"code":401,"msg":"Request has expired"}',
}
local OTHER = { ["a page"] = "<!DOCTYPE html><p>Welcome to the hotel's network", JSON = '{"data":null}' }

for name, start in pairs { ["plain HTTP"] = simulator.start, ["TLS and HTTP/2"] = h2.start } do
  needs.block(name == "TLS and HTTP/2" and "nginx", describe)("links over " .. name .. ":", function()
    local sim, client, folder, path

    setup(function() sim = start { speed = 10000, rate = false } end)
    teardown(function() sim:stop() end)
    before_each(function()
      sim:reset()
      client = helper.client(sim)
      folder = helper.folder()
      path = folder .. "/boat.mp4"
    end)
    after_each(function()
      client:close()
      helper.sweep()
    end)

    local function media() return sim:requests { endpoint = "media" } end
    local function whole() return sim.media_url .. "/media/clip/source.mp4" end

    local function saved()
      return assert(helper.boxes(helper.read(path)))[1] == "ftyp" and table.concat(helper.list(folder), " ")
    end

    for what, page in pairs(DEAD) do
      it("200 with " .. what .. " is a dead link, and costs no byte that has come", function()
        local status = assert(client:status(sim.source))
        sim:script { { on = "media", cut = 3000, times = 1 },
          { on = "media", body = page, times = 1, content_type = "video/mp4" } }
        local file = assert(client:download(status, path))
        assert.equal(3, file.requests)
        assert.equal("bytes=3000-", media()[3].headers.range)
        assert.equal("boat.mp4", saved())
        assert.equal(1, #sim:requests { endpoint = "download_url" })
      end)

      it("200 with " .. what .. " is a dead link for a function too", function()
        local status, pieces = assert(client:status(sim.source)), {}
        sim:script { { on = "media", body = page, times = 1 } }
        local file = assert(client:download(status, function(piece) pieces[#pieces + 1] = piece end))
        assert.equal(2, file.requests)
        assert.is_truthy(helper.boxes(table.concat(pieces)))
      end)

      it("200 with " .. what .. " says so where no task is known", function()
        sim:script { { on = "media", body = page } }
        for _, target in ipairs { path, function() error "called" end } do
          local _, err = client:download(whole(), target)
          assert.same({ "expired", 200, 1 }, { err.code, err.http_status, err.attempts })
          assert.matches("xpired", err.excerpt)
        end
        assert.same({}, helper.list(folder))
      end)
    end

    for what, page in pairs(OTHER) do
      it("200 with " .. what .. " that says nothing of the link: another link is tried", function()
        local status = assert(client:status(sim.source))
        sim:script { { on = "media", body = page, times = 1 } }
        assert.equal(2, assert(client:download(status, path)).requests)
        assert.equal("boat.mp4", saved())
        sim:script { { on = "media", body = page } }
        local _, err = client:download(status, folder .. "/b.mp4")
        assert.same({ "not_video", 200, sim.source }, { err.code, err.http_status, err.taskId })
        assert.same({ "boat.mp4" }, helper.list(folder))
      end)
    end

    it("what a page does not end is no dead link", function()
      for _, head in ipairs { "\60\0\0\8mdat", "{\0\0\8mdat", "\32\0\0\8free{" } do
        local url = whole() .. "?" .. #head .. head:byte()
        sim:script { { on = "media", body = head .. ("\0"):rep(4000) } }
        local _, err = client:download(url, path)
        assert.is_nil(tostring(err):find("page", 1, true))
        os.remove(path)
      end
    end)

    it("blanks in a link are escaped, and two links are two", function()
      local url = sim.media_url .. "/media/blob/5000/my boat/x\ty.mp4"
      local asked = "/media/blob/5000/my%20boat/x%09y.mp4"
      for _, listed in ipairs { { url .. "?name=my boat" }, url .. "?name=my boat\n" .. whole(),
        "[" .. url .. "?name=my boat, " .. whole() .. "]" } do
        sim:script { { on = "status", data = { taskId = sim.source, successFlag = 1,
          response = { resultUrls = listed } } } }
        local status = assert(client:status(sim.source))
        assert.equal(type(listed) == "table" and 1 or 2, #status.resultUrls)
        assert.equal(5000, assert(client:download(status, path)).bytes)
        os.remove(path)
      end
      assert.equal(5000, assert(client:download(url .. "?name=my boat", path)).bytes) -- by hand
      for _, request in ipairs(media()) do
        assert.same({ asked .. "?name=my%20boat" }, { request.target })
      end
      assert.equal(4, #media())
      for _, bad in ipairs { " " .. url, url .. " ", "http://a b/x", url .. "\nx" } do
        local _, err = client:download(bad, folder .. "/b.mp4")
        assert.same({ "invalid", "url" }, { err.code, err.field })
      end
    end)

    it("403 with error code: 1010 is a blocked client, and no other link helps", function()
      local status = assert(client:status(sim.source))
      sim:script { { on = "media", http = 403, body = "error code: 1010" } }
      for _, target in ipairs { path, function() error "called" end } do
        local _, err = client:download(status, target)
        assert.same({ "forbidden", 403, 1, sim.source }, { err.code, err.http_status, err.attempts, err.taskId })
        assert.matches("1010", err.excerpt)
      end
      assert.equal(0, #sim:requests { endpoint = "download_url" })
      assert.same({}, helper.list(folder))
    end)

    it("a redirect in a circle ends after one try", function()
      local status = assert(client:status(sim.source))
      sim:script { { on = "media", redirect = whole() .. "?Signature=secret" } }
      local _, err = client:download(status, path)
      assert.same({ "redirect", 1 }, { err.code, err.attempts })
      assert.is_true(#media() <= 6, #media() .. " requests")
      assert.is_nil(tostring(err):find("secret", 1, true))
      assert.equal(0, #sim:requests { endpoint = "download_url" })
      assert.same({}, helper.list(folder))
    end)
  end)
end
