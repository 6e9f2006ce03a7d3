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

  they("leaves somebody's file beside it alone", function()
    kit.write(dir .. "/a.png.part", "mine")
    assert(client:preview(CLIP, dir .. "/a.png"))
    kit.write(dir .. "/x.mp4", "no video")
    assert.equal("io", select(2, client:preview(dir .. "/x.mp4", dir .. "/a.png", { overwrite = true })).code)
    assert.same({ "mine", "a.png a.png.part x.mp4" }, { kit.read(dir .. "/a.png.part"),
      table.concat(kit.list(dir), " ") })
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

  they("takes no playlist for a video, which would read or fetch what it names", function()
    os.execute("cp " .. CLIP .. " " .. dir .. "/other.mp4")
    for name, text in pairs { concat = "ffconcat version 1.0\nfile other.mp4\n",
      m3u8 = "#EXTM3U\n#EXT-X-TARGETDURATION:22\n#EXTINF:22,\nother.mp4\n#EXT-X-ENDLIST\n" } do
      kit.write(dir .. "/list.mp4", text)
      local made, err = client:preview(dir .. "/list.mp4", { overwrite = true })
      assert.is_nil(made, name)
      assert.same({ "io", true }, { err.code, err.message:find("whitelist", 1, true) ~= nil }, name)
    end
  end)

  it("shows a program no key that stands in the environment", function()
    kit.write(dir .. "/ffmpeg", "#!/bin/sh\nexport -p > " .. dir .. "/seen\n")
    os.execute("chmod +x " .. dir .. "/ffmpeg")
    local environment = "KIE_API_KEY=k-12345 KIE_WEBHOOK_KEY=w-12345 VEO_LEDGER=l-12345 LANG=C"
    kit.output(("%s PATH=%s:$PATH %s -e '%s'"):format(environment, dir, kit.lua(), ([[
      local client = require("veo").new()
      client:preview("%s", "%s/a.png")]]):format(CLIP, dir)))
    local seen = kit.read(dir .. "/seen")
    assert.is_nil(seen:find("12345", 1, true))
    assert.matches("PATH=", seen)
    assert.matches("LANG=['\"]?C", seen)
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

  -- What a script prints for which `body` is the ffmpeg.
  local function with_ffmpeg(body, script)
    kit.write(dir .. "/ffmpeg", "#!/bin/sh\nfor out; do :; done\nout=${out#file:}\n" .. body)
    os.execute("chmod +x " .. dir .. "/ffmpeg")
    return kit.output(("PATH=%s:$PATH /usr/bin/%s -e '%s'"):format(dir, kit.lua(), ([[
      local veo = require "veo"
      local now = require("veo.core").now
      local dir, CLIP = "%s", "%s"
      local client = veo.new { api_key = "k" }
      local function preview(name, options)
        return client:spawn(client.preview, client, CLIP, dir .. "/" .. name, options)
      end
      local function there(pid) return ({ os.execute("kill -0 " .. pid .. " 2>/dev/null") })[1] end
      local function wait(what)
        local limit = now() + 10
        while not what() and now() < limit do
          if client then pcall(client.step, client, 5) end
        end
      end
      local function pid_of(name)
        local pid
        wait(function()
          local file = io.open(dir .. "/" .. name)
          pid = file and file:read "*n"
          if file then file:close() end
          return pid
        end)
        return pid and ("%%d"):format(pid)
      end
      local dead = there "999999999"
      %s]]):format(dir, CLIP, script)))
  end
  local LONG = "echo half > $out\necho $$ > $out.pid\nexec sleep 30\n"

  it("ends its program with the job and with the client", function()
    for _, ending in ipairs { "job:cancel()", "client:close()" } do
      assert.equal("true\ttrue\tcancelled\n", with_ffmpeg(LONG, [[
        local job = preview "a.png"
        local pid = pid_of "a.png.part.pid"
        local went_on = there(pid) ~= dead
        ]] .. ending .. [[
        wait(function() return there(pid) == dead end)
        print(went_on, there(pid) == dead, job:status())]]), ending)
      os.remove(dir .. "/a.png.part.pid")
      assert.same({ "ffmpeg" }, kit.list(dir))
    end
    assert.equal("true\n", with_ffmpeg(LONG, [[
      local job = preview "a.png"
      local pid = pid_of "a.png.part.pid"
      client, job = nil
      collectgarbage()
      collectgarbage()
      wait(function() return there(pid) == dead end)
      print(there(pid) == dead)]]))
  end)

  it("leaves nothing of a plain call that is interrupted", function()
    assert.equal("interrupted!\ttrue\n", with_ffmpeg(LONG, [[
      local pid
      client = veo.new { api_key = "k", pause = function(c)
        c:step(5)
        local file = io.open(dir .. "/a.png.part.pid")
        pid = file and file:read "*n"
        if file then file:close() end
        if pid then error("interrupted!", 0) end
      end }
      local _, err = pcall(client.preview, client, CLIP, dir .. "/a.png")
      pid = ("%d"):format(pid)
      wait(function() return there(pid) == dead end)
      print(err, there(pid) == dead)]]))
    os.remove(dir .. "/a.png.part.pid")
    assert.same({ "ffmpeg" }, kit.list(dir))
  end)

  it("leaves no program to go on without a host that closes it in its first moments", function()
    for i = 1, 60 do
      with_ffmpeg("echo $$ > $0.$$\nexec sleep 8\n", ([[
        preview "a.png"
        client:step(0)
        client:step(0)
        client:sleep(%d * 40e-6)
        client:close()
        os.exit(0)]]):format(i % 20))
    end
    os.execute "sleep 0.2"
    for _, name in ipairs(kit.list(dir)) do
      local pid = name:match "^ffmpeg%.(%d+)$"
      local state = pid and kit.output(("cat /proc/%s/stat 2>/dev/null; true"):format(pid)):match "%) (%a)" or "Z"
      assert.equal("Z", state) -- ended, also where nobody reaps the orphan
    end
  end)

  it("asks whether its program has ended, and waits for nothing that it has started or closed", function()
    local function took(body, options, ending)
      return tonumber(with_ffmpeg(body, ([[
        local began = now()
        local job = preview("a.png", %s)
        %s
        job:wait(20)
        client:sleep(0.01)
        io.write(now() - began)]]):format(options, ending or "")))
    end
    local helper = "echo $$ > $out.pid\nsleep 8\nexit 1\n" -- it holds the standard error after a kill
    assert.is_true(took(helper, "{ timeout = 0.3 }") < 4)
    assert.is_true(took("sleep 8 &\nexit 1\n", "{}") < 4)
    assert.is_true(took("exec 2>&-\nexec sleep 8\n", "{ timeout = 0.3 }") < 4)
    -- The places of cancelled ones are free at once.
    assert.is_true(took(helper, "{ timeout = 0.3 }", [[
      for i = 1, 8 do
        local other = preview("b.png", { overwrite = true })
        client:step(50)
        other:cancel()
      end]]) < 6)
  end)

  it("replaces nothing that came while it waited for its turn", function()
    assert.equal("exists\n", with_ffmpeg("echo half > $out\ncase $out in *2.png*) sleep 1;; esac\n", [[
      local jobs = {}
      for i = 1, 3 do jobs[i] = preview(i == 3 and "1.png" or i .. ".png") end
      client:run()
      print(select(2, jobs[3]:result()).code)]]))
  end)

  it("keeps two programs at a time, and no download from being saved", function()
    local simulator = require "veo.simulator"
    local sim = simulator.start { speed = 10000 }
    assert.equal("true\t2\ttrue\n", with_ffmpeg("echo $$ > $out.pid\nexec sleep 8\n", ([[
      for i = 1, 6 do preview(i .. ".png") end
      for i = 1, 2 do pid_of(i .. ".png.part.pid") end
      local began = now()
      local saved = client:download("%s/media/blob/1000.mp4", dir .. "/v.mp4")
      local started = 0
      for i = 1, 6 do started = started + (io.open(dir .. "/" .. i .. ".png.part.pid") and 1 or 0) end
      print(now() - began < 4, started, saved ~= nil)
      client:close()]]):format(sim.media_url)))
    sim:stop()
  end)

  it("says when there is no such video, and misuse raises", function()
    local _, err = client:preview(dir .. "/none.mp4")
    assert.equal("io", err.code)
    assert.error_matches(function() client:preview(5) end, "path: a non%-empty file name expected")
    assert.error_matches(function() client:preview("a", "b", { colums = 1 }) end, "did you mean columns")
  end)
end)
