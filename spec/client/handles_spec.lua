-- Tasks as handles: plain tables with methods.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("a task", function()
  local sim, client, folder

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    client, folder = helper.client(sim), helper.folder()
  end)
  after_each(function() client:close() end)

  local function extend(prompt)
    return assert(client:extend { taskId = sim.source, prompt = prompt or "the boat turns" })
  end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function looks() return sim:count("GET", helper.STATUS) end

  it("is a plain table that encodes as JSON, and says what it is", function()
    local task = extend()
    assert.equal(task.taskId, cjson.decode(cjson.encode(task)).taskId)
    for name in pairs(task) do assert.is_true(name == "taskId" or name == "raw", name) end
    assert.equal("veo task " .. task.taskId .. " (ordered)", tostring(task))
    local status = assert(task:wait())
    assert.equal("veo task " .. task.taskId .. " (succeeded)", tostring(status))
    assert.equal(200, status.raw.code)
    assert.equal("veo task \\x1Bx", tostring(client:task "\27x"))
  end)

  it("is waited for, looked at, saved and extended", function()
    local task = extend()
    assert.equal(task.taskId, assert(task:wait()).taskId)
    assert.equal("succeeded", assert(task:status()).state)
    local file = assert(task:save(folder .. "/a.mp4"))
    assert.same({ folder .. "/a.mp4", task.taskId }, { file.path, file.taskId })
    local longer = assert(task:extend { prompt = "it enters the harbour" })
    assert.are_not.equal(task.taskId, longer.taskId)
    assert.is_true(assert(longer:save(folder .. "/b.mp4")).bytes > 1000)
    assert.equal(2, posts())
    assert.same({}, sim:violations())
  end)

  it("is known by its id, by a status, or by a ledger's record", function()
    local task = extend()
    assert(client:task(task.taskId):save(folder .. "/a.mp4"))
    assert(client:task(assert(client:status(task.taskId))):save(folder .. "/b.mp4"))
    local keeper = helper.client(sim, { ledger = folder .. "/renders.db" })
    assert(keeper:extend { taskId = sim.source, prompt = "kept" }):wait()
    local record = assert(keeper:tasks())[1]
    assert(keeper:task(record):save(folder .. "/c.mp4"))
    assert.equal("succeeded", assert(keeper:task(record):status()).state)
    assert.equal("saved", assert(keeper:tasks())[1].state)
    keeper:close()
    assert.equal(2, posts())
  end)

  it("takes of a table no more than its id, for what else it says may be of another video", function()
    local task = extend()
    assert(task:wait())
    local note = { taskId = task.taskId, source = sim.source, video_url = "http://127.0.0.1:9/x.mp4", version = "v2" }
    assert.same({ taskId = task.taskId }, client:task(note))
    local before = #select(2, sim:charges())
    assert(client:task(note):save(folder .. "/a.mp4"))
    assert.equal(before, #select(2, sim:charges()))
    assert(client:task(note):upgrade "4k")
    local _, charges = sim:charges()
    assert.equal(task.taskId, charges[#charges].source)
    assert.equal(task, client:task(task))
  end)

  it("that nobody has confirmed as the order's is used for nothing", function()
    local stranger = extend "another's"
    local record = { taskId = stranger.taskId, ref = "r1", state = "uncertain" }
    local handle = client:task(record)
    for _, call in ipairs {
      function() return handle:save(folder .. "/a.mp4") end,
      function() return handle:wait() end,
      function() return handle:upgrade "4k" end,
      function() return handle:extend { prompt = "x" } end,
    } do
      local value, err = call()
      assert.same({ nil, "uncertain" }, { value, err.code })
    end
    local value, err = client:task { ref = "r2", state = "uncertain" }
    assert.same({ nil, "invalid", "r2" }, { value, err.code, err.ref })
    assert.equal(1, posts())
  end)

  it("with a ledger, says that its name is another order's before it is waited for", function()
    local keeper = helper.client(sim, { ledger = folder .. "/renders.db" })
    assert(keeper:extend({ taskId = sim.source, prompt = "first" }, { path = folder .. "/a.mp4" }))
    local second = assert(keeper:extend { taskId = sim.source, prompt = "second" })
    local _, err = second:save(folder .. "/a.mp4")
    assert.is_true(err.code == "exists" or err.code == "busy", err.code)
    assert.equal(0, looks())
    keeper:close()
  end)

  it("that is cancelled while it is saved takes no other order's name away", function()
    local keeper = helper.client(sim, { ledger = folder .. "/renders.db" })
    local path = folder .. "/a.mp4"
    local first = assert(keeper:extend({ taskId = sim.source, prompt = "first" }, { path = path }))
    local second = assert(keeper:extend { taskId = sim.source, prompt = "second" })
    local job = keeper:spawn(second.save, second, path, { overwrite = true })
    keeper:step(5)
    keeper:step(5)
    job:cancel()
    assert.equal(path, keeper:tasks({ taskId = first.taskId })[1].path)
    assert.equal(path, assert(first:save(path)).path)
    keeper:close()
  end)

  it("says what stands in the way of its file before it is waited for", function()
    helper.write(folder .. "/a.mp4", "mine")
    local task = extend()
    local _, err = task:save(folder .. "/a.mp4")
    assert.same({ "exists", 0 }, { err.code, looks() })
    _, err = task:save(folder .. "/none/a.mp4")
    assert.same({ "io", 0 }, { err.code, looks() })
    assert.equal("mine", helper.read(folder .. "/a.mp4"))
    assert(task:save(folder .. "/a.mp4", { overwrite = true }))
  end)

  it("is handed back where a ledger knows its file, and nobody is asked", function()
    local keeper = helper.client(sim, { ledger = folder .. "/renders.db" })
    local task = assert(keeper:extend { taskId = sim.source, prompt = "kept" })
    assert(task:save(folder .. "/a.mp4"))
    local before = #sim:requests()
    assert.is_true(assert(task:save(folder .. "/a.mp4")).already)
    assert.equal(before, #sim:requests())
    keeper:close()
  end)

  it("goes to a function piece by piece, and says why where it does not come", function()
    local got, task = {}, extend()
    local file = assert(task:save(function(chunk) got[#got + 1] = chunk end))
    assert.equal(file.bytes, #table.concat(got))
    sim:script { { on = "extend", fail = 2 } }
    local _, err = extend("another"):save(folder .. "/z.mp4")
    assert.equal("failed", err.code)
    assert.same({}, helper.list(folder))
  end)

  it("is saved by jobs, each its own", function()
    local jobs = {}
    for n = 1, 5 do
      local task = extend("shot " .. n)
      jobs[n] = client:spawn(task.save, task, folder .. "/" .. n .. ".mp4")
    end
    assert(client:run())
    for n = 1, 5 do assert.is_string(assert(jobs[n]:result()).path) end
    assert.equal(5, #helper.list(folder))
  end)

  it("two of which are to have one name: the second is busy", function()
    local first, second = extend "a", extend "b"
    local one = client:spawn(first.save, first, folder .. "/a.mp4")
    local two = client:spawn(second.save, second, folder .. "/a.mp4")
    assert(client:run())
    assert.is_table(one:result())
    assert.equal("busy", select(2, two:result()).code)
  end)

  describe("is upgraded", function()
    local PRICES = { get_4k = 120, get_1080p = 5 }

    it("to 1080P, which is waited for and saved", function()
      local task = extend()
      assert(task:wait())
      local hd = assert(task:upgrade("1080P", { interval = 0.02 }))
      assert.same({ task.taskId, "succeeded" }, { hd.taskId, hd.state })
      assert(hd:save(folder .. "/hd.mp4"))
      local again = assert(hd:upgrade("1080p", { interval = 0.02 }))
      assert.equal(hd.taskId, again.taskId)
    end)

    it("to 4K, an order that is saved like any other, under a key of its own", function()
      local keeper = helper.client(sim, { ledger = folder .. "/renders.db", prices = PRICES })
      local task = assert(keeper:extend { taskId = sim.source, prompt = "kept" })
      assert(task:wait())
      local uhd = assert(task:upgrade("4k", { key = "uhd", index = 0 }))
      assert.are_not.equal(task.taskId, uhd.taskId)
      assert(uhd:save(folder .. "/uhd.mp4"))
      assert.equal("saved", assert(keeper:tasks { key = "uhd" })[1].state)
      keeper:close()
    end)
  end)

  describe("that is an upgrade", function()
    it("is never taken for the plain video", function()
      local keeper = helper.client(sim, { ledger = folder .. "/renders.db" })
      local task = assert(keeper:extend { taskId = sim.source, prompt = "kept" })
      assert(task:save(folder .. "/v.mp4"))
      local hd = assert(task:upgrade("1080p", { interval = 0.02 }))
      assert.equal("exists", select(2, hd:save(folder .. "/v.mp4")).code)
      assert.equal(hd, assert(hd:wait()))
      assert(assert(hd:wait()):save(folder .. "/hd.mp4"))
      local fetched = sim:requests { endpoint = "media" }
      assert.matches("1080p", fetched[#fetched].path)
      keeper:close()
    end)

    for _, api in ipairs { "veo", "jobs" } do
      it("is known by the ledger when only its id is left, over " .. api, function()
        local options = { ledger = folder .. "/renders.db", api = api }
        local keeper = helper.client(sim, options)
        local task = assert(keeper:extend { taskId = sim.source, prompt = "kept" })
        assert(task:wait())
        local uhd = assert(task:upgrade "4k")
        assert(uhd:save(folder .. "/uhd.mp4"))
        keeper:close()
        local before, later = #select(2, sim:charges()), helper.client(sim, options)
        local again = assert(later:task(uhd.taskId):upgrade "4k")
        assert.same({ uhd.taskId, before }, { again.taskId, #select(2, sim:charges()) })
        later:close()
      end)

      it("is not paid again by an upgrade of it, over " .. api, function()
        local own = helper.client(sim, { api = api })
        local task = assert(own:extend { taskId = sim.source, prompt = "x" })
        assert(task:wait())
        local uhd = assert(task:upgrade "4k")
        local before = #select(2, sim:charges())
        local again = assert(assert(uhd:wait()):upgrade "4k")
        assert.same({ uhd.taskId, before }, { again.taskId, #select(2, sim:charges()) })
        own:close()
      end)
    end
  end)

  it("does not keep a client that is not closed, once it has ended", function()
    local watched = setmetatable({}, { __mode = "v" })
    local function work()
      local own = helper.client(sim)
      assert(own:extend { taskId = sim.source, prompt = "x" }):wait()
      watched.client = own
    end
    work()
    for _ = 1, 4 do collectgarbage() end
    assert.is_nil(watched.client)
  end)

  it("keeps its client, and goes with it", function()
    local function make()
      local own = helper.client(sim)
      return assert(own:extend { taskId = sim.source, prompt = "x" })
    end
    local task = make()
    collectgarbage()
    collectgarbage()
    assert(task:wait())
    local watched = setmetatable({}, { __mode = "v" })
    local function order() watched.task = extend() end
    order()
    extend "another" -- the last call's job is kept until the next
    collectgarbage()
    collectgarbage()
    assert.is_nil(watched.task)
  end)

  it("of a closed client raises at the caller's line", function()
    local task = extend()
    client:close()
    for _, method in ipairs { "save", "upgrade" } do
      local file, _, message = helper.raised(function() local _ = task[method](task, "1080p") end)
      assert.equal("handles_spec.lua", file, message)
      assert.matches(method .. ": the client is closed", message, 1, true)
    end
    local _, _, message = helper.raised(function() local _ = task:wait() end)
    assert.matches("wait: the client is closed", message, 1, true)
  end)

  it("is misused at the caller's line", function()
    local task = extend()
    for message, call in pairs {
      ["save: path: a non-empty file name, or a function, expected"] = function() local _ = task:save(5) end,
      ["save: unknown option intervall (did you mean interval?)"] = function()
        local _ = task:save(folder .. "/a.mp4", { intervall = 1 })
      end,
      ["save: wait: unknown option every"] = function()
        local _ = task:save(folder .. "/a.mp4", { wait = { every = 1 } })
      end,
      ["save: on_progress: say whose it is"] = function()
        local _ = task:save(folder .. "/a.mp4", { on_progress = print })
      end,
      ['upgrade: which: "1080p" or "4k" expected'] = function() local _ = task:upgrade "8k" end,
      ["upgrade: unknown option ndex"] = function() local _ = task:upgrade("4k", { ndex = 1 }) end,
      ["extend: a table of parameters expected"] = function() local _ = task:extend "prompt" end,
      ["extend: taskId: it is this task that is extended"] = function()
        local _ = task:extend { taskId = "another", prompt = "x" }
      end,
      ["call it with a colon, on a task: task:save(…)"] = function() local _ = task.save(folder .. "/a.mp4") end,
      ["task: a taskId, or a table that has one, expected"] = function() local _ = client:task(5) end,
    } do
      local file, _, said = helper.raised(call)
      assert.equal("handles_spec.lua", file, said)
      assert.is_truthy(said:find(message, 1, true), said)
    end
    assert.equal(1, posts())
  end)
end)

describe("a call", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  it("that is given the error of another one raises that error", function()
    local _, err = client:extend { taskId = sim.source }
    for _, call in ipairs {
      function() return client:wait(client:extend { taskId = sim.source }) end,
      function() return client:wait(err) end,
      function() return client:status(nil, err) end,
      function() return client:task(err) end,
      function() return client:download(err, "x.mp4") end,
    } do
      local ok, raised = pcall(call)
      assert.is_false(ok)
      if type(raised) == "string" then -- Lua 5.1, whose interpreter shows no error that is a table
        assert.matches("invalid: extend: prompt", raised)
      else
        assert.same({ "invalid", "prompt" }, { raised.code, raised.field })
      end
    end
  end)

  it("takes a group of options as a table or flat", function()
    local folder, seen = helper.folder(), 0
    local function progress(status) if status.done then seen = seen + 1 end end
    local task = assert(client:extend { taskId = sim.source, prompt = "x" })
    assert(client:wait(task, { wait = { interval = 0.01, on_progress = progress } }))
    assert(client:wait(task, { interval = 0.01, on_progress = progress }))
    assert.equal(2, seen)
    assert(client:download(task, folder .. "/a.mp4", { download = { verify = false } }))
    assert(client:extend_and_save({ taskId = sim.source, prompt = "y" }, folder .. "/a.mp4",
      { overwrite = true, interval = 0.01, wait = { first = 0.01 } }))
    local _, _, message = helper.raised(function() client:wait(task, { download = {} }) end)
    assert.matches("wait: unknown option download", message, 1, true)
  end)

  it("says so where an option stands among the parameters, and a parameter among the options", function()
    local _, err = client:extend { taskId = sim.source, prompt = "x", key = "shot-1" }
    assert.same({ "invalid", "key", "extend: key is an option: give it in the second table" },
      { err.code, err.field, err.message })
    _, err = client:generate { prompt = "x", retry = {} }
    assert.equal("generate: retry is an option: give it in the second table", err.message)
    _, err = client:extend_and_save({ taskId = sim.source, prompt = "x", wait = {} }, helper.folder() .. "/a.mp4")
    assert.equal("extend: wait is an option: give it in the second table", err.message)
    local _, _, message = helper.raised(function()
      client:extend({ taskId = sim.source, prompt = "x" }, { seeds = 12345 })
    end)
    assert.equal("extend: seeds is a parameter: give it in the first table", message)
    assert.equal(0, #sim:requests())
  end)

  it("of an earlier version names what to write", function()
    for name, instead in pairs { extend_and_wait = "client:extend_and_save(", get_1080p = ':upgrade("1080p"',
      get_4k = ':upgrade("4k"', pollfd = "client.loop:pollfd()", events = "client.loop:events()",
      timeout = "client.loop:timeout()", warm = "client.loop:warm()", preview = "veo preview" } do
      local file, _, message = helper.raised(function() client[name](client, {}) end)
      assert.equal("handles_spec.lua", file)
      assert.is_truthy(message:find(instead, 1, true), message)
    end
  end)

  it("of the loop is there for a loop of the host's", function()
    assert.is_true(client.loop:warm())
    assert.equal("r", client.loop:events())
    assert.equal(0, client.loop:step(0))
    local job = client:spawn(function() return client:credits() end)
    assert.is_true(client.loop:run())
    assert.is_number((job:result()))
    assert.matches("client.loop:pollfd", select(3, helper.raised(function() client.loop.pollfd() end)), 1, true)
  end)

  it("finds the rooms of its module at first use", function()
    assert.equal(require "veo.webhook", veo.webhook)
    assert.equal(require "veo.receiver", veo.receiver)
    assert.equal(require "veo.simulator", veo.simulator)
    assert.is_nil(veo.money)
  end)
end)
