-- Contact sheets: ffmpeg beside the jobs, without a shell, and a clear word where it is not.

local kit = require "spec.support.kit"
local previews = require "veo.preview"
local veo = require "veo"

local CLIP = "lua/veo/simulator/clips/hop2.mp4"

local function has_ffmpeg() return kit.output "command -v ffmpeg" ~= "" end

-- Width and height of a PNG, by its own word.
local function size_of(path)
  local bytes = kit.read(path)
  assert.equal("\137PNG\r\n\26\n", bytes:sub(1, 8))
  local function number(at)
    local a, b, c, d = bytes:byte(at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  return number(17), number(21)
end

describe("preview", function()
  local client, dir

  before_each(function()
    client = veo.new { api_key = "k" }
    dir = kit.folder()
  end)
  after_each(function()
    client:close()
    kit.sweep()
  end)

  local function they(name, fn)
    it(name, function()
      if not has_ffmpeg() then return pending "needs ffmpeg" end
      fn()
    end)
  end

  for name, seconds in pairs { source = 8, hop1 = 15, hop2 = 22, hop3 = 29, part = 7 } do
    it("knows how long a video is: " .. name, function()
      assert.equal(seconds, previews.duration("lua/veo/simulator/clips/" .. name .. ".mp4"))
    end)
  end

  it("knows nothing of what is no video", function()
    for _, bytes in ipairs { "", "x", ("x"):rep(100), "\0\0\0\8moov", "\0\0\0\16moov\0\0\0\8mvhd", "\0\0\0\4free",
      "\0\0\0\1moov\255\255\255\255\255\255\255\255" } do
      kit.write(dir .. "/x", bytes)
      assert.is_nil(previews.duration(dir .. "/x"))
    end
    assert.is_nil(previews.duration(dir .. "/none"))
  end)

  they("is a PNG of pictures from all of the video", function()
    local made = assert(client:preview(CLIP, dir .. "/a.png"))
    assert.same({ dir .. "/a.png", 4, 3 }, { made.path, made.columns, made.rows })
    assert.same({ 1280, 540 }, { size_of(made.path) })
    assert.same({ "a.png" }, kit.list(dir))
    made = assert(client:preview(CLIP, dir .. "/b.png", { columns = 2, rows = 1, width = 96 }))
    assert.same({ 192, 54 }, { size_of(made.path) })
  end)

  they("stands beside the video unless told otherwise, and replaces nothing unasked", function()
    os.execute("cp " .. CLIP .. " " .. dir .. "/v.mp4")
    assert.equal(dir .. "/v.mp4.png", assert(client:preview(dir .. "/v.mp4")).path)
    local _, err = client:preview(dir .. "/v.mp4")
    assert.equal("exists", err.code)
    assert(client:preview(dir .. "/v.mp4", { overwrite = true }))
  end)

  they("hands names on as they are, to no shell", function()
    for _, name in ipairs { "-i", "a b'c\"d", "$(touch HACKED)", ";touch HACKED;", "http:x", "%d", "ü" } do
      local path = dir .. "/" .. name
      kit.write(path, kit.read(CLIP))
      assert(client:preview(path))
      assert.is_true(#kit.read(path .. ".png") > 100)
      assert.is_nil(kit.read "HACKED")
    end
  end)

  they("leaves the other jobs their turn, and steps their time", function()
    local job = client:spawn(function() return client:preview(CLIP, dir .. "/a.png") end)
    local turns, longest = 0, 0
    while job:status() == "pending" do
      local began = kit.now()
      client:step(0)
      longest = math.max(longest, kit.now() - began)
      turns = turns + 1
      os.execute "sleep 0.005"
    end
    assert(job:result())
    assert.is_true(turns > 5)
    assert.is_true(longest < 0.2, longest)
  end)

  they("says what ffmpeg said of a bad file, and leaves nothing", function()
    kit.write(dir .. "/x.mp4", "no video at all")
    local made, err = client:preview(dir .. "/x.mp4")
    assert.is_nil(made)
    assert.same({ "io", dir .. "/x.mp4" }, { err.code, err.path })
    assert.matches("Invalid data", err.message)
    assert.same({ "x.mp4" }, kit.list(dir))
  end)

  it("names the package where ffmpeg is not on the path", function()
    local out = kit.output(("PATH=%s /usr/bin/%s -e '%s'"):format(dir, kit.lua(), ([[
      local client = require("veo").new { api_key = "k" }
      local made, err = client:preview("%s", "%s/a.png")
      print(made, err.code, err.message)]]):format(CLIP, dir)))
    assert.matches("^nil\tmissing\t", out)
    assert.matches("apt%-get install ffmpeg", out)
    assert.same({}, kit.list(dir))
  end)

  it("ends a program that takes too long", function()
    kit.write(dir .. "/ffmpeg", "#!/bin/sh\nexec sleep 30\n")
    os.execute("chmod +x " .. dir .. "/ffmpeg")
    local out = kit.output(("PATH=%s:$PATH /usr/bin/%s -e '%s'"):format(dir, kit.lua(), ([[
      local client = require("veo").new { api_key = "k" }
      local made, err = client:preview("%s", "%s/a.png", { timeout = 0.2 })
      print(made, err.code, err.message)]]):format(CLIP, dir)))
    assert.matches("^nil\tio\t", out)
    assert.matches("timed out", out)
  end)

  it("ends its program with the job and with the client", function()
    kit.write(dir .. "/ffmpeg", "#!/bin/sh\nfor out; do :; done\necho half > ${out#file:}\necho $$ > "
      .. dir .. "/pid\nexec sleep 30\n")
    os.execute("chmod +x " .. dir .. "/ffmpeg")
    for _, ending in ipairs { "job:cancel()", "client:close()", "client = nil job = nil collectgarbage()" } do
      local out = kit.output(("PATH=%s:$PATH /usr/bin/%s -e '%s'"):format(dir, kit.lua(), ([[
        local veo = require "veo"
        local now = require("veo.core").now
        local client, dir = veo.new { api_key = "k" }, "%s"
        local job, pid = client:spawn(client.preview, client, "%s", dir .. "/a.png")
        local function there() return ({ os.execute("kill -0 " .. pid .. " 2>/dev/null") })[1] end
        local limit = now() + 10
        repeat
          client:step(5)
          local file = io.open(dir .. "/pid")
          pid = file and file:read "*n"
          if file then file:close() end
        until pid or now() > limit
        pid = ("%%d"):format(pid)
        local went_on = there()
        %s
        limit = now() + 5
        while there() == went_on and now() < limit do os.execute "sleep 0.01" end
        print(went_on ~= there(), job and job:status())]]):format(dir, CLIP, ending)))
      assert.equal(ending:find "job = nil" and "true\tnil\n" or "true\tcancelled\n", out, ending)
      if not ending:find "job = nil" then assert.same({ "ffmpeg", "pid" }, kit.list(dir)) end
      os.remove(dir .. "/pid")
    end
  end)

  it("says when there is no such video, and misuse raises", function()
    local _, err = client:preview(dir .. "/none.mp4")
    assert.equal("io", err.code)
    assert.error_matches(function() client:preview(5) end, "path: a non%-empty file name expected")
    assert.error_matches(function() client:preview("a", "b", { colums = 1 }) end, "did you mean columns")
  end)
end)
