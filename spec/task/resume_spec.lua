-- Taking up what a crash, a restart or another machine left.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local filenames = require "veo.util.filename"
local simulator = require "veo.simulator"

local unpack = table.unpack or unpack -- luacheck: ignore

describe("resume", function()
  local sim, place, folder, clients
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    place, clients = folder .. "/renders.db", {}
  end)
  after_each(function() for _, client in ipairs(clients) do client:close() end end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim, options)
    return clients[#clients]
  end
  local function order(client, n, more)
    local tasks = {}
    for i = 1, n do tasks[i] = assert(client:extend({ taskId = sim.source, prompt = "shot " .. i }, more)) end
    return tasks
  end

  it("waits for, saves and hands over what an earlier process ordered", function()
    local before = new()
    local tasks = order(before, 3)
    before:close()
    local handed = {}
    local summary = assert(new():resume {
      path = folder .. "/{taskId}.mp4",
      on_result = function(status, task, err, file)
        handed[task.taskId] = { status.state, task.state, err, file.path }
      end,
    })
    assert.equal(3, summary.saved)
    for _, task in ipairs(tasks) do
      local path = folder .. "/" .. task.taskId .. ".mp4"
      assert.same({ "succeeded", "saved", nil, path }, handed[task.taskId])
      assert.equal("ftyp", helper.boxes(helper.read(path))[1])
    end
    assert.equal("saved saved saved", ledgers.states(place))
    assert.equal(0, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("saves what was finished and not yet saved", function()
    local client = new()
    assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "a" }))
    client:close()
    assert.equal(1, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("knows its own file after a crash between its name and the ledger's word", function()
    local client = new()
    local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "a" }))
    local path = folder .. "/boat.mp4"
    assert(client:download(status, path))
    client:close()
    ledgers.query(place, "UPDATE veo_tasks SET state = 'done'")
    local requests = #sim:requests { endpoint = "media" }
    local file
    assert.equal(1, assert(new():resume { path = folder .. "/{taskId}.mp4",
      on_result = function(_, _, _, saved) file = saved end }).saved)
    assert.same({ path, true }, { file.path, file.already })
    assert.equal(requests, #sim:requests { endpoint = "media" })
  end)

  it("does not take another file for its own", function()
    local client = new()
    local task = order(client, 1)[1]
    client:close()
    helper.write(folder .. "/" .. task.taskId .. ".mp4", "mine")
    local told
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4",
      on_result = function(_, _, err) told = err end })
    assert.same({ 1, 0, "exists" }, { summary.open, summary.saved, told.code })
    assert.equal("mine", helper.read(folder .. "/" .. task.taskId .. ".mp4"))
    assert.equal("done", ledgers.states(place))
    assert.equal(1, assert(new():resume { path = folder .. "/again-{taskId}.mp4" }).saved)
  end)

  it("without a path hands a result over once", function()
    local client = new()
    order(client, 2)
    client:close()
    local count = 0
    local function on_result() count = count + 1 end
    assert.equal(2, assert(new():resume { on_result = on_result }).done)
    assert.equal(0, assert(new():resume { on_result = on_result }).done)
    assert.equal(2, count)
  end)

  it("tells of failed tasks", function()
    sim:script { { on = "extend", fail = 2 } }
    local client = new()
    order(client, 1)
    client:close()
    local told
    local summary = assert(new():resume {
      on_result = function(status, task, err) told = { status, task.state, err.code } end,
    })
    assert.equal(1, summary.failed)
    assert.same({ nil, "failed", "failed" }, told)
    assert.equal("failed", ledgers.states(place))
  end)

  it("leaves open what has not ended in time, and what the service does not know", function()
    sim:script { { on = "status", state = "generating" } }
    local client = new()
    order(client, 1)
    client:close()
    local summary = assert(new():resume { wait = { timeout = 0.2 } })
    assert.equal(1, summary.open)
    assert.equal("accepted", ledgers.states(place))
    sim:script { { on = "status", code = 404 } }
    assert.equal(1, assert(new():resume { wait = { grace = 0.1 } }).open)
    assert.equal("accepted", ledgers.states(place))
  end)

  it("stops at what every task would meet", function()
    local client = new()
    order(client, 3)
    client:close()
    sim:script { { on = "status", code = 401 } }
    local _, err = new():resume()
    assert.equal("unauthorized", err.code)
    assert.equal("accepted accepted accepted", ledgers.states(place))
  end)

  it("gives an error in on_result back, and loses no task", function()
    local client = new()
    order(client, 3)
    client:close()
    local _, err = new():resume { on_result = function() error("mine") end }
    assert.equal("job_failed", err.code)
    assert.truthy(err.message:find("mine", 1, true))
    assert.equal(3, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("works inside a job, and is cancelled with it", function()
    local client = new()
    order(client, 3)
    client:close()
    sim:script { { on = "status", state = "generating" } }
    client = new()
    local job = client:spawn(function() return client:resume() end)
    helper.step_until(client, function() return sim:count("GET", helper.STATUS) >= 3 end)
    job:cancel()
    helper.step_until(client, function() return client:step(0) == 0 end)
    sim:script {}
    assert.equal(3, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("does not take what a living process holds", function()
    local holder = new()
    order(holder, 2)
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4" })
    assert.equal(0, summary.saved)
    holder:close()
    assert.equal(2, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("takes over when a lease has passed", function()
    local holder = new()
    order(holder, 2)
    ledgers.query(place, "UPDATE veo_tasks SET lease = 1, boot_lease = 1")
    assert.equal(2, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("drops a task that another worker has taken over meanwhile", function()
    local client = new()
    order(client, 1)
    client:close()
    sim:script { { on = "status", state = "generating" } }
    local told = 0
    client = new()
    local job = client:spawn(function() return client:resume { on_result = function() told = told + 1 end } end)
    helper.step_until(client, function() return sim:count("GET", helper.STATUS) >= 1 end)
    ledgers.query(place, "UPDATE veo_tasks SET claim = 'theirs', owner = 'elsewhere/1:1:1:a', lease = 9999999999")
    sim:script {}
    local summary = assert(job:wait())
    assert.equal(1, summary.lost)
    assert.equal(0, told)
    assert.equal("accepted", ledgers.states(place))
  end)

  it("keeps its claims with a heartbeat", function()
    local client = new()
    order(client, 1)
    client:close()
    sim:script { { on = "status", state = "generating" } }
    client = new { lease = 3 }
    local job = client:spawn(function() return client:resume { wait = { interval = 0.2, max_interval = 0.3 } } end)
    local ended = helper.now() + 4
    local other = new()
    while helper.now() < ended do
      client:step(20)
      assert.equal(0, assert(other:resume { wait = { timeout = 0 } }).open)
    end
    assert.equal("pending", job:status())
  end)

  it("shares many tasks among its turns", function()
    sim:credits(1000000)
    local client = new()
    order(client, 450)
    client:close()
    assert.equal(450, assert(new():resume { limit = 100, on_result = function() end }).done)
    assert.equal(450, sim:count("GET", helper.STATUS))
  end)

  it("tries what is older than the service's memory, and reports it", function()
    local client = new()
    local tasks = order(client, 3)
    client:close()
    ledgers.query(place, "UPDATE veo_tasks SET created = created - 15 * 86400")
    sim:script { { on = "status", task = tasks[1].taskId, code = 422,
      msg = "Temporarily supports records within 14 days." }, { on = "status", task = tasks[2].taskId, code = 404 } }
    local told = {}
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4",
      on_result = function(_, task, err) told[task.taskId] = err and err.code or "saved" end })
    assert.same({ 1, 1, 1 }, { summary.failed, summary.open, summary.saved })
    assert.same({ "expired", "not_found", "saved" },
      { told[tasks[1].taskId], told[tasks[2].taskId], told[tasks[3].taskId] })
  end)

  it("in the client that just ordered saves the tasks in the same run", function()
    local client = new()
    local tasks = order(client, 2)
    assert(client:wait(tasks[1]))
    local summary = assert(client:resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 2, 0 }, { summary.saved, summary.busy })
    for _, task in ipairs(tasks) do assert.is_truthy(helper.read(folder .. "/" .. task.taskId .. ".mp4")) end
    assert.equal(2, #sim:requests { endpoint = "media" })
  end)

  it("leaves alone what another call of the client really waits for or saves", function()
    local client = new()
    local tasks = order(client, 4)
    sim:script { { on = "status", state = "generating" } }
    local ended = {}
    local function wait(task)
      client:spawn(function()
        local status = assert(client:wait(task))
        ended[#ended + 1] = status.taskId
      end)
    end
    wait(tasks[1])
    client:spawn(function()
      local each = client:wait_each { tasks[2].taskId, tasks[3].taskId }
      for _ = 1, 2 do -- Lua 5.1 cannot wait in a for that calls it
        local taskId = each()
        ended[#ended + 1] = taskId
      end
    end)
    helper.step_until(client, function() return sim:count("GET", helper.STATUS) >= 3 end)
    local resuming = client:spawn(client.resume, client, { path = folder .. "/{taskId}.mp4" })
    helper.step_until(client, function()
      for _, request in ipairs(sim:requests { endpoint = "status" }) do
        if request.query.taskId == tasks[4].taskId then return true end
      end
    end)
    sim:script { { on = "media", delay = 0.3 } }
    local summary = assert(resuming:wait())
    assert(client:run())
    assert.same({ 1, 3, 3 }, { summary.saved, summary.busy, #ended })
    -- They were let go of; this time one is being saved.
    local status = assert(client:status(tasks[1]))
    client:spawn(client.download, client, status, folder .. "/mine.mp4")
    summary = assert(client:resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 2, 1 }, { summary.saved, summary.busy })
    assert(client:run())
    assert.equal(4, #sim:requests { endpoint = "media" })
  end)

  it("lets two runs of one client share the work", function()
    local client = new()
    order(client, 3)
    sim:script { { on = "status", delay = 0.2 } }
    local function run() return client:spawn(client.resume, client, { path = folder .. "/{taskId}.mp4" }) end
    local first = run()
    helper.step_until(client, function() return sim:count("GET", helper.STATUS) >= 3 end)
    local second = run()
    local a, b = assert(first:wait()), assert(second:wait())
    assert.same({ 3, 0, 0, 3 }, { a.saved, a.lost, b.saved, b.busy })
    assert.equal("saved saved saved", ledgers.states(place))
    assert.equal(3, #sim:requests { endpoint = "media" })
  end)

  it("counts what others see to", function()
    local holder = new()
    order(holder, 2)
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 0, 2 }, { summary.saved, summary.elsewhere })
    holder:close()
    local client = new()
    sim:script { { on = "extend", delay = 5 } }
    client:spawn(order, client, 1, { key = "k" })
    helper.step_until(client, function() return sim:count("POST", helper.EXTEND) == 3 end)
    summary = assert(client:resume { path = folder .. "/{taskId}.mp4" })
    assert.same({ 2, 0, 1 }, { summary.saved, summary.elsewhere, summary.busy })
  end)

  it("keeps what is wrong with one task's path to that task", function()
    local client = new()
    order(client, 5)
    local told = {}
    local summary = assert(client:resume {
      path = function(task)
        local n = tonumber(task.params.prompt:match "%d+")
        if n == 1 then return nil end
        if n == 2 then error("mine") end
        if n == 3 then return folder .. "/a\0b.mp4" end
        if n == 4 then client:sleep(0.01) end
        return folder .. "/" .. n .. ".mp4"
      end,
      on_result = function(status, task, err)
        told[tonumber(task.params.prompt:match "%d+")] = { status.state, err and err.code,
          err and err.taskId == task.taskId }
      end,
    })
    assert.same({ 2, 3 }, { summary.saved, summary.open })
    assert.same({ { "succeeded", "invalid", true }, { "succeeded", "job_failed", true },
      { "succeeded", "invalid", true }, { "succeeded" }, { "succeeded" } }, told)
    assert.same({ "4.mp4", "5.mp4", "renders.db" }, { unpack(helper.list(folder), 1, 3) })
    assert.equal(3, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("says so without a ledger", function()
    local plain = helper.client(sim)
    assert.equal("ledger", select(2, plain:resume()).code)
    assert.equal("ledger", select(2, plain:tasks()).code)
    assert.equal("ledger", select(2, plain:settle("a", "lost")).code)
    plain:close()
  end)

  it("is what the examples show", function()
    for name, expected in pairs { ledger = "charged:  3 times for 3 orders", chain = "saved:   long.mp4, 3 hops" } do
      local text = helper.output(("here=$PWD; cd %s && LUA_PATH=\"$here/lua/?.lua;$here/lua/?/init.lua;;\" "
        .. "LUA_CPATH='%s' VEO_SIMULATE=1 %s \"$here/examples/%s.lua\""):format(folder,
        package.cpath:gsub("^build", helper.output("pwd"):gsub("\n", "") .. "/build"), helper.lua(), name))
      assert.truthy(text:find(expected, 1, true), text)
    end
    for _, name in ipairs { "boat-1.mp4", "boat-2.mp4", "boat-3.mp4", "long.mp4" } do
      assert.equal("ftyp", helper.boxes(helper.read(folder .. "/" .. name))[1])
    end
  end)

  describe("a path's pattern", function()
    local record = { taskId = "abc", ref = "r1", key = "../../etc/passwd", operation = "extend", created = 0 }
    it("is filled", function()
      assert.equal("out/abc-r1-extend-1970-01-01.mp4",
        filenames.fill("out/{taskId}-{ref}-{operation}-{day}.mp4", record))
      assert.equal("abc.mp4", filenames.fill("{key}.mp4", { taskId = "abc", ref = "r", operation = "x", created = 0 }))
    end)

    it("does not leave its folder", function()
      assert.equal("out/%2E.%2F..%2Fetc%2Fpasswd.mp4", filenames.fill("out/{key}.mp4", record))
    end)

    it("must tell tasks apart", function()
      for _, wrong in ipairs { "out.mp4", "{task}.mp4", "{day}.mp4", "" } do
        assert.has_error(function() new():resume { path = wrong } end)
      end
    end)
  end)
end)
