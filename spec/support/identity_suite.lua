--- Whose a file is, whatever stands under its name: run on SQLite by identity_spec and on PostgreSQL by ledger_pg_spec.
local assert = require "luassert"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

local function clip(name) return helper.read("lua/veo/simulator/clips/" .. name .. ".mp4") end

---@param sim fun(): table       the simulator
---@param where fun(): string    a fresh ledger
---@param busted table           describe, it, …
---@param instants string[]      at which a process is killed
return function(sim, where, busted, instants)
  local describe, it, before_each, after_each = busted.describe, busted.it, busted.before_each, busted.after_each
  local place, folder, clients

  before_each(function()
    sim():reset()
    place, folder, clients = where(), helper.folder(), {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim(), options)
    return clients[#clients]
  end

  -- An order whose video is this clip.
  local function order(client, video, more, effects)
    return assert(client:extend({ taskId = sim().source,
      prompt = ("%s [sim:media clip=%s%s]"):format(more and more.key or video, video, effects or "") }, more))
  end
  local function fetched() return #sim():requests { endpoint = "media" } end
  local function charges() return #select(2, sim():charges()) end
  local function row(taskId)
    return ledgers.query(place, "SELECT * FROM veo_tasks WHERE task_id = '" .. taskId .. "'")[1]
  end
  local function leftovers()
    local out = {}
    for _, name in ipairs(helper.list(folder)) do if name:find("%.part") then out[#out + 1] = name end end
    return out
  end

  -- A process of its own, in a working directory of its own.
  local function process(cwd, mode, instant, path, taskId)
    local here = helper.output("pwd"):gsub("\n", "")
    local function rooted(text) return (text:gsub("([^;]+)", function(p)
      return p:find("^/") and p or here .. "/" .. p:gsub("^%./", "")
    end)) end
    return helper.output(("cd %s && LUA_PATH='%s' LUA_CPATH='%s' exec %s %s/spec/support/cut_save.lua "
      .. "%s %s '%s' %s %s '%s' '%s'"):format(cwd, rooted(package.path), rooted(helper.cpath()), helper.lua(), here,
      sim().url, sim().api_key, place, mode, instant, path, taskId or ""))
  end

  it("has a name of its own, in whatever script its key is written", function()
    local client, keys = new(), { ["сцена"] = "source", ["музей"] = "hop1", ["日本"] = "hop2", ["中国"] = "hop3",
      ["shot/1"] = "part", ["shot_1"] = "hop1", ["shot%2F1"] = "hop2" }
    for key, video in pairs(keys) do order(client, video, { key = key }) end
    client:close()
    for _ = 1, 2 do -- also for what the first one left open
      assert(new():resume { path = folder .. "/{key}.mp4" })
    end
    for key, video in pairs(keys) do
      local record = assert(new():tasks { key = key })[1]
      assert.equal("saved", record.state, key)
      assert.is_true(helper.read(record.path) == clip(video), key .. " is in " .. record.path)
    end
    assert.same({ 7, 7 }, { charges(), fetched() })
  end)

  describe("after a kill", function()
    for _, mode in ipairs { "download", "resume" } do
      for _, instant in ipairs(instants) do
        local has_name = instant == "renamed" or instant == "unsaid"

        it(("in %s (%s) is found or fetched, and no other file is taken for it"):format(mode, instant), function()
          local client = new()
          local task = order(client, "hop2", nil, instant == "half" and " drip=30000" or nil)
          assert(client:wait(task))
          client:close()
          local path = folder .. "/boat.mp4"
          local given = mode == "download" and "boat.mp4" or path
          assert.matches("Killed", process(folder, mode, instant, given, task.taskId))
          assert.equal("done", row(task.taskId).state)
          assert.equal(has_name, helper.read(path) ~= nil)
          assert.same({ path, instant == "noted" or has_name },
            { row(task.taskId).path, row(task.taskId).digest ~= nil })
          -- The same name in another folder, and without its own folder: a relative path would be this.
          local other = folder .. "/elsewhere"
          os.execute("mkdir " .. other)
          helper.write(other .. "/boat.mp4", "mine")
          local before = fetched()
          local said = process(other, "resume", "never", "boat.mp4")
          if instant == "begun" or instant == "half" or instant == "whole" then
            assert.same({ "mine", "done" }, { helper.read(other .. "/boat.mp4"), row(task.taskId).state }, said)
            -- Another's file under the very name.
            helper.write(path, "mine")
            local err
            assert(new():resume { path = function() return path end, on_result = function(_, _, why) err = why end })
            assert.same({ "exists", "mine", "done" }, { err.code, helper.read(path), row(task.taskId).state })
            os.remove(path)
            assert.equal(1, assert(new():resume { path = function() return path end }).saved)
          end
          assert.equal("mine", helper.read(other .. "/boat.mp4"))
          assert.same({ "saved", path }, { row(task.taskId).state, row(task.taskId).path })
          assert.is_true(helper.read(path) == clip("hop2"))
          assert.same({}, leftovers())
          assert.is_true(fetched() - before <= (instant == "half" and 1 or instant == "begun" and 1 or 0))
          assert.equal(1, charges())
        end)
      end
    end
  end)

  it("is not known by a path that an older ledger kept", function()
    local client = new()
    local task = order(client, "hop2")
    assert(client:wait(task))
    client:close()
    for _, noted in ipairs { "boat.mp4", folder .. "/boat.mp4" } do
      ledgers.query(place, "UPDATE veo_tasks SET path = '" .. noted .. "'")
      helper.write(folder .. "/boat.mp4", "mine")
      assert.equal("ok\n", process(folder, "resume", "never", folder .. "/boat.mp4"))
      assert.same({ "mine", "done" }, { helper.read(folder .. "/boat.mp4"), row(task.taskId).state })
    end
    assert.equal(1, assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved)
  end)

  it("is there already when it agrees; one that its owner moved or edited stays saved", function()
    local client, path = new(), folder .. "/boat.mp4"
    local task = order(client, "hop2")
    local status = assert(client:wait(task))
    assert.is_nil(assert(client:download(status, path)).already)
    local again = assert(client:download(status, path))
    assert.same({ true, path, #clip("hop2"), 1 }, { again.already, again.path, again.bytes, fetched() })
    helper.write(path, "edited")
    assert.equal("exists", select(2, client:download(status, path)).code)
    local function resumed() return assert(new():resume { path = folder .. "/{taskId}.mp4" }).saved end
    assert.same({ 0, "edited", "saved", 1 }, { resumed(), helper.read(path), row(task.taskId).state, fetched() })
    os.rename(path, folder .. "/moved.mp4")
    assert.same({ 0, "saved", 1 }, { resumed(), row(task.taskId).state, fetched() })
    assert.is_nil(helper.read(path))
    assert.is_nil(assert(client:download(status, path)).already) -- asked for
    assert.is_true(helper.read(path) == clip("hop2"))
    helper.write(path, "edited")
    assert(client:download(status, path, { overwrite = true }))
    assert.is_true(helper.read(path) == clip("hop2"))
  end)

  describe("two tasks", function()
    local a, b, one, two, path, client
    local function prepare()
      client, path = new(), folder .. "/boat.mp4"
      a, b = order(client, "hop1", nil, " drip=30000"), order(client, "hop2")
      one, two = assert(client:wait(a)), assert(client:wait(b))
      client:close()
      client = new()
    end

    it("never share a name: all that a killed process fetched is not given up", function()
      prepare()
      assert.matches("Killed", process(folder, "download", "whole", path, a.taskId))
      local begun = helper.read(path .. ".part")
      local _, err = client:download(two, path)
      assert.equal("exists", err.code)
      assert.truthy(err.message:find(a.taskId, 1, true))
      assert.is_true(begun == helper.read(path .. ".part"))
    end)

    it("never share a name: what a killed process only began is another's, and fetched again later", function()
      prepare()
      assert.matches("Killed", process(folder, "download", "half", path, a.taskId))
      assert(client:download(two, path))
      assert.equal(1, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
      assert.is_true(helper.read(path) == clip("hop2"))
      assert.is_true(helper.read(row(a.taskId).path) == clip("hop1"))
    end)

    it("never share a name: a whole video is not given up, also when asked", function()
      prepare()
      assert.matches("Killed", process(folder, "download", "noted", path, a.taskId))
      local count = fetched()
      for _, overwrite in ipairs { true, false } do
        assert.equal("exists", select(2, client:download(two, path, { overwrite = overwrite })).code)
      end
      assert.equal(1, assert(client:resume { path = function() return path end, limit = 1 }).saved)
      assert.equal(count, fetched())
      assert.is_true(helper.read(path) == clip("hop1"))
      assert.equal("exists", select(2, client:download(two, path)).code)
    end)

    it("have one after the other when the first file is gone, or to be replaced", function()
      prepare()
      assert(client:download(one, path))
      os.rename(path, folder .. "/archive.mp4")
      assert(client:download(two, path))
      assert.same({ "saved", "saved", path }, { row(a.taskId).state, row(b.taskId).state, row(b.taskId).path })
      assert.is_nil(row(a.taskId).path)
      assert(client:download(one, path, { overwrite = true }))
      assert.is_true(helper.read(path) == clip("hop1"))
      assert.equal(0, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
    end)

    it("of a resume whose function names them alike are saved once, and the other one stays open", function()
      prepare()
      for _ = 1, 2 do
        assert(client:resume { path = function() return path end, download = { overwrite = true } })
        local saved = row(a.taskId).state == "saved" and "hop1" or "hop2"
        assert.equal("done saved", (ledgers.states(place):gsub("saved done", "done saved")))
        assert.is_true(helper.read(path) == clip(saved))
      end
      assert.equal(1, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved)
    end)

    it("a name is free again when a download came to nothing", function()
      prepare()
      sim():script { { on = "media", form = "html" } }
      assert.equal("not_video", select(2, client:download(one, path)).code)
      sim():script {}
      assert(client:download(two, path))
    end)
  end)

  describe("of a chain", function()
    local function chain(more)
      local params = { taskId = sim().source, prompts = { "one", "two" }, path = folder .. "/long.mp4" }
      for name, value in pairs(more or {}) do params[name] = value end
      return new():chain(params)
    end

    it("is not a file that somebody put in its place", function()
      assert(chain())
      helper.write(folder .. "/long.mp4", "mine")
      local result, err = chain()
      assert.same({ nil, "exists", "mine", 2 },
        { result, err and err.code, helper.read(folder .. "/long.mp4"), charges() })
      assert.equal(clip("hop2"), helper.read(assert(chain { path = folder .. "/other.mp4" }).path))
      assert.equal(2, charges())
    end)

    it("after a kill is its own, and nobody else's", function()
      for _, instant in ipairs { "noted", "renamed" } do
        sim():reset()
        place, folder = where(), helper.folder()
        assert.matches("Killed", process(folder, "chain", instant, "long.mp4", sim().source))
        local other = folder .. "/elsewhere"
        os.execute("mkdir " .. other)
        helper.write(other .. "/long.mp4", "mine")
        assert.matches("exists", process(other, "chain", "never", "long.mp4", sim().source))
        local count = fetched()
        assert.equal("long.mp4\n", process(folder, "chain", "never", "long.mp4", sim().source))
        assert.same({ "mine", 2, count }, { helper.read(other .. "/long.mp4"), charges(), fetched() }, instant)
        assert.is_true(clip("hop2") == helper.read(folder .. "/long.mp4"))
        assert.same({}, leftovers())
        assert.equal("saved saved", ledgers.states(place))
      end
    end)

    it("has its own hops, not an older chain's", function()
      local hops = folder .. "/hop{hop}.mp4"
      local first = assert(chain { save_hops = hops })
      os.remove(folder .. "/long.mp4")
      assert.equal(first.hops[1].path, assert(chain { save_hops = hops }).hops[1].path)
      local second = assert(chain { save_hops = hops, path = folder .. "/second.mp4",
        prompts = { "uno [sim:media clip=part]", "two" } })
      assert.same({ nil, "exists" }, { second.hops[1].path, second.hops[1].err and second.hops[1].err.code })
      assert.is_true(helper.read(folder .. "/hop1.mp4") == clip("hop1"))
      local third = assert(chain { save_hops = hops, path = folder .. "/third.mp4", overwrite = true,
        prompts = { "uno [sim:media clip=part]", "two" } })
      assert.is_true(helper.read(assert(third.hops[1].path)) == clip("part"))
      assert.equal(4, charges())
    end)

    it("that stopped is not a file that somebody put there", function()
      helper.write(folder .. "/long-hop1.mp4", "mine")
      local _, err = chain { prompts = { "one", "[sim:status flag=3] two" } }
      assert.same({ "failed", 2, "mine" }, { err.code, err.hop, helper.read(folder .. "/long-hop1.mp4") })
      assert.is_nil(err.path)
    end)
  end)

  describe("is ordered only where it can be saved:", function()
    local path
    before_each(function() path = folder .. "/boat.mp4" end)
    local function save(client, prompt, more) -- a video of its own
      return client:extend_and_save({ taskId = sim().source, prompt = prompt }, path, more)
    end
    local function begin(client, prompt) return client:spawn(save, client, prompt) end

    it("what a killed process began holds no name up, and what it fetched is said before", function()
      for _, instant in ipairs(instants) do
        local more = (instant == "begun" or instant == "half") and 1 or 0
        sim():reset()
        place, folder = where(), helper.folder()
        path = folder .. "/boat.mp4"
        local client = new()
        local task = order(client, "hop1", nil, " drip=30000")
        assert(client:wait(task))
        client:close()
        assert.matches("Killed", process(folder, "download", instant, path, task.taskId))
        client = new()
        for n = 1, 2 do
          local file, err = save(client, "another " .. n)
          assert.equal(n == 1 and more == 1, file ~= nil, instant)
          assert.equal(file and "" or "exists", err and err.code or "", instant)
        end
        assert.equal(1 + more, charges(), instant)
        if not helper.read(path) or more == 1 then
          assert.equal(1, assert(client:resume { path = folder .. "/{taskId}.mp4" }).saved, instant)
        end
        assert.is_true(helper.read(row(task.taskId).path or path) == clip("hop1"), instant)
      end
    end)

    it("of two calls with one name the second is busy, in one client and in two, and later has it", function()
      for _, two in ipairs { false, true } do
        sim():reset()
        place = where()
        os.remove(path)
        local client = new()
        local other = two and new() or client
        local job = begin(client, "one [sim render=300000]")
        helper.step_until(client, function() return charges() == 1 end)
        helper.step_until(client, function() return ledgers.states(place) == "accepted" end)
        for _, more in ipairs { {}, { download = { overwrite = true } } } do
          local _, err = save(other, "two", more)
          assert.same({ "busy", 1 }, { err.code, charges() })
        end
        assert.equal("busy", select(2, other:extend({ taskId = sim().source, prompt = "two" }, { path = path })).code)
        job:cancel()
        assert(save(other, "two"))
        assert.equal(2, charges())
      end
    end)

    it("a call that comes to nothing, or raises, gives its name back", function()
      local client = new()
      assert.equal("timeout", select(2, save(client, "one [sim render=300000]", { wait = { timeout = 0 } })).code)
      assert.has_error(function()
        save(client, "two", { wait = { on_progress = function() error("mine") end } })
      end)
      assert.is_nil(row(assert(client:tasks())[1].taskId).path)
      assert(save(new(), "three"))
      assert.equal(3, charges())
    end)

    it("a name that leads nowhere is refused, one that leads to a file is that file's", function()
      local client = new()
      os.execute("ln -s nowhere " .. path)
      for _, call in ipairs {
        function() return save(client, "one") end,
        function() return save(client, "one", { download = { overwrite = true } }) end,
        function() return client:chain { taskId = sim().source, prompts = { "one" }, path = path } end,
        function() return client:extend({ taskId = sim().source, prompt = "one" }, { path = path }) end,
        function() return client:generate({ prompt = "one" }, { path = path }) end,
      } do
        local _, err = call()
        assert.equal("io", err.code)
        assert.matches("leads nowhere", err.message)
      end
      assert.equal(0, charges())
      helper.write(folder .. "/nowhere", "mine")
      assert.equal("exists", select(2, save(client, "one")).code)
      assert.same({ 0, "mine" }, { charges(), helper.read(path) })
      assert(save(client, "one", { download = { overwrite = true } }))
      assert.equal(1, charges())
    end)

    it("a chain too, whose own last hop is no obstacle", function()
      local params = { taskId = sim().source, prompts = { "one", "two" }, path = path }
      assert.matches("Killed", process(folder, "chain", "noted", path, sim().source))
      local client = new()
      params.prompts = { "one", "edited" }
      assert.equal("exists", select(2, client:chain(params)).code)
      params.prompts = { "other" }
      assert.equal("exists", select(2, client:chain(params)).code)
      assert.equal(2, charges())
      params.prompts = { "one", "two" }
      assert(client:chain(params))
      assert.same({ 2, path }, { charges(), row(assert(client:tasks())[2].taskId).path })
    end)
  end)

  it("is still its process's while a download takes longer than the lease", function()
    local client, path = new { lease = 3 }, folder .. "/slow.mp4"
    local status = assert(client:wait(order(client, "hop1", nil, " drip=3500"))) -- 4 to 5 seconds
    local job = client:spawn(client.download, client, status, path)
    local other, taken = new(), 0
    local began = helper.now()
    helper.step_until(client, function()
      if helper.now() - began > 3.2 and taken == 0 then
        taken = 1
        assert.equal(0, assert(other:resume { path = folder .. "/{taskId}.mp4" }).saved)
      end
      return job:status() ~= "pending"
    end)
    assert(job:result())
    assert.is_true(helper.now() - began > 3.2)
    assert.same({ 1, 1, 1 }, { taken, fetched(), charges() })
  end)
end
