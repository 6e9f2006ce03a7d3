-- What stands beside a target while its video comes, in a folder where others write too: links, pipes and files of somebody
-- else are neither followed, waited for nor written to.

local blob = require "veo.simulator.blob"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local simulator = require "veo.simulator"

local SIZE = 300000

describe("beside a target", function()
  local sim, folder, path, part

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    path = folder .. "/1.mp4"
    part = path .. ".part"
    helper.write(folder .. "/other", "mine")
  end)
  after_each(helper.sweep)

  local function url() return ("%s/media/blob/%d/s.mp4"):format(sim.media_url, SIZE) end
  local function media() return sim:requests { endpoint = "media" } end
  local function shell(command) return helper.output(("cd %s; %s"):format(folder, command)) end

  -- In a process of its own, which may hang.
  local function save(before)
    local run = "unset LD_PRELOAD; %s LUA_PATH='%s' LUA_CPATH='%s' exec timeout 120 %s "
      .. "spec/support/saver.lua '%s' %s '%s'"
    return helper.output(run:format(before or "", package.path, helper.cpath(), helper.lua(), sim.ca_file or "", folder,
      url()))
  end
  local function assert_saved(text)
    assert.matches("^saved " .. SIZE, text)
    assert.is_true(helper.read(path) == blob.bytes(0, SIZE - 1, "s"))
    assert.equal("mine", helper.read(folder .. "/other"))
  end
  -- Leaves a part of the download, with its notes.
  local function cut()
    sim:script { { on = "media", cut = 100000, times = 1 }, { on = "media", close = "unanswered" } }
    assert.matches("^network", save())
    sim:script {}
    assert.equal(100000, #helper.read(part))
  end

  for name, make in pairs { ["a link"] = "ln -s other %s", ["a pipe"] = "mkfifo %s",
    ["another name of a file"] = "ln other %s" } do
    for _, where in ipairs { "1.mp4.part.meta", "1.mp4.part.meta.new" } do
      it(("%s as %s is neither followed nor waited for"):format(name, where), function()
        shell(make:format(where))
        assert_saved(save())
        os.remove(path)
        shell("rm -f 1.mp4.*")
        cut()
        shell(("rm -f %s; "):format(where) .. make:format(where))
        assert_saved(save())
      end)
    end
  end

  it("damaged notes are ignored", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local head = "lua-veo download 1\n"
    cut()
    local ours = head .. helper.read(part .. ".meta"):match "id=%x+\n"
    for _, notes in ipairs { "", head, head .. "validator=\n", ours .. 'validator="a\0b"\ntotal=300000\n',
      ours .. 'validator=a\rHost: x\ntotal=300000\n', ours .. ('validator="%s"\ntotal=300000\n'):format(("x"):rep(999)),
      ours .. 'validator="x"\ntotal=nan\n', ours .. 'validator="x"\ntotal=-1e999\n',
      ours .. 'validator="x"\ntotal=1e999\n', head .. table.concat(bytes), ("lua-veo download "):rep(1000) } do
      helper.write(part, ("x"):rep(100000))
      helper.write(part .. ".meta", notes)
      assert_saved(save())
      os.remove(path)
      shell "rm -f 1.mp4.*"
    end
  end)

  needs.block("root", it)("somebody else's unfinished file is left alone, with notes that fit", function()
    cut()
    local planted = ("x"):rep(100000)
    helper.write(part, planted)
    shell "chown 65534 1.mp4.part 1.mp4.part.meta"
    assert_saved(save())
    assert.equal(planted, helper.read(part))
    -- Of whoever owns the folder it goes on.
    shell "rm -f 1.mp4*"
    cut()
    shell "chown 65534 . 1.mp4.part 1.mp4.part.meta"
    local asked = #media()
    assert_saved(save())
    assert.equal("bytes=100000-", media()[asked + 1].headers.range)
  end)

  it("a file that took the place of the part does not get the name", function()
    sim:script { { on = "media", drip = 100000, times = 1 } }
    local client = helper.client(sim)
    local swapped
    local file, err = client:download(url(), path, { on_progress = function()
      if not swapped then swapped = os.rename(part, folder .. "/away") and os.rename(folder .. "/other", part) end
    end })
    client:close()
    assert.is_true(swapped)
    assert.is_nil(file)
    assert.equal("io", err.code)
    assert.matches("another file stands under this name", err.message)
    assert.is_nil(helper.read(path))
    assert.equal("mine", helper.read(part))
  end)

  it("the notes are their owner's alone, whatever the umask", function()
    sim:script { { on = "media", cut = 100000, times = 1 }, { on = "media", close = "unanswered" } }
    save("umask 000;")
    assert.equal("600\n", shell "stat -c %a 1.mp4.part.meta")
  end)
end)
