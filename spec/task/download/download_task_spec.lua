-- A download of a task: one look says where its video is, as `veo download TASK` has it.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("download of a task", function()
  local sim, client, folder, path
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    path = folder .. "/boat.mp4"
    client = helper.client(sim)
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function count(endpoint) return #sim:requests(endpoint and { endpoint = endpoint } or nil) end
  local function is_whole(file, taskId)
    assert.same({ path, taskId }, { file.path, file.taskId })
    assert.is_true(file.bytes > 0 and #helper.read(path) == file.bytes)
    assert.is_truthy(helper.boxes(helper.read(path)))
  end

  it("by its id, by what extend or generate returned, and into a function", function()
    is_whole(assert(client:download(sim.source, path)), sim.source)
    assert.same({ 1, 1 }, { count "status", count "media" })
    for _, task in ipairs { assert(client:extend { taskId = sim.source, prompt = "the boat turns" }),
      assert(client:generate { prompt = "a boat" }) } do
      assert(client:wait(task))
      is_whole(assert(client:download(task, path, { overwrite = true })), task.taskId)
    end
    local bytes = 0
    local file = assert(client:download({ taskId = sim.source }, function(piece) bytes = bytes + #piece end))
    assert.same({ bytes, sim.source }, { file.bytes, file.taskId })
    local job = client:spawn(function() return client:download(sim.source, path, { overwrite = true }) end)
    is_whole(assert(job:wait()), sim.source)
    assert.equal(2, (select(2, ledgers.charged(sim))))
  end)

  it("makes a dead link anew", function()
    sim:script { { on = "media", http = 403, times = 1 } }
    local file = assert(client:download(sim.source, path))
    is_whole(file, sim.source)
    assert.same({ 2, 1 }, { file.requests, count "download_url" })
  end)

  it("that has not ended well says so, and waits for nothing", function()
    sim:add { taskId = "running", render = 100000 }
    sim:add { taskId = "refused", fail = 2 }
    assert.equal("failed", select(2, client:wait "refused").code)
    local before = count "status"
    local ends = { running = "timeout", refused = "failed", unknown = "not_found" }
    for _, taskId in ipairs { "running", "refused", "unknown" } do
      local file, err = client:download(taskId, path)
      assert.is_nil(file)
      assert.same({ ends[taskId], taskId, "download" == err.operation or taskId == "unknown" },
        { err.code, err.taskId, true })
    end
    local _, err = client:download({ taskId = "running" }, path)
    assert.matches("has not ended %(it is generating%)", err.message)
    assert.same({ before + 4, 0 }, { count "status", count "media" })
    sim:script { { on = "status", data = { taskId = sim.source, successFlag = 1, response = { resultUrls = {} } } } }
    assert.equal("no_result", select(2, client:download(sim.source, path)).code)
    assert.equal("", table.concat(helper.list(folder), " "))
  end)

  it("asks nobody where it cannot be saved, or what no task is", function()
    helper.write(path, "mine")
    local before = count()
    local function refused(code, given, target, field)
      local _, err = client:download(given, target)
      assert.same({ code, field }, { err.code, err.field })
    end
    refused("exists", sim.source, path)
    refused("io", { taskId = sim.source }, folder .. "/nowhere/x.mp4")
    refused("invalid", " " .. sim.source, folder .. "/x.mp4", "taskId")
    refused("invalid", "", folder .. "/x.mp4", "taskId")
    refused("invalid", "ftp://" .. sim.source, folder .. "/x.mp4", "url")
    refused("invalid", { taskId = sim.source, state = "generating" }, folder .. "/x.mp4", "status")
    refused("uncertain", { taskId = sim.source, state = "uncertain", ref = "r" }, folder .. "/x.mp4")
    assert.same({ before, "mine" }, { count(), helper.read(path) })
  end)

  it("is noted in the ledger, and there already the next time", function()
    local ledger = folder .. "/r.db"
    local noting = helper.client(sim, { ledger = ledger })
    local task = assert(noting:extend { taskId = sim.source, prompt = "the boat turns" })
    assert(client:wait(task)) -- another client, which notes nothing
    local record = noting:tasks({ taskId = task.taskId })[1]
    assert.same({ "accepted" }, { record.state, record.video_url })
    is_whole(assert(noting:download(record, path)), task.taskId)
    record = noting:tasks({ taskId = task.taskId })[1]
    assert.same({ "saved", path }, { record.state, record.path })
    assert.is_string(record.video_url)
    local before = count()
    for _, given in ipairs { task.taskId, task, record } do
      assert.is_true(assert(noting:download(given, path)).already)
    end
    assert.equal(before, count())
    is_whole(assert(noting:download(record, path, { overwrite = true })), task.taskId) -- by the link it has
    assert.same({ before + 1, 1 }, { count(), (select(2, ledgers.charged(sim))) })
    noting:close()
  end)

  it("that failed is noted too", function()
    local noting = helper.client(sim, { ledger = folder .. "/r.db" })
    sim:script { { on = "status", data = { successFlag = 3, errorMessage = "unsafe" } } }
    local task = assert(noting:extend { taskId = sim.source, prompt = "the boat turns" })
    local _, err = noting:download(task, path)
    assert.same({ "failed", task.taskId }, { err.code, err.taskId })
    assert.equal("failed", noting:tasks({ taskId = task.taskId })[1].state)
    noting:close()
  end)
end)
