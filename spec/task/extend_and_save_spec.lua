-- The usual job in one call, and the same call again.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("extend_and_save", function()
  local sim, folder, path, client
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    path = folder .. "/boat.mp4"
    client = helper.client(sim, { ledger = folder .. "/r.db" })
  end)
  after_each(function() client:close() end)

  local function shot(prompt) return { taskId = sim.source, prompt = prompt or "the boat turns" } end
  local function charges() return (select(2, ledgers.charged(sim))) end

  it("orders, waits and saves, without a ledger too", function()
    local plain = helper.client(sim)
    for n, some in ipairs { plain, client } do
      local to, waited, loaded = folder .. "/" .. n .. ".mp4", 0, 0
      local file = assert(some:extend_and_save(shot(), to, {
        wait = { on_progress = function() waited = waited + 1 end },
        download = { on_progress = function(bytes) loaded = bytes end } }))
      assert.same({ to, #helper.read(to), loaded }, { file.path, file.bytes, loaded })
      assert.is_true(waited > 0)
      assert.equal(n, charges())
    end
    plain:close()
  end)

  it("keeps its name when its client closes midway, as when it is killed", function()
    sim:script { { on = "status", not_ready = 400, times = 1000 } }
    local job = client:spawn(client.extend_and_save, client, shot(), path)
    helper.step_until(client, function()
      local row = client:tasks()[1]
      return row and row.state == "accepted"
    end)
    client:close()
    assert.equal("closed", select(2, job:result()).code)
    sim:script {}
    client = helper.client(sim, { ledger = folder .. "/r.db" })
    assert.equal(path, client:tasks()[1].path)
    assert.equal(1, assert(client:resume { path = function(task) return task.path end }).saved)
    assert.is_true(assert(client:extend_and_save(shot(), path)).already)
    assert.equal(1, charges())
  end)

  it("again hands back the file that is there, with a key and without, and asks nobody", function()
    for n, key in ipairs { "k", false } do
      local order, options = shot("shot " .. n), { key = key or nil }
      local to = folder .. "/" .. n .. ".mp4"
      local file = assert(client:extend_and_save(order, to, options))
      assert.is_nil(file.already)
      ledgers.query(folder .. "/r.db", "UPDATE veo_tasks SET created = 1, updated = 1, ended = 1, state = 'done'")
      local requests = #sim:requests()
      local again = assert(client:extend_and_save(order, to, options))
      assert.same({ to, file.bytes, file.taskId, true, true },
        { again.path, again.bytes, again.taskId, again.already, again.joined })
      assert.equal(requests, #sim:requests())
      assert.equal("saved", client:tasks({ taskId = file.taskId })[1].state)
    end
    assert.equal(2, charges())
  end)

  it("orders nothing where another file stands", function()
    assert(client:extend_and_save(shot(), path, { key = "k" }))
    local calls = {
      { shot "another", path }, { shot "another", path, { key = "k" } }, { shot(), path, { key = "another" } } }
    for _, call in ipairs(calls) do
      assert.equal("exists", select(2, client:extend_and_save(call[1], call[2], call[3])).code)
    end
    helper.write(path, "mine")
    assert.equal("exists", select(2, client:extend_and_save(shot(), path, { key = "k" })).code)
    assert.equal("mine", helper.read(path))
    assert.equal(1, charges())
  end)

  it("goes on after a failure on the way, and says that the order is paid", function()
    sim:script { { on = "media", code = 403, http = 403 }, { on = "download_url", code = 500 } }
    local _, err = client:extend_and_save(shot(), path, { retry = { attempts = 1 }, download = { attempts = 1 } })
    assert.is_truthy(err.taskId)
    assert.is_not.equal("no", err.charged)
    sim:script {}
    local file = assert(client:extend_and_save(shot(), path))
    assert.same({ err.taskId, true, 1 }, { file.taskId, file.joined, charges() })
  end)

  it("raises at misuse", function()
    assert.has_error(function() client:extend_and_save("x", path) end)
    assert.has_error(function() client:extend_and_save(shot()) end)
    assert.has_error(function() client:extend_and_save(shot(), path, { keys = "k" }) end)
    assert.equal(0, charges())
  end)
end)
