-- The five everyday jobs run as they stand, against a simulator whose address and key are in the environment. What counts
-- is what they save and what the simulator charged. `examples/extend.lua`, which `make demo` runs, has its own simulator.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local simulators = require "veo.simulator"

-- Loaded before a script by LUA_INIT: its client looks often, and twenty orders need not wait for the rate window.
local QUICK = [[
local veo = require "veo"
local new = veo.new
function veo.new(options)
  options = options or {}
  options.wait = { first = 0.01, interval = 0.02, max_interval = 0.05 }
  options.rate = { count = 100, polls = 1000 }
  return new(options)
end
]]

describe("an everyday job of examples/", function()
  local root = helper.output "pwd":gsub("%s+$", "")
  local sim, folder

  setup(function() sim = simulators.start { speed = 3000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    folder = helper.folder()
    helper.write(folder .. "/quick.lua", QUICK)
  end)
  after_each(function()
    helper.sweep()
    sim:reset()
  end)

  -- The command that runs a script of examples/ in the scratch folder.
  local function command(script, ...)
    local environment = ("KIE_BASE_URL=%s KIE_API_KEY=%s LUA_INIT=@quick.lua"):format(sim.url, sim.api_key)
    if sim.ca_file then environment = environment .. " CURL_CA_BUNDLE=" .. sim.ca_file end
    return ("cd %s && exec env -u LUA_INIT_5_2 -u LUA_INIT_5_3 -u LUA_INIT_5_4 %s %s"):format(folder, environment,
      ledgers.script(helper.lua(), root .. "/examples/" .. script, ...):gsub("exec ", ""))
  end

  local function run(...)
    return helper.output("(" .. command(...) .. "); echo status $?")
  end

  -- Runs a script until `is_time` says so, and kills it as a crash would.
  local function kill(is_time, ...)
    local pipe = io.popen("sh -c 'echo $$; " .. command(...):gsub("'", "'\\''") .. "' 2>&1")
    local pid, deadline = pipe:read "*l", helper.now() + helper.PATIENCE
    local ready
    repeat
      os.execute "sleep 0.02"
      ready = is_time()
    until ready or helper.now() > deadline
    os.execute("kill -9 " .. pid)
    local said = pipe:read "*a"
    pipe:close()
    assert.is_true(ready, said)
  end

  -- The file is a video that plays and, byte for byte, what the simulator made.
  local function assert_video(name, clip)
    local bytes = helper.read(folder .. "/" .. name)
    assert.is_truthy(bytes, name .. " is not there: " .. table.concat(helper.list(folder), " "))
    assert.matches("^ftyp.*moov.*mdat", table.concat(assert(helper.boxes(bytes)), " "))
    assert.is_true(bytes == helper.read("lua/veo/simulator/clips/" .. clip .. ".mp4"), name)
  end

  -- So many tasks were charged, each once.
  local function assert_charged(count)
    assert.same({ count, count, 0 }, { ledgers.charged(sim) })
  end

  local function videos()
    local names = {}
    for _, name in ipairs(helper.list(folder)) do
      if name:find "%.mp4$" then names[#names + 1] = name end
    end
    return names
  end

  local function has_fetched()
    for _, request in ipairs(sim:requests()) do
      if request.path:find("^/media") then return true end
    end
    return false
  end

  -- No render can be fetched: a script gets as far as its download, and stays there.
  local function hold_downloads() sim:script { { on = "media", hang = true } } end

  it("has at most nine lines of code, and none of them is about the simulator", function()
    for _, name in ipairs { "1_one", "2_twenty", "3_chain", "4_again", "5_frames" } do
      local lines = 0
      for line in helper.read("examples/" .. name .. ".lua"):gmatch "[^\n]+" do
        if not line:find "^%-%-" then lines = lines + 1 end
        assert.is_nil(line:lower():find("simulat", 1, true), name)
      end
      assert.is_true(lines < 10, name .. ": " .. lines)
    end
  end)

  it("extends a video, and again costs nothing", function()
    local said = run("1_one.lua", sim.source, "boat.mp4")
    assert.matches("^boat.mp4\t%d+\nstatus 0\n$", said)
    assert_video("boat.mp4", "hop1")
    assert.equal(said, run("1_one.lua", sim.source, "boat.mp4"))
    assert_charged(1)
  end)

  it("that was killed is started again, and costs nothing more", function()
    hold_downloads()
    kill(has_fetched, "1_one.lua", sim.source, "boat.mp4")
    assert.same({}, videos())
    sim:script {}
    assert.matches("status 0", run("1_one.lua", sim.source, "boat.mp4"))
    assert_video("boat.mp4", "hop1")
    assert_charged(1)
  end)

  it("extends a video twenty times at once", function()
    local said = run("2_twenty.lua", sim.source)
    assert.matches("status 0", said)
    for seed = 10001, 10020 do
      assert.truthy(said:find(("%d\t%d.mp4\n"):format(seed, seed), 1, true), said)
      assert_video(seed .. ".mp4", "hop1")
    end
    assert_charged(20)
  end)

  it("tells of the one of twenty that failed", function()
    sim:script { { on = "extend", match = '"seeds":10007', code = 400, times = 1 } }
    local said = run("2_twenty.lua", sim.source)
    assert.matches("\n10007\t[^\n]*rejected", said)
    assert.equal(19, #videos())
    assert_charged(19)
  end)

  it("extends what it has extended, three times", function()
    assert.matches("^long.mp4\t3 hops\nstatus 0\n$", run("3_chain.lua", sim.source, "long.mp4"))
    assert.same({ "long.mp4" }, videos())
    assert_video("long.mp4", "hop3")
    assert_charged(3)
  end)

  it("saves after kill -9 what twenty orders left, and pays for none twice", function()
    hold_downloads()
    kill(function() return has_fetched() and select(2, ledgers.charged(sim)) == 20 end, "2_twenty.lua", sim.source)
    assert.same({}, videos())
    sim:script {}
    assert.equal("20 saved, 0 failed, 0 still open\nstatus 0\n", run "4_again.lua")
    for seed = 10001, 10020 do assert_video(seed .. ".mp4", "hop1") end
    assert.equal("0 saved, 0 failed, 0 still open\nstatus 0\n", run "4_again.lua")
    assert.matches("10020\t10020.mp4\nstatus 0\n$", run("2_twenty.lua", sim.source))
    assert.equal(20, #videos())
    assert_charged(20)
  end)

  it("lists an order whose answer was lost, and does not send it again", function()
    sim:script { { on = "extend", hang = true } }
    kill(function() return sim:count("POST", helper.EXTEND) == 1 end, "1_one.lua", sim.source, "boat.mp4")
    sim:script {}
    assert.matches("^0 saved, 0 failed, 0 still open\nuncertain: %S+\tThe boat turns\nstatus 0\n$", run "4_again.lua")
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)

  it("prints what a client has done, as Prometheus reads it", function()
    local said, types, samples = run "6_prometheus.lua", {}, {}
    assert.matches("status 0\n$", said)
    for line in said:gsub("status 0\n$", ""):gmatch "[^\n]+" do
      local name, kind = line:match "^# TYPE ([%a_]+) (%a+)$"
      local sample, labels, value = line:match "^([%a_]+)({?.-}?) ([%d.]+)$"
      if name then
        assert.is_nil(types[name]) -- all samples of a name stand together
        types[name] = kind
      elseif sample then
        assert.equal(sample:find "_total$" and "counter" or "gauge", types[sample], line)
        assert.is_true(labels == "" or labels:find '^{kind="[%w_]+",end="[%a_]+"}$' ~= nil, line)
        samples[sample .. labels] = tonumber(value)
      else
        assert.matches("^# %S", line)
      end
    end
    assert.equal(1, samples['veo_exchanges_total{kind="credits",end="ok"}'])
    assert.equal(1, samples.veo_connections_made_total)
    assert.equal(100, samples.veo_slots_left + samples.veo_slots_used)
  end)

  it("extends a video from a frame loop", function()
    assert.matches("^boat.mp4\nstatus 0\n$", run("5_frames.lua", sim.source, "boat.mp4"))
    assert_video("boat.mp4", "hop1")
    assert_charged(1)
  end)
end)

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

  needs.block("ffmpeg", it)("saves about 15 s of picture and sound, as ffprobe tells", function()
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
