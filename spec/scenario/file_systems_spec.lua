-- File systems and limits that keep a video from being saved the usual way: no locks, no syncs, no room, a limit on the
-- length of files. In processes of their own, with real sockets.

local blob = require "veo.simulator.blob"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local SIZE = 3000000
local SHIM = (os.getenv "VEO_BUILD" or "build/5.4") .. "/weak_files.so"
local ERRNO = { ENOLCK = 37, ENOSYS = 38, EOPNOTSUPP = 95, EINVAL = 22 } -- of Linux

describe("saving on a file system", function()
  local sim, folder

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
  end)
  after_each(helper.sweep)

  local function url(size, name) return ("%s/media/blob/%d/%s.mp4"):format(sim.media_url, size or SIZE, name or "s") end

  -- The lines that saver.lua prints.
  local function save(before, where, ...)
    local links = {}
    for i, link in ipairs { ... } do links[i] = "'" .. link .. "'" end
    local run = "unset LD_PRELOAD; %s LUA_PATH='%s' LUA_CPATH='%s' exec %s spec/support/saver.lua '%s' %s %s"
    local text = helper.output(run:format(before, package.path, helper.cpath(), helper.lua(),
      sim.ca_file or "", where, table.concat(links, " ")))
    local lines = {}
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines
  end

  local function assert_whole(name, size, seed)
    assert.is_true(helper.read(folder .. "/" .. name) == blob.bytes(0, size - 1, seed))
  end

  for _, weak in ipairs { { "ENOLCK" }, { "ENOSYS" }, { "EOPNOTSUPP" }, { nil, "EINVAL" }, { nil, "ENOSYS" },
    { "ENOLCK", "EINVAL" } } do
    local flock, fsync = weak[1], weak[2]
    it(("where flock says %s and fsync %s, with one warning"):format(flock or "yes", fsync or "yes"), function()
      sim:script { { on = "media", cut = 700000, times = 1 } }
      local lines = save(("LD_PRELOAD='%s' VEO_FLOCK='%s' VEO_FSYNC='%s'"):format(SHIM, ERRNO[flock] or "",
        ERRNO[fsync] or ""), folder, url(SIZE, "a"), url(SIZE, "b"))
      assert.same({ "saved " .. SIZE, "saved " .. SIZE }, { lines[1], lines[2] })
      assert.matches("^1\t", lines[3])
      assert.same({ flock ~= nil, fsync ~= nil }, { lines[3]:find("cannot lock", 1, true) ~= nil,
        lines[3]:find("sync files", 1, true) ~= nil }, lines[3])
      assert.same({ "1.mp4", "2.mp4" }, helper.list(folder))
      assert_whole("1.mp4", SIZE, "a")
      assert_whole("2.mp4", SIZE, "b")
    end)
  end

  it("that fails to sync for another reason is no such: nothing gets the name", function()
    local lines = save(("LD_PRELOAD='%s' VEO_FSYNC=5"):format(SHIM), folder, url())
    assert.matches("^io nil .*Input/output error", lines[1])
    assert.is_nil(helper.read(folder .. "/1.mp4"))
  end)

  -- `ulimit -f` counts in blocks of 512 bytes.
  it("under a limit on the length of files: io, and the process lives", function()
    local lines = save("ulimit -f 2000;", folder, url(), url(SIZE, "b"), url(500000, "c"))
    assert.same({ "saved 500000", "0\tnone" }, { lines[3], lines[4] }, table.concat(lines, "\n"))
    for i = 1, 2 do assert.matches("^io 1 .*the file does not fit: File too large", lines[i]) end
    sim:script { { on = "media", chunked = true } } -- no length is known: it goes as far as it can
    lines = save("ulimit -f 2000;", folder, "function:" .. url(), url(SIZE, "d"))
    assert.same({ "saved " .. SIZE, "0\tnone" }, { lines[1], lines[3] }, table.concat(lines, "\n"))
    assert.matches("^io 1 .*writing the file: File too large", lines[2])
    lines = save("ulimit -f 0;", folder, url(100, "e"), "function:" .. url())
    assert.matches("^io 1 ", lines[1])
    assert.equal("saved " .. SIZE, lines[2])
  end)

  describe("without room:", function()
    local disk

    before_each(function()
      disk = folder .. "/disk"
      os.execute("mkdir " .. disk)
      local done = os.execute(("mount -t tmpfs -o size=1m tmpfs %s 2>/dev/null"):format(disk))
      if done ~= true and done ~= 0 then disk = nil end
    end)
    after_each(function() if disk then os.execute("umount " .. disk) end end)

    it("said at the start where the length is known", function()
      if not disk then return pending "needs the right to mount (sudo make test-full)" end
      local lines = save("", disk, url(), url(500000), "function:" .. url())
      assert.matches("^io 1 .*the file does not fit: No space left on device", lines[1])
      assert.same({ "saved 500000", "saved " .. SIZE }, { lines[2], lines[3] })
      assert.same({ "2.mp4" }, helper.list(disk))
    end)

    it("of the rest alone where a part is there", function()
      if not disk then return pending "needs the right to mount (sudo make test-full)" end
      sim:script { { on = "media", cut = 600000, times = 1 } }
      assert.equal("saved 900000", save("", disk, url(900000))[1])
    end)

    it("said when it is met where no length is known", function()
      if not disk then return pending "needs the right to mount (sudo make test-full)" end
      sim:script { { on = "media", chunked = true } }
      assert.matches("^io 1 .*writing the file: No space left on device", save("", disk, url())[1])
      assert.is_nil(helper.read(disk .. "/1.mp4"))
    end)
  end)
end)
