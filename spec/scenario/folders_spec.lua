-- Folders that are not there, and names that lead nowhere: said before anything is ordered or fetched; with mkdir = true
-- the folder is made.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("a missing folder", function()
  local sim, client, folder, away

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    away = folder .. "/renders/of today"
    client = helper.client(sim, { ledger = folder .. "/renders.db" })
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function params() return { taskId = sim.source, prompt = "the boat turns" } end
  local function chain(more)
    more.taskId, more.prompts = sim.source, { "one", "two" }
    return client:chain(more)
  end
  local function requests() return #sim:requests {} end
  local function charges() return #select(2, sim:charges()) end

  -- What is to be saved at `path`, by each call that orders and saves.
  local calls = {
    extend = function(path, mkdir) return client:extend(params(), { path = path, mkdir = mkdir }) end,
    generate = function(path, mkdir) return client:generate({ prompt = "a boat" }, { path = path, mkdir = mkdir }) end,
    extend_and_save = function(path, mkdir)
      return client:extend_and_save(params(), path, { download = { mkdir = mkdir } })
    end,
    chain = function(path, mkdir) return chain { path = path, download = { mkdir = mkdir } } end,
    ["a chain's hops"] = function(path, mkdir)
      return chain { save_hops = path:gsub("boat", "{hop}"), download = { mkdir = mkdir } }
    end,
    resume = function(path, mkdir)
      return client:resume { path = path:gsub("boat", "{key}"), download = { mkdir = mkdir } }
    end,
    download = function(path, mkdir)
      return client:download(sim.media_url .. "/media/clip/hop1.mp4", path, { mkdir = mkdir })
    end,
  }

  for name, call in pairs(calls) do
    if name ~= "resume" and name ~= "a chain's hops" then -- whose names are not all known before
      -- Ordered, paid and fetched, it could not be given its name in the end.
      it("that is there is no good to a name that is too long, which is said as early: " .. name, function()
        local done, err = call(folder .. "/boat" .. ("t"):rep(300) .. ".mp4")
        assert.is_nil(done)
        assert.equal("io", err.code)
        assert.same({ 0, 0 }, { requests(), charges() })
      end)
    end
    it("is missed at the start: " .. name, function()
      local done, err = call(away .. "/boat.mp4")
      assert.is_nil(done)
      assert.equal("io", err.code)
      assert.matches("there is no folder", err.message)
      assert.matches("mkdir = true", err.message)
      assert.same({ 0, 0 }, { requests(), charges() })
      assert.equal("no", err.charged or require("veo.errors").codes[err.code].charged)
      assert.is_nil(require("veo.core").kind(folder .. "/renders"))
    end)

    it("is made when asked: " .. name, function()
      assert(call(away .. "/boat.mp4", true))
      assert.equal("directory", require("veo.core").kind(away))
    end)

    it("cannot be made where a file is, which is said as early: " .. name, function()
      helper.write(folder .. "/renders", "a file")
      local done, err = call(away .. "/boat.mp4", true)
      assert.is_nil(done)
      assert.same({ "io", 0, 0 }, { err.code, requests(), charges() })
      assert.matches("Not a directory", err.message)
      assert.equal("a file", helper.read(folder .. "/renders"))
    end)
  end

  it("that was made holds the video", function()
    client:close()
    client = helper.client(sim, { download = { mkdir = true } })
    for i, path in ipairs { away .. "/boat.mp4", folder .. "//a/./b/c/boat.mp4" } do
      assert(client:extend_and_save({ taskId = sim.source, prompt = "turn " .. i }, path))
      assert.is_truthy(helper.boxes(helper.read(path)))
    end
    local _, err = client:extend_and_save(params(), folder .. "/new/")
    assert.same({ "io", 2 }, { err.code, charges() })
  end)

  it("is missed for its task alone where it follows from that", function()
    assert(client:extend(params(), { key = "shot" }))
    local pattern = folder .. "/{key}/{taskId}.mp4"
    local err
    assert.equal(1, assert(client:resume { path = pattern, on_result = function(_, _, why) err = why end }).open)
    assert.same({ "io" }, { err.code })
    assert.equal(1, assert(client:resume { path = pattern, download = { mkdir = true } }).saved)
  end)

  it("is made by the command, and missed where it cannot be", function()
    local function veo(words)
      return helper.output(("KIE_API_KEY=%s KIE_BASE_URL=%s CURL_CA_BUNDLE='%s' LUA_PATH='%s' LUA_CPATH='%s' "
        .. "%s lua/veo/main.lua %s --no-ledger; echo exit $?"):format(sim.api_key, sim.url, sim.ca_file or "",
        package.path, helper.cpath(), helper.lua(), words))
    end
    local file = folder .. "/a-file"
    helper.write(file, "")
    for _, words in ipairs { "extend " .. sim.source .. " boat", "generate boat",
      "chain " .. sim.source .. " one two" } do
      local said = veo(("%s -o '%s/there/boat.mp4'"):format(words, file))
      assert.matches("io: ", said)
      assert.matches("exit 2", said)
    end
    assert.same({ 0, 0 }, { requests(), charges() })
    assert.matches("exit 0", veo(("extend %s boat --interval 0.05 -o '%s/boat.mp4'"):format(sim.source, away)))
    assert.is_truthy(helper.boxes(helper.read(away .. "/boat.mp4")))
  end)

  it("behind a link that leads nowhere: nothing is fetched or ordered, overwrite or not", function()
    local path = folder .. "/boat.mp4"
    os.execute(("ln -s nowhere/x.mp4 %s; ln -s loop %s/loop"):format(path, folder))
    for _, target in ipairs { path, folder .. "/loop" } do
      for _, overwrite in ipairs { true, false } do
        local _, err = client:download(sim.media_url .. "/media/clip/hop1.mp4", target, { overwrite = overwrite })
        assert.equal("io", err.code)
        assert.matches("a symbolic link that leads nowhere", err.message)
        _, err = client:extend_and_save(params(), target, { download = { overwrite = overwrite } })
        assert.equal("io", err.code)
      end
    end
    assert.same({ 0, 0 }, { requests(), charges() })
  end)
end)
