--- Real hosts from Debian's packages, headless: the examples run unmodified in LÖVE, mpv, Neovim and darktable, and the
--- frames of LÖVE are measured. Not part of `make test`: run by `make test-hosts`, which brings the hosts.

local helper = require "spec.support.helper"
local pages = require "spec.support.pages"
local simulators = require "veo.simulator"

local root = helper.output "pwd":gsub("%s+$", "")
local folder

local function has(command) return os.execute("command -v " .. command .. " >/dev/null 2>&1") end

local function found(command)
  local result = has(command)
  return result == true or result == 0
end

-- Runs a host, which finds this checkout's modules built for its Lua, for at most `seconds`.
local function run(version, seconds, command)
  local paths = ("LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' LUA_CPATH='%s/build/%s/?.so;;'"):format(root, root, root,
    version)
  return helper.output(("env VEO_SIMULATE=1 HOME=%s %s timeout -k 5 %d %s </dev/null; echo status $?"):format(folder,
    paths, seconds, command))
end

local function screen(command) return "xvfb-run -a -s '-screen 0 1280x720x24' " .. command end

local function assert_video(path, said)
  local content = helper.read(path)
  assert.is_truthy(content and content:sub(5, 8) == "ftyp", said)
end

describe("in a real host", function()
  setup(function() folder = helper.folder() end)
  teardown(helper.sweep)

  it("LÖVE extends, draws and saves a screenshot", function()
    if not found "love" then return pending "love is not installed" end
    local said = run("jit", 60, screen("love examples/love " .. folder .. "/love.mp4"))
    assert.is_truthy(said:find("status 0", 1, true), said)
    assert_video(folder .. "/love.mp4", said)
    local picture = helper.read(folder .. "/love.png")
    assert.are.equal("\137PNG\r\n\26\n", picture:sub(1, 8))
    assert.is_true(#picture > 8000, "a picture of " .. #picture .. " bytes shows nothing")
  end)

  it("LÖVE runs the game of the README", function()
    if not found "love" then return pending "love is not installed" end
    local sim = simulators.start { speed = 3000 }
    finally(function() sim:stop() end)
    for _, block in ipairs(pages.blocks(helper.read "README.md")) do
      if block.name == "game/main.lua" then
        os.execute("mkdir " .. folder .. "/game")
        helper.write(folder .. "/game/main.lua", block.code)
      end
    end
    local game = ("cd %s && KIE_API_KEY=%s KIE_BASE_URL=%s love game & "):format(folder, sim.api_key, sim.url)
    local wait = ("for i in $(seq 200); do sleep 0.2; [ -e %s/night.mp4 ] && break; done; "):format(folder)
    local said = run("jit", 60, screen("sh -c '" .. game .. wait .. "kill $!; wait $!'"))
    assert_video(folder .. "/night.mp4", said)
  end)

  -- Processor time: on a busy machine the clock also measures who else ran. One frame may hold the first handshake.
  it("LÖVE's frames keep their time over 24 tasks and 64 MiB downloads over TLS", function()
    if not found "love" then return pending "love is not installed" end
    local said = run("jit", 90, screen("love spec/hosts/frames " .. folder))
    io.write("\n", said)
    local numbers = " +cpu +%d+ frames: median ([%d.]+)  99 %% ([%d.]+) .- longest ([%d.]+) ms"
    for _, phase in ipairs { "tasks", "downloads" } do
      local middle, most, longest = said:match(phase .. numbers)
      assert.is_truthy(middle, said)
      assert.is_true(tonumber(middle) < 2 and tonumber(most) < 4 and tonumber(longest) < 16.7, said)
    end
  end)

  local function mpv(arguments, name)
    return ("mpv --no-config --vo=null --ao=null --msg-level=all=info --script=examples/mpv/veo.lua %s "
      .. "--script-opts=veo-out=%s/%s.mp4"):format(arguments, folder, name)
  end

  it("mpv extends and then plays the result", function()
    if not found "mpv" then return pending "mpv is not installed" end
    local said = run("5.2", 60, mpv("--idle=once --speed=20", "mpv"))
    assert.is_truthy(said:find("status 0", 1, true), said)
    assert.is_truthy(said:find("saved " .. folder .. "/mpv.mp4", 1, true), said)
    assert.is_truthy(said:find("VO: [null] 96x54", 1, true), said)
    assert_video(folder .. "/mpv.mp4", said)
  end)

  it("mpv leaves cleanly with a task under way", function()
    if not found "mpv" then return pending "mpv is not installed" end
    local said = run("5.2", 60, "timeout --preserve-status 1.5 " .. mpv("--idle", "left"))
    assert.is_truthy(said:find("generating", 1, true), said)
    assert.is_truthy(said:find("status [04]\n"), said) -- 4: it was asked to quit by a signal
  end)

  local function nvim(path, commands)
    return ("nvim --headless -u NONE -c 'luafile examples/neovim/veo.lua' -c 'VeoExtend %s' %s -c qa"):format(path,
      commands)
  end

  it("Neovim extends in the background", function()
    if not found "nvim" then return pending "nvim is not installed" end
    local path = folder .. "/nvim.mp4"
    local wait = ("vim.wait(30000, function() return vim.loop.fs_stat('%s') ~= nil end)"):format(path)
    local said = run("jit", 60, nvim(path, ("-c \"lua %s\" -c 'sleep 100m'"):format(wait)))
    assert.is_truthy(said:find("status 0", 1, true), said)
    assert.is_truthy(said:find("veo: saved", 1, true), said)
    assert_video(path, said)
  end)

  it("Neovim leaves cleanly with a task under way", function()
    if not found "nvim" then return pending "nvim is not installed" end
    local said = run("jit", 60, nvim(folder .. "/left.mp4", "-c 'sleep 500m'"))
    assert.is_truthy(said:find("generating", 1, true), said)
    assert.is_truthy(said:find("status 0", 1, true), said)
  end)

  -- darktable has no command to quit: it is ended once the file is there.
  it("darktable extends in one of its background jobs", function()
    if not found "darktable" then return pending "darktable is not installed" end
    local path = folder .. "/darktable.mp4"
    local command = ("VEO_OUT=%s darktable --configdir %s/dt --cachedir %s/dt --library :memory: --disable-opencl "
      .. "-d lua --luacmd \"dofile([[examples/darktable/veo.lua]])\" & "):format(path, folder, folder)
    local wait = ("for i in $(seq 150); do sleep 0.2; [ -e %s ] && break; done; "):format(path)
    local said = run("5.4", 60, screen("sh -c '" .. command .. wait .. "sleep 0.5; kill $!; wait $!'"))
    assert.is_truthy(said:find("veo: saved", 1, true), said)
    assert_video(path, said)
  end)
end)
