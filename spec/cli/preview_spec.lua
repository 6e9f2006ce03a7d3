-- `veo preview`: a contact sheet by ffmpeg, and a clear word where it is not.

local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local veo = require "veo"

local CLIP = "lua/veo/simulator/clips/hop2.mp4"

-- Width and height of a PNG, by its own word.
local function size_of(path)
  local bytes = helper.read(path)
  assert.equal("\137PNG\r\n\26\n", bytes:sub(1, 8))
  local function number(at)
    local a, b, c, d = bytes:byte(at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  return number(17), number(21)
end

describe("veo preview", function()
  local dir

  before_each(function() dir = helper.folder() end)
  after_each(helper.sweep)

  local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

  -- Runs it; what it prints, and its exit status at the end.
  local function preview(words, environment)
    for i, word in ipairs(words) do words[i] = quoted(word) end
    return helper.output(("%s /usr/bin/env %s lua/veo/main.lua preview %s; echo $?"):format(environment or "",
      helper.lua(),
      table.concat(words, " ")))
  end

  local function they(name, fn)
    needs.block("ffmpeg", it)(name, fn)
  end

  they("makes a PNG of pictures from all of the video", function()
    assert.equal(dir .. "/a.png\n0\n", preview { CLIP, "-o", dir .. "/a.png" })
    assert.same({ 1280, 540 }, { size_of(dir .. "/a.png") })
    assert.same({ "a.png" }, helper.list(dir))
    preview { CLIP, "-o", dir .. "/b.png", "--columns", "2", "--rows", "1", "--width", "96" }
    assert.same({ 192, 54 }, { size_of(dir .. "/b.png") })
  end)

  they("puts it beside the video unless told otherwise, and replaces nothing unasked", function()
    os.execute("cp " .. CLIP .. " " .. dir .. "/v.mp4")
    assert.equal(dir .. "/v.mp4.png\n0\n", preview { dir .. "/v.mp4" })
    helper.write(dir .. "/v.mp4.png", "mine")
    assert.matches("exists already; %-%-force replaces it\n2\n$", preview { dir .. "/v.mp4" })
    assert.equal("mine", helper.read(dir .. "/v.mp4.png"))
    assert.matches("\n0\n$", preview { dir .. "/v.mp4", "--force" })
    assert.matches("^\137PNG", helper.read(dir .. "/v.mp4.png"))
  end)

  they("hands names on as they are", function()
    for _, name in ipairs { "a b'c\"d", "$(touch HACKED)", ";touch HACKED;", "http:x", "%d", "ü" } do
      local path = dir .. "/" .. name
      helper.write(path, helper.read(CLIP))
      assert.equal(path .. ".png\n0\n", preview { path })
      assert.is_true(#helper.read(path .. ".png") > 100)
      assert.is_nil(helper.read "HACKED")
    end
  end)

  they("takes no playlist for a video, which would read or fetch what it names", function()
    os.execute("cp " .. CLIP .. " " .. dir .. "/other.mp4")
    for name, text in pairs { concat = "ffconcat version 1.0\nfile other.mp4\n",
      m3u8 = "#EXTM3U\n#EXT-X-TARGETDURATION:22\n#EXTINF:22,\nother.mp4\n#EXT-X-ENDLIST\n" } do
      helper.write(dir .. "/list.mp4", text)
      assert.matches("whitelist.*\n2\n$", preview { dir .. "/list.mp4" }, 1, false, name)
    end
  end)

  they("says what ffmpeg said of a bad file, and leaves nothing", function()
    helper.write(dir .. "/x.mp4", "no video at all")
    assert.matches("Invalid data.*\n2\n$", preview { dir .. "/x.mp4" })
    assert.matches("No such file.*\n2\n$", preview { dir .. "/none.mp4" })
    assert.same({ "x.mp4" }, helper.list(dir))
  end)

  -- The tools are of the spec's making; ffmpeg does `body`, `$out` is where it is to write.
  local function with_tool(body)
    for name, first in pairs { ffprobe = "exit 0\n", ffmpeg = "for out; do :; done\nout=${out#file:}\n" } do
      helper.write(dir .. "/" .. name, "#!/bin/sh\nexport -p >> " .. dir .. "/seen\n" .. first .. body)
      os.execute("chmod +x " .. dir .. "/" .. name)
    end
    return "PATH=" .. dir .. ":$PATH"
  end

  it("shows a program no key that stands in the environment", function()
    local environment = with_tool ""
    preview({ CLIP, "-o", dir .. "/a.png" }, environment .. " KIE_API_KEY=k-12345 KIE_WEBHOOK_KEY=w-12345 LANG=C")
    local seen = helper.read(dir .. "/seen")
    assert.is_nil(seen:find("12345", 1, true))
    assert.matches("PATH=", seen)
    assert.matches("LANG=['\"]?C", seen)
  end)

  it("leaves no part of a picture when it fails or is ended", function()
    for status, body in pairs { [2] = "echo half > $out\nexit 1\n", [130] = "echo half > $out\nkill -INT $PPID\n" } do
      assert.equal(status .. "\n", preview({ CLIP, "-o", dir .. "/a.png" }, with_tool(body)))
      assert.same({ "ffmpeg", "ffprobe", "seen" }, helper.list(dir))
    end
  end)

  it("names the package where ffmpeg is not on the path", function()
    os.execute(("ln -s /bin/sh /usr/bin/env /usr/bin/%s %s"):format(helper.lua(), dir))
    local out = preview({ CLIP, "-o", dir .. "/a.png" }, "PATH=" .. dir)
    assert.matches("apt%-get install ffmpeg%)\n1\n$", out)
  end)

  it("refuses what is no number", function()
    assert.matches("%-%-columns: a whole number from 1 to 9999 expected, got '0'.*\n1\n$",
      preview { CLIP, "--columns", "0" })
  end)

  it("is what client:preview names, which is gone", function()
    local client = veo.new { api_key = "k" }
    assert.error_matches(function() client:preview(CLIP) end, "preview: is gone: write the command `veo preview`")
    client:close()
  end)

  they("has an example that saves and runs ffmpeg itself", function()
    assert.equal(dir .. "/it's.mp4.png\n", helper.output("VEO_SIMULATE=1 " .. helper.lua() .. " examples/preview.lua "
      .. quoted(dir .. "/it's.mp4")))
    assert.matches("^\137PNG", helper.read(dir .. "/it's.mp4.png"))
  end)
end)
