-- Uploads: a file as multipart, read while it is sent, or a URL that the service fetches.

local blob = require "veo.simulator.blob"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local STREAM = "/api/file-stream-upload"

-- Bytes of memory that this process has in use.
local function resident()
  local file = io.open("/proc/self/statm")
  if not file then return nil end
  local pages = file:read "*a":match "^%d+ (%d+)"
  file:close()
  return tonumber(pages) * 4096
end

local function sha256(path)
  local pipe = io.popen("openssl dgst -sha256 -r '" .. path .. "'")
  local sum = pipe:read(64)
  pipe:close()
  return sum
end

describe("upload", function()
  local sim, client, dir, path

  setup(function()
    sim = simulator.start { speed = 1000, rate = false }
    dir = helper.folder()
    path = dir .. "/a picture.png"
    helper.write(path, blob.bytes(0, 300000 - 1, "up"))
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    client = helper.client(sim, { upload_url = sim.upload_url })
  end)
  after_each(function() client:close() end)

  it("sends a file whole and gives a link that generate takes", function()
    local file = assert(client:upload(path))
    local taken = sim:uploads()[1]
    assert.same({ 300000, sha256(path), "a picture.png", "lua-veo" },
      { taken.size, taken.sha256, taken.fileName, taken.uploadPath })
    assert.equal((taken.url:gsub(" ", "%%20")), file.downloadUrl)
    assert(client:generate { prompt = "a boat", imageUrls = { file.downloadUrl } })
    assert.same({}, sim:violations())
  end)

  it("under another name, in another folder", function()
    assert(client:upload { path = path, fileName = "b.png", uploadPath = "images/mine" })
    local taken = sim:uploads()[1]
    assert.same({ "b.png", "images/mine" }, { taken.fileName, taken.uploadPath })
  end)

  it("has the service fetch a URL", function()
    local file = assert(client:upload { url = "https://example.com/a.png", fileName = "c.png" })
    assert.is_string(file.downloadUrl)
    local taken = sim:uploads()[1]
    assert.same({ "https://example.com/a.png", "c.png" }, { taken.source, taken.fileName })
    assert.same({}, sim:violations())
  end)

  it("sends the key to the upload host, and nowhere a redirect points to", function()
    assert(client:upload(path))
    assert.equal("Bearer " .. sim.api_key, sim:requests({ path = STREAM })[1].headers.authorization)
    sim:script { { on = "upload", redirect = sim.media_url .. "/media/clip/hop1.mp4" } }
    local _, err = client:upload(path)
    assert.equal("malformed", err.code)
    assert.same({}, sim:violations())
  end)

  it("tells its progress with rate and an end", function()
    local seen = {}
    helper.write(dir .. "/big.bin", blob.bytes(0, 20000000 - 1, "big"))
    assert(client:upload(dir .. "/big.bin", { on_progress = function(bytes, total, info)
      seen[#seen + 1] = { bytes = bytes, total = total, info = info }
    end }))
    local last = seen[#seen]
    assert.is_true(last.total > 20000000)
    assert.same({ last.total, 0 }, { last.bytes, last.info.left })
    assert.is_number(last.info.rate)
    for i = 2, #seen do assert.is_true(seen[i].bytes >= seen[i - 1].bytes) end
  end)

  it("never holds the file in memory #timing", function()
    local before = resident()
    if not before then return pending "no /proc here" end
    os.execute("truncate -s 200M '" .. dir .. "/huge.bin'")
    assert(client:upload(dir .. "/huge.bin"))
    assert.equal(200 * 1024 * 1024, sim:uploads()[1].size)
    assert.is_true(resident() - before < 8 * 1024 * 1024, "grew by " .. resident() - before)
  end)

  it("leaves the other jobs their turn", function()
    local job = client:spawn(function() return client:upload(path) end)
    local beside = client:spawn(function() return client:credits() end)
    assert(client:run())
    assert(job:result())
    assert.equal(10000, beside:result())
  end)

  it("is repeated when it was cut, for it is free", function()
    sim:script { { on = "upload", close = "unanswered", times = 1 } }
    assert(client:upload(path))
    sim:script { { on = "upload", http = 503, form = "html", times = 1 } }
    assert(client:upload(path))
  end)

  it("says what is wrong with a file before anything is sent", function()
    for name, why in pairs { ["/none.png"] = "no such file", [""] = "is a directory" } do
      local file, err = client:upload(dir .. name)
      assert.is_nil(file)
      assert.same({ "io", dir .. name }, { err.code, err.path })
      assert.matches(why, err.message)
    end
    assert.equal(0, sim:count())
  end)

  it("knows the service's own refusal", function()
    sim:script { { on = "upload", code = 401, msg = "no such key" } }
    local _, err = client:upload(path)
    assert.equal("unauthorized", err.code)
  end)

  it("ends with its deadline", function()
    sim:script { { on = "upload", hang = true } }
    local began = helper.now()
    local _, err = client:upload(path, { deadline = 0.2, retry = { attempts = 1 } })
    assert.equal("network", err.code)
    assert.is_true(err.timed_out)
    assert.is_true(helper.now() - began < 20) -- of 60
  end)

  it("an error in the caller's progress function comes out, and nothing goes on", function()
    sim:script { { on = "upload", hang = true } }
    helper.write(dir .. "/big.bin", blob.bytes(0, 20000000 - 1, "big"))
    assert.error_matches(function()
      client:upload(dir .. "/big.bin", { on_progress = function() error "ouch" end })
    end, "ouch")
    sim:script {}
    assert(client:upload(path))
  end)

  it("does not bring the key of another service to the documented upload host", function()
    local other = helper.client(sim)
    local file, err = other:upload(path)
    assert.is_nil(file)
    assert.same({ "invalid", "upload_url" }, { err.code, err.field })
    other:close()
  end)

  it("misuse raises", function()
    assert.error_matches(function() client:upload() end, "a path, or a table")
    assert.error_matches(function() client:upload { path = path, url = "https://a/b" } end, "either path or url")
    assert.error_matches(function() client:upload { path = path, filename = "x" } end,
      "unknown field filename %(did you mean fileName%?%)")
    assert.error_matches(function() client:upload(path, { on_progres = print }) end, "did you mean on_progress")
  end)
end)
