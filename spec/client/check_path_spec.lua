-- Whether a video could be saved under a name, before anything is waited for.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

describe("check_path", function()
  local sim, client, folder, path

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
    folder = helper.folder()
    path = folder .. "/boat.mp4"
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function assert_refused(code, ...)
    local fine, err = client:check_path(...)
    assert.is_nil(fine)
    assert.is_true(errors.is(err))
    assert.same({ code, (...), "no" }, { err.code, err.path, err.sent })
  end

  it("finds nothing wrong with a free name, and leaves nothing there", function()
    assert.is_true(client:check_path(path))
    assert.is_true(client:spawn(client.check_path, client, path):wait())
    assert.same({}, helper.list(folder))
    assert.equal(0, #sim:requests())
  end)

  it("tells of a file that is there, unless it may be replaced", function()
    helper.write(path, "mine")
    assert_refused("exists", path)
    assert.is_true(client:check_path(path, { overwrite = true }))
    assert.equal("mine", helper.read(path))
  end)

  it("tells of what is no file", function()
    assert_refused("io", folder)
    assert_refused("io", path .. "/")
  end)

  it("makes a folder that is not there with mkdir alone", function()
    local below = folder .. "/new/boat.mp4"
    assert_refused("io", below)
    assert.same({}, helper.list(folder))
    assert.is_true(client:check_path(below, { mkdir = true }))
    assert.same({ "new" }, helper.list(folder))
  end)

  it("takes the client's own download options", function()
    helper.write(path, "mine")
    local other = helper.client(sim, { download = { overwrite = true } })
    assert.is_true(other:check_path(path))
    other:close()
  end)

  it("is busy where another call saves", function()
    local url = sim.media_url .. "/media/blob/3000000.mp4"
    local seen, code
    local job = client:spawn(function()
      return client:download(url, path, { on_progress = function()
        if seen then return end
        seen = true
        local _, err = client:check_path(path)
        code = err and err.code
      end })
    end)
    assert(job:wait(60))
    assert.equal("busy", code)
  end)

  it("raises at the caller's line when it is misused", function()
    for _, bad in ipairs { { n = 1 }, { "" }, { " a.mp4" }, { path, { attempts = 1 } }, { path, 1 } } do
      local ok, message = pcall(function() client:check_path(bad[1], bad[2]) end)
      assert.is_false(ok)
      assert.matches("check_path_spec%.lua:%d+: check_path: ", message)
    end
  end)
end)
