-- Saving a video: whole under its name, or not at all.

local blob = require "veo.simulator.blob"
local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local SIZE = 3000000

describe("download", function()
  local sim, client, folder, path

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
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

  local function url(size) return sim.media_url .. "/media/blob/" .. (size or SIZE) .. ".mp4" end
  local function media() return sim:requests { endpoint = "media" } end
  local function script(rule)
    rule.on = "media"
    sim:script { rule }
  end

  local function assert_whole(size, seed)
    local content = helper.read(path)
    assert.is_truthy(content, "no file under the target")
    assert.is_true(content == blob.bytes(0, (size or SIZE) - 1, seed), "other bytes than were sent")
    assert.same({ "boat.mp4" }, helper.list(folder))
  end

  local function assert_nothing()
    assert.same({}, helper.list(folder))
  end

  it("saves a URL", function()
    local file = assert(client:download(url(), path))
    assert.same({ path, SIZE, 1 }, { file.path, file.bytes, file.requests })
    assert_whole()
  end)

  it("saves the whole video of a status", function()
    local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
    local file = assert(client:download(status, path))
    assert.equal(status.taskId, file.taskId)
    local content = helper.read(path)
    assert.equal(file.bytes, #content)
    local boxes = assert(helper.boxes(content))
    assert.equal("ftyp", boxes[1])
    local names = table.concat(boxes, " ")
    assert.matches("moov", names)
    assert.matches("mdat", names)
  end)

  it("sends no key, and asks for no encoding", function()
    assert(client:download(url(1000), path))
    local request = media()[1]
    assert.is_nil(request.headers.authorization)
    assert.is_nil(request.headers["accept-encoding"])
    assert.same({}, sim:violations())
  end)

  describe("when the connection is cut", function()
    it("goes on where it was, if the file is still the same", function()
      script { times = 2, cut = 700000 }
      local file = assert(client:download(url(), path))
      assert.equal(3, file.requests)
      assert_whole()
      local requests = media()
      assert.is_nil(requests[1].headers.range)
      assert.equal("bytes=700000-", requests[2].headers.range)
      assert.equal("bytes=1400000-", requests[3].headers.range)
      assert.is_string(requests[2].headers["if-range"])
      assert.same({ 200, 206, 206 }, { requests[1].http, requests[2].http, requests[3].http })
    end)

    it("at any byte, many times", function()
      script { times = 12, cut = "random" }
      assert(client:download(url(), path, { attempts = 20 }))
      assert_whole()
    end)

    it("starts over when the file has changed", function()
      sim:script { { on = "media", times = 1, cut = 700000, etag = '"old"' } }
      local file = assert(client:download(url(), path))
      assert.equal(2, file.requests)
      local second = media()[2]
      assert.same({ "bytes=700000-", '"old"', 200 }, { second.headers.range, second.headers["if-range"], second.http })
      assert_whole()
    end)

    it("starts over when the server knows no ranges", function()
      sim:script { { on = "media", times = 1, cut = 700000 }, { on = "media", ranges = false } }
      local file = assert(client:download(url(), path))
      assert.equal(2, file.requests)
      assert_whole()
    end)

    it("does not take bytes from another place than it asked for", function()
      local wrong = { ["Content-Range"] = "bytes 5-14/" .. SIZE }
      sim:script { { on = "media", times = 1, http = 206, headers = wrong, body = "0123456789" } }
      local file = assert(client:download(url(), path))
      assert.equal(2, file.requests)
      assert_whole()
      sim:script {
        { on = "media", times = 1, cut = 700000 },
        { on = "media", times = 1, http = 206, headers = wrong, body = "0123456789" },
      }
      assert(client:download(url(), path, { overwrite = true }))
      assert_whole()
    end)

    it("gives up after `attempts` tries without a new byte, and counts none that brought some", function()
      sim:script { { on = "media", times = 4, cut = 100000 }, { on = "media", close = "unanswered" } }
      local file, err = client:download(url(), path, { attempts = 3 })
      assert.is_nil(file)
      assert.equal("network", err.code)
      assert.equal(path, err.path)
      -- Four that brought bytes, three that did not; libcurl may ask twice on a kept connection by itself.
      assert.equal(7, err.attempts)
      assert.is_nil(helper.read(path))
    end)

    it("takes less than was promised for a cut", function()
      script { times = 1, length = 500 }
      assert(client:download(url(), path))
      assert_whole()
    end)
  end)

  it("does not wait for ever when a server says nothing at all", function()
    local fault = require("spec.support.fault").start { gone = { accept = "refuse" } }
    local hasty = helper.client(sim, { deadline = 1 })
    local file, err = hasty:download(fault.url.gone .. "/x.mp4", path, { attempts = 2 })
    hasty:close()
    fault:stop()
    assert.is_nil(file)
    assert.same({ "network", true }, { err.code, err.attempts > 2 })
    assert_nothing()
  end)

  it("ends a try that crawls, and goes on from there #timing", function()
    script { stall = 900, times = 1 } -- and then silence
    local began = helper.now()
    local file = assert(client:download(url(150000), path, { stall = 1 }))
    assert.equal(2, file.requests)
    local took = helper.now() - began
    assert.is_true(took >= 1 and took < 20, took) -- of 60
    assert_whole(150000)
    os.remove(path)
  end)

  it("gives up where tries that crawl bring nothing #timing", function()
    script { stall = 0 }
    for i, target in ipairs { path, function() end } do
      local began = helper.now()
      local _, err = client:download(url(150000 + i), target, { stall = 1, attempts = 2 })
      assert.same({ "network", 2 }, { err.code, err.attempts })
      assert.matches("too slow", err.message)
      local took = helper.now() - began
      assert.is_true(took >= 2 and took < 20, took) -- of 60
    end
  end)

  it("lets one be that is slow, but not that slow #timing", function()
    script { drip = 4000 }
    local file = assert(client:download(url(12000), path, { stall = 1, attempts = 1 }))
    assert.equal(1, file.requests)
  end)

  describe("what is no video", function()
    for name, rule in pairs {
      ["a page with 200"] = { form = "html" }, JSON = { body = '{"code":404}' }, ["plain text"] = { form = "text" },
      ["nothing at all"] = { form = "empty" }, ["XML"] = { body = '<?xml version="1.0"?><Error/>' },
    } do
      it("is not saved: " .. name, function()
        script(rule)
        local file, err = client:download(url(), path)
        assert.is_nil(file)
        assert.equal("not_video", err.code)
        assert.equal(path, err.path)
        assert_nothing()
      end)
    end

    it("leaves the file that stands there alone", function()
      helper.write(path, "before")
      script { form = "html" }
      local _, err = client:download(url(), path, { overwrite = true })
      assert.equal("not_video", err.code)
      assert.equal("before", helper.read(path))
      assert.same({ "boat.mp4" }, helper.list(folder))
    end)

    it("does not judge by the content type", function()
      script { content_type = "application/octet-stream" }
      assert(client:download(url(), path))
      assert_whole()
    end)
  end)

  for _, http in ipairs { 400, 401, 403, 404, 410 } do
    it("HTTP " .. http .. " means that the link is dead", function()
      script { http = http }
      local file, err = client:download(url(), path)
      assert.is_nil(file)
      assert.same({ "expired", http, 1 }, { err.code, err.http_status, err.attempts })
      assert.equal(1, #media())
      assert_nothing()
      assert.matches("fresh link", err:explain())
    end)
  end

  for _, http in ipairs { 429, 500, 503 } do
    it("HTTP " .. http .. " passes", function()
      script { http = http, times = 2 }
      local file = assert(client:download(url(), path))
      assert.equal(3, file.requests)
      assert_whole()
    end)
  end

  it("waits for Retry-After, and gives up at once when that is long", function()
    script { http = 503, retry_after = 1, times = 1 }
    local began = core.now()
    assert(client:download(url(), path))
    assert.is_true(core.now() - began >= 1)
    script { http = 503, retry_after = 300 }
    local _, err = client:download(url(), folder .. "/b.mp4")
    assert.same({ "server", 300 }, { err.code, err.retry_after })
  end)

  describe("fails before anything is fetched", function()
    local function assert_no_request() assert.equal(0, #media()) end

    it("when the folder does not exist", function()
      local _, err = client:download(url(), folder .. "/no/boat.mp4")
      assert.same({ "io", folder .. "/no/boat.mp4" }, { err.code, err.path })
      assert_no_request()
    end)

    it("when the folder cannot be written", function()
      if helper.output("id -u") == "0\n" then
        -- root writes anywhere; /proc takes no files from anyone
        local _, err = client:download(url(), "/proc/boat.mp4")
        assert.equal("io", err.code)
      else
        os.execute("chmod 555 " .. folder)
        local _, err = client:download(url(), path)
        assert.equal("io", err.code)
      end
      assert_no_request()
    end)

    it("when the target is a folder, or no plain file", function()
      local _, err = client:download(url(), folder, { overwrite = true })
      assert.equal("io", err.code)
      os.execute("mkfifo " .. path)
      _, err = client:download(url(), path, { overwrite = true })
      assert.equal("io", err.code)
      assert_no_request()
    end)

    it("when the target exists, unless told to overwrite", function()
      helper.write(path, "before")
      local _, err = client:download(url(), path)
      assert.same({ "exists", "before" }, { err.code, helper.read(path) })
      assert_no_request()
      assert(client:download(url(), path, { overwrite = true }))
      assert_whole()
    end)

    it("when the URL is none, or the status has none", function()
      for _, source in ipairs { "ftp://x/y", "http://", "file:///etc/passwd", "http://a/b\nc" } do
        local _, err = client:download(source, path)
        assert.equal("invalid", err.code)
      end
      local _, err = client:download({ taskId = "t", state = "generating" }, path)
      assert.same({ "invalid", "t" }, { err.code, err.taskId })
      assert_no_request()
      assert_nothing()
    end)
  end)

  it("does not replace a target that appears meanwhile", function()
    script { drip = 2000000 }
    local written
    local _, err = client:download(url(), path, { on_progress = function()
      if not written then helper.write(path, "somebody else's") end
      written = true
    end })
    assert.equal("exists", err.code)
    assert.equal("somebody else's", helper.read(path))
    assert.is_true(helper.read(path .. ".part") == blob.bytes(0, SIZE - 1)) -- which the message says
    assert.matches(path .. ".part", err.message, 1, true)
  end)

  it("stops at max_bytes", function()
    local _, err = client:download(url(), path, { max_bytes = SIZE - 1 })
    assert.equal("too_large", err.code)
    assert.is_nil(helper.read(path))
    script { chunked = true }
    _, err = client:download(url(), path, { max_bytes = 1000 })
    assert.equal("too_large", err.code)
    sim:reset()
    assert(client:download(url(), path, { max_bytes = SIZE }))
  end)

  it("takes a file whose length nobody told", function()
    script { chunked = true }
    assert(client:download(url(), path))
    assert_whole()
  end)

  describe("tells its progress", function()
    it("about ten times a second at most, never less than before, and last of all the whole", function()
      script { drip = 4000000 }
      local seen, began = {}, core.now()
      assert(client:download(url(), path, { on_progress = function(bytes, total)
        seen[#seen + 1] = { bytes = bytes, total = total }
      end }))
      local took = core.now() - began
      assert.is_true(#seen >= 3, "only " .. #seen .. " events")
      assert.is_true(#seen <= took * 10 + 2, #seen .. " events in " .. took .. " s")
      for i = 2, #seen do assert.is_true(seen[i].bytes >= seen[i - 1].bytes) end
      assert.same({ bytes = SIZE, total = SIZE }, seen[#seen])
    end)

    it("with a last event even when it is over at once", function()
      local seen = {}
      assert(client:download(url(1000), path, { on_progress = function(...) seen[#seen + 1] = { ... } end }))
      assert.same({ 1000, 1000, 0 }, { seen[#seen][1], seen[#seen][2], seen[#seen][3].left })
    end)

    it("and no last event when it fails", function()
      script { form = "html" }
      local seen = {}
      client:download(url(), path, { on_progress = function(bytes, total) seen[#seen + 1] = { bytes, total } end })
      assert.same({}, seen)
    end)
  end)

  it("is busy while the same target is being saved", function()
    script { drip = 3000000 }
    local first = client:spawn(function() return client:download(url(), path) end)
    helper.step_until(client, function() return #media() > 0 end)
    local _, err = client:download(url(), path)
    assert.equal("busy", err.code)
    local other = helper.client(sim)
    _, err = other:download(url(), path)
    other:close()
    assert.equal("busy", err.code)
    assert.equal(SIZE, assert(first:wait(helper.PATIENCE)).bytes)
    assert_whole()
    assert.equal(1, #media())
  end)

  it("lets go of its target when the job is cancelled", function()
    script { drip = 200000, times = 1 }
    local job = client:spawn(function() return client:download(url(), path) end)
    helper.step_until(client, function() return #media() > 0 end)
    assert.is_true(job:cancel())
    local _, err = job:result()
    assert.equal("cancelled", err.code)
    assert(client:download(url(), path))
    assert_whole()
  end)

  it("follows redirects, and no further than five", function()
    sim:script { { on = "media", match = "blob", redirect = sim.media_url .. "/media/clip/source.mp4" } }
    local file = assert(client:download(url(), path))
    assert.equal("ftyp", assert(helper.boxes(helper.read(path)))[1])
    assert.equal(file.bytes, #helper.read(path))
    sim:script { { on = "media", redirect = url() } }
    local _, err = client:download(url(), folder .. "/b.mp4", { attempts = 1 })
    assert.is_truthy(err)
    assert.is_true(#media() <= 9)
  end)

  it("saves many at a time", function()
    local jobs = {}
    for i = 1, 12 do
      local target = folder .. "/" .. i .. ".mp4"
      jobs[i] = client:spawn(function() return client:download(url(200000), target) end)
    end
    assert(client:run())
    for i = 1, 12 do assert.equal(200000, jobs[i]:result().bytes) end
    assert.equal(12, #helper.list(folder))
  end)

  it("tells the log what was saved", function()
    local events = {}
    local other = helper.client(sim, { log = function(event)
      if event.event == "save" then events[#events + 1] = event end
    end })
    assert(other:download(url(1000), path))
    other:close()
    assert.same({ 1, path, 1000 }, { #events, events[1].path, events[1].bytes })
  end)

  it("reads in large pieces where no frame waits for it, and in small ones elsewhere", function()
    local asked = {}
    local function listened(options)
      local one = helper.client(sim, options)
      local ctx
      for _, field in pairs(one) do ctx = field.scheduler and field or ctx end
      local start = ctx.scheduler.start
      function ctx.scheduler.start(scheduler, operation, request, ...)
        asked[#asked + 1] = request.read_size or 0
        return start(scheduler, operation, request, ...)
      end
      return one
    end
    local plain, frames = listened(), listened { pause = function() end }
    assert(plain:download(url(), path))
    assert(plain:spawn(plain.download, plain, url(), folder .. "/2.mp4"):wait(helper.PATIENCE))
    assert(frames:download(url(), folder .. "/3.mp4"))
    plain:close()
    frames:close()
    assert.same({ 4 * 1024 * 1024, 0, 0 }, asked)
    for _, name in ipairs(helper.list(folder)) do
      assert.is_true(helper.read(folder .. "/" .. name) == blob.bytes(0, SIZE - 1))
    end
  end)
end)
