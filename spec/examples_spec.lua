-- The example of the README runs as it stands and saves a video that plays.

local helper = require "spec.support.helper"

describe("examples/extend.lua", function()
  local folder, path, said

  -- Once for all: the render takes three seconds.
  setup(function()
    folder = helper.folder()
    path = folder .. "/boat.mp4"
    said = helper.output("VEO_SIMULATE=1 " .. helper.lua() .. " examples/extend.lua " .. path .. "; echo status $?")
  end)
  teardown(helper.sweep)

  it("ends well, with visible progress", function()
    assert.matches("status 0\n$", said)
    assert.matches("accepted:  task %S+", said)
    assert.matches("generating", said)
    assert.matches("succeeded", said)
    assert.matches("saved:     " .. path:gsub("%p", "%%%0"), said)
  end)

  it("saves the whole extended video and nothing else", function()
    assert.same({ "boat.mp4" }, helper.list(folder))
    -- The source was 8 s: its extension is the simulator's first hop.
    assert.is_true(helper.read(path) == helper.read("lua/veo/simulator/clips/hop1.mp4"))
  end)

  it("saves an MP4 whose boxes fill it", function()
    local boxes = table.concat(assert(helper.boxes(helper.read(path))), " ")
    assert.matches("^ftyp", boxes)
    assert.matches("moov", boxes)
    assert.matches("mdat", boxes)
  end)

  it("saves about 15 s of picture and sound, where ffprobe can tell", function()
    if not helper.output("command -v ffprobe"):find("ffprobe", 1, true) then return pending("no ffprobe here") end
    local text = helper.output("ffprobe -v error -of default=nk=1 -show_entries stream=codec_type:format=duration "
      .. path)
    assert.matches("video", text)
    assert.matches("audio", text)
    local seconds = tonumber(text:match("(%d+%.%d+)"))
    assert.is_true(seconds > 14 and seconds < 16, text)
  end)

  it("says how it is used when nothing is given", function()
    local text = helper.output("env -u VEO_SIMULATE KIE_API_KEY=x " .. helper.lua()
      .. " examples/extend.lua; echo status $?")
    assert.matches("usage", text)
    assert.matches("status 1", text)
  end)
end)
