-- The unfinished file's name: shorter where the target's leaves no room, and another one where a file of that name is not
-- ours, which is never emptied or removed.

local blob = require "veo.simulator.blob"
local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local SIZE = 300000

describe("the unfinished file", function()
  local sim, client, folder

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    client = helper.client(sim, { ledger = folder .. "/../" .. folder:match "[^/]*$" .. "-renders.db" })
  end)
  after_each(function()
    client:close()
    os.execute("rm -f " .. folder .. "-renders.db*")
    helper.sweep()
  end)

  local function url(name) return ("%s/media/blob/%d/%s.mp4"):format(sim.media_url, SIZE, name or "s") end
  local function media() return sim:requests { endpoint = "media" } end
  local function is_whole(path) return helper.read(path) == blob.bytes(0, SIZE - 1, "s") end

  -- Leaves a part of the download.
  local function cut(path)
    sim:script { { on = "media", cut = 100000, times = 1 }, { on = "media", close = "unanswered" } }
    local file, err = client:download(url(), path, { attempts = 1 })
    assert.is_nil(file)
    assert.equal("network", err.code)
    sim:script {}
  end

  for _, piece in ipairs { "x", "я", "日" } do
    it("of a name that leaves no room has a shorter one: " .. piece, function()
      for _, length in ipairs { 239, 240, 242, 250, 251, 255 } do
        local name = piece:rep(math.floor((length - 4) / #piece))
        name = name .. ("x"):rep(length - 4 - #name) .. ".mp4"
        assert.equal(length, #name)
        local path = folder .. "/" .. name
        cut(path)
        assert.is_nil(helper.read(path))
        assert.equal(2, #helper.list(folder)) -- and its notes
        local before = #media()
        assert(client:download(url(), path))
        assert.equal("bytes=100000-", media()[before + 1].headers.range)
        assert.is_true(is_whole(path))
        assert.same({ name }, helper.list(folder))
        os.remove(path)
      end
    end)
  end

  it("of two long names is never the same", function()
    local one, two = folder .. "/" .. ("x"):rep(254), folder .. "/" .. ("x"):rep(255)
    cut(one)
    cut(two)
    assert.equal(4, #helper.list(folder))
    assert(client:download(url(), one))
    assert(client:download(url(), two))
    assert.is_true(is_whole(one) and is_whole(two))
  end)

  describe("is another one where somebody's stands:", function()
    local path, part
    before_each(function()
      path = folder .. "/boat.mp4"
      part = path .. ".part"
    end)

    for name, make in pairs {
      ["a file"] = function() helper.write(part, "mine") end,
      ["an empty one"] = function() helper.write(part, "") end,
      ["a file with notes of its own"] = function()
        helper.write(part, "mine")
        helper.write(part .. ".meta", "mine too")
      end,
      ["a link"] = function()
        helper.write(folder .. "/other", "mine")
        os.execute(("ln -s other %s"):format(part))
      end,
      ["a folder"] = function() os.execute("mkdir " .. part) end,
      ["a pipe"] = function() os.execute("mkfifo " .. part) end,
    } do
      it(name, function()
        make()
        -- A pipe is not read, for nobody writes to it.
        local function state()
          local content = name == "a pipe" and ":" or "cat * 2>&1"
          return helper.output(("cd %s; ls -lA --time-style=+; %s"):format(folder, content))
        end
        local before = state()
        assert.is_nil(require("veo.task.download.target").try(path))
        assert.equal(before, state())
        for _, rule in ipairs { { http = 403 }, { form = "html" }, { body = "" }, { close = "unanswered" } } do
          rule.on = "media"
          sim:script { rule }
          assert.is_nil((client:download(url(), path, { attempts = 1 })))
          assert.equal(before, state())
        end
        cut(path)
        assert.equal(100000, #helper.read(path .. ".2.part"))
        local asked = #media()
        assert(client:download(url(), path))
        assert.equal("bytes=100000-", media()[asked + 1].headers.range)
        assert.is_true(is_whole(path))
        os.remove(path)
        assert.equal(before, state())
      end)
    end

    it("and it goes on there, also when the other has gone meanwhile", function()
      helper.write(part, "mine")
      cut(path)
      os.remove(part)
      local asked = #media()
      assert(client:download(url(), path))
      assert.equal("bytes=100000-", media()[asked + 1].headers.range)
      assert.same({ "boat.mp4" }, helper.list(folder))
    end)

    it("and is locked as the first would be", function()
      helper.write(part, "mine")
      sim:script { { on = "media", drip = 300000, times = 1 } }
      local job = client:spawn(function() return client:download(url(), path) end)
      helper.step_until(client, function() return helper.read(path .. ".2.part") end)
      local other = helper.client(sim)
      assert.equal("busy", select(2, other:download(url(), path)).code)
      other:close()
      assert(job:wait(helper.PATIENCE))
      assert.same({ "boat.mp4", "boat.mp4.part" }, helper.list(folder))
    end)

    it("until there are too many, which is said before anything is ordered", function()
      for n = 1, 9 do helper.write(path .. (n > 1 and "." .. n or "") .. ".part", "mine") end
      local _, err = client:extend_and_save({ taskId = sim.source, prompt = "x" }, path)
      assert.equal("io", err.code)
      assert.matches("other programs' files", err.message)
      assert.same({ 9, 0 }, { #helper.list(folder), #select(2, sim:charges()) })
    end)

    it("and a whole video waits there for its name", function()
      helper.write(part, "mine")
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      local status = assert(client:wait(task))
      sim:script { { on = "media", drip = 100000 } }
      local _, err = client:download(status, path, { on_progress = function()
        if not core.kind(path) then helper.write(path, "in the way") end
      end })
      assert.equal("exists", err.code)
      assert.matches(path .. ".2.part", err.message, 1, true)
      os.remove(path)
      local asked = #media()
      assert.equal(1, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
      assert.equal(asked, #media())
      assert.is_truthy(helper.boxes(helper.read(path)))
      assert.same({ "boat.mp4", "boat.mp4.part" }, helper.list(folder))
      assert.equal("mine", helper.read(part))
    end)
  end)
end)
