-- Taking up what a crash, a restart or another machine left.

local kit = require "spec.support.kit"
local ledgers = require "spec.support.ledgers"
local patterns = require "veo.pattern"
local simulator = require "veo.simulator"

describe("resume", function()
  local sim, place, folder, clients
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    kit.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = kit.folder()
    place, clients = folder .. "/renders.db", {}
  end)
  after_each(function() for _, client in ipairs(clients) do client:close() end end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = kit.client(sim, options)
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
      assert.equal("ftyp", kit.boxes(kit.read(path))[1])
    end
    assert.equal("saved saved saved", ledgers.states(place))
    assert.equal(0, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("saves what was finished and not yet saved", function()
    local client = new()
    assert(client:extend_and_wait { taskId = sim.source, prompt = "a" })
    client:close()
    assert.equal(1, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("knows its own file after a crash between its name and the ledger's word", function()
    local client = new()
    local status = assert(client:extend_and_wait { taskId = sim.source, prompt = "a" })
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
    kit.write(folder .. "/" .. task.taskId .. ".mp4", "mine")
    local told
    local summary = assert(new():resume { path = folder .. "/{taskId}.mp4",
      on_result = function(_, _, err) told = err end })
    assert.same({ 1, 0, "exists" }, { summary.open, summary.saved, told.code })
    assert.equal("mine", kit.read(folder .. "/" .. task.taskId .. ".mp4"))
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
    kit.step_until(client, function() return sim:count("GET", kit.STATUS) >= 3 end)
    job:cancel()
    kit.step_until(client, function() return client:step(0) == 0 end)
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
    ledgers.query(place, "UPDATE veo_tasks SET lease = 1")
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
    kit.step_until(client, function() return sim:count("GET", kit.STATUS) >= 1 end)
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
    local ended = kit.now() + 4
    local other = new()
    while kit.now() < ended do
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
    assert.equal(450, sim:count("GET", kit.STATUS))
  end)

  it("forgets what the service has forgotten", function()
    local client = new()
    order(client, 1)
    client:close()
    ledgers.query(place, "UPDATE veo_tasks SET created = created - 15 * 86400")
    assert.equal(0, assert(new():resume()).done)
    assert.equal("accepted", ledgers.states(place))
  end)

  it("says so without a ledger", function()
    local plain = kit.client(sim)
    assert.equal("ledger", select(2, plain:resume()).code)
    assert.equal("ledger", select(2, plain:tasks()).code)
    assert.equal("ledger", select(2, plain:settle("a", "lost")).code)
    plain:close()
  end)

  it("is what the examples show", function()
    for name, expected in pairs { ledger = "charged:  3 times for 3 orders", chain = "saved:   long.mp4, 3 hops" } do
      local text = kit.output(("here=$PWD; cd %s && LUA_PATH=\"$here/lua/?.lua;$here/lua/?/init.lua;;\" "
        .. "LUA_CPATH='%s' VEO_SIMULATE=1 %s \"$here/examples/%s.lua\""):format(folder,
        package.cpath:gsub("^build", kit.output("pwd"):gsub("\n", "") .. "/build"), kit.lua(), name))
      assert.truthy(text:find(expected, 1, true), text)
    end
    for _, name in ipairs { "boat_1.mp4", "boat_2.mp4", "boat_3.mp4", "long.mp4" } do
      assert.equal("ftyp", kit.boxes(kit.read(folder .. "/" .. name))[1])
    end
  end)

  describe("a path's pattern", function()
    local record = { taskId = "abc", ref = "r1", key = "../../etc/passwd", operation = "extend", created = 0 }
    it("is filled", function()
      assert.equal("out/abc-r1-extend-1970-01-01.mp4",
        patterns.fill("out/{taskId}-{ref}-{operation}-{day}.mp4", record))
      assert.equal("abc.mp4", patterns.fill("{key}.mp4", { taskId = "abc", ref = "r", operation = "x", created = 0 }))
    end)

    it("does not leave its folder", function()
      assert.equal("out/__.._etc_passwd.mp4", patterns.fill("out/{key}.mp4", record))
    end)

    it("must tell tasks apart", function()
      for _, wrong in ipairs { "out.mp4", "{task}.mp4", "{day}.mp4", "" } do
        assert.has_error(function() new():resume { path = wrong } end)
      end
    end)
  end)
end)
