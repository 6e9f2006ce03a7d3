--- What every ledger must do, whichever database is behind it: run by ledger_spec and ledger_pg_spec.
local assert = require "luassert"
local errors = require "veo.errors"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

---@param sim fun(): table       the simulator
---@param where fun(): string    a fresh ledger
---@param busted table           describe, it, …: busted gives them to spec files alone
return function(sim, where, busted)
  local describe, it, before_each, after_each = busted.describe, busted.it, busted.before_each, busted.after_each
  local place, clients

  before_each(function()
    sim():reset()
    place, clients = where(), {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local function new(more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    local client = helper.client(sim(), options)
    clients[#clients + 1] = client
    return client
  end
  local function states() return ledgers.states(place) end
  local function row(sql) return ledgers.query(place, "SELECT * FROM veo_tasks " .. (sql or ""))[1] end
  local function shot(prompt, more)
    local params = { taskId = sim().source, prompt = prompt or "the boat turns" }
    for name, value in pairs(more or {}) do params[name] = value end
    return params
  end

  describe("an order", function()
    it("stands as an intent before its first byte", function()
      local client = new()
      sim():script { { on = "extend", delay = 0.4 } }
      local job = client:spawn(function() return client:extend(shot()) end)
      helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
      assert.equal("intent", states())
      assert.equal("pending", job:status())
      assert(job:wait())
      assert.equal("accepted", states())
    end)

    it("is accepted, with its taskId, before the call returns", function()
      local task = assert(new():extend(shot()))
      local found = row()
      assert.same({ "accepted", task.taskId, task.ref, 60 }, { found.state, found.task_id, found.ref, found.price })
    end)

    it("is refused when the service refuses it", function()
      sim():script { { on = "extend", code = 402, times = 1 } }
      local client = new()
      local _, err = client:extend(shot())
      assert.equal("insufficient_credits", err.code)
      assert.equal("refused", states())
      assert(client:extend(shot())) -- and stands in nobody's way
    end)

    it("is uncertain when the answer is lost", function()
      sim():script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local _, err = new():extend(shot())
      assert.equal("uncertain", err.code)
      assert.equal(err.ref, row().ref)
      assert.equal("uncertain", states())
    end)

    it("is refused when nothing of it left", function()
      local client = helper.client("http://127.0.0.1:1", { ledger = place, deadline = 0.3 })
      clients[#clients + 1] = client
      local _, err = client:extend(shot())
      assert.equal("network", err.code)
      assert.equal("refused", states())
    end)

    it("fails when the client's last one is not there any more: an earlier copy was put in its place", function()
      local client = new()
      assert(client:extend(shot("a"), { key = "a" }))
      assert(client:extend(shot("b"), { key = "b" }))
      ledgers.query(place, "DELETE FROM veo_tasks WHERE intent_key = 'b'")
      for _, key in ipairs { "b", "a" } do
        local _, err = client:extend(shot(key), { key = key })
        assert.same({ "ledger", "gone", "no" }, { err.code, err.cause, err.sent })
      end
      assert.same({ 2, 2, 0 }, { ledgers.charged(sim()) })
    end)

    -- A look through an address that was spelt wrong, or an order that never left, locked the owner out of paid tasks.
    it("pins the address when something comes of it, and not before", function()
      local function elsewhere() return new { base_url = "http://127.0.0.1:1", deadline = 0 } end
      local function address()
        local noted = ledgers.query(place, "SELECT value FROM veo_meta WHERE name = 'base_url'")[1]
        return noted and noted.value
      end
      assert(elsewhere():tasks())
      assert.is_nil(address())
      local typo = elsewhere()
      assert.equal("network", select(2, typo:extend(shot("a"), { key = "a" })).code)
      assert.equal("http://127.0.0.1:1", address())
      local task = assert(new():extend(shot("a"), { key = "a" }))
      assert.equal(sim().url, address())
      for _, client in ipairs { typo, elsewhere() } do -- one of them was open all the time
        assert.equal("account", select(2, client:extend(shot("a"), { key = "a" })).cause)
      end
      -- As an earlier lua-veo left it, with its orders; then one through the wrong address.
      ledgers.query(place, "DELETE FROM veo_meta WHERE name LIKE 'base_url%'")
      assert(elsewhere():tasks())
      assert.equal("network", select(2, elsewhere():extend(shot("b"), { key = "b" })).code)
      assert.equal(task.taskId, assert(new():extend(shot("a"), { key = "a" })).taskId)
      assert(new():extend(shot("b"), { key = "b" }))
      assert.same({ 2, 2, 0 }, { ledgers.charged(sim()) })
    end)

    it("is done, then saved", function()
      local client, folder = new(), helper.folder()
      local status = assert(helper.extend_and_wait(client, shot()))
      assert.equal("done", states())
      local path = folder .. "/boat.mp4"
      assert(client:download(status, path))
      assert.same({ "saved", path }, { row().state, row().path })
    end)

    it("is done whichever call saw it end", function()
      local client, ids = new(), {}
      for i = 1, 3 do ids[i] = assert(client:extend(shot("shot " .. i))).taskId end
      local each, seen = client:wait_each(ids), 0
      while each() do seen = seen + 1 end
      assert.equal(3, seen)
      assert.equal("done done done", states())
    end)

    it("is failed when its task fails", function()
      sim():script { { on = "extend", fail = 2, error_message = "no luck" } }
      local _, err = helper.extend_and_wait(new(), shot())
      assert.equal("failed", err.code)
      assert.equal("failed", states())
      assert.truthy(row().error:find("no luck", 1, true))
    end)

    it("of a cancelled job is accepted all the same", function()
      local client = new()
      sim():script { { on = "extend", delay = 0.2 } }
      local job = client:spawn(function() return client:extend(shot()) end)
      helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
      job:cancel()
      helper.step_until(client, function() return job:status() == "cancelled" end)
      local _, err = job:result()
      assert.same({ "accepted", err.taskId }, { row().state, row().task_id })
    end)

    it("under way when the client closes is uncertain", function()
      local client = new()
      sim():script { { on = "extend", delay = 5 } }
      client:spawn(function() return client:extend(shot()) end)
      helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
      client:close()
      assert.equal("uncertain", states())
    end)

    it("repeated by the caller's word is an order of its own", function()
      sim():script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local task = assert(new():extend(shot(), { key = "k", retry = { ambiguous = true } }))
      assert.equal("uncertain accepted", states())
      local found = row("WHERE state = 'accepted'")
      assert.same({ "k", task.taskId }, { found.intent_key, found.task_id })
    end)
  end)

  it("keeps every kind of text whole", function()
    local prompt = "\206\177\240\159\142\172 'quoted' \"twice\" ? $1 %s \\ \n\t -- ; DROP TABLE veo_tasks"
    local client = new()
    assert(client:extend(shot(prompt), { key = "k'\"?\206\177" }))
    local task = assert(client:tasks())[1]
    assert.equal(prompt, task.params.prompt)
    assert.equal("k'\"?\206\177", task.key)
  end)

  it("keeps a file's name of whatever bytes", function()
    local client, path = new(), helper.folder() .. "/\233t\233.mp4"
    local status = assert(helper.extend_and_wait(client, shot()))
    assert(client:download(status, path))
    assert(client:extend(shot("another")))
    assert.equal("saved accepted", states())
    assert.equal(path, client:tasks({ state = "saved" })[1].path)
  end)

  it("never holds the API key", function()
    local client = new()
    sim():script { { on = "extend", code = 401, msg = "bad key " .. sim().api_key, times = 1 } }
    client:extend(shot())
    assert(client:extend(shot("other")))
    for _, found in ipairs(ledgers.query(place, "SELECT * FROM veo_tasks")) do
      for _, value in pairs(found) do assert.falsy(tostring(value):find(sim().api_key, 1, true)) end
    end
  end)

  describe("tasks", function()
    it("filters with bound values", function()
      local client = new()
      local a = assert(client:extend(shot("a"), { key = "x' OR '1'='1" }))
      local b = assert(client:extend(shot("b")))
      assert.equal(2, #client:tasks())
      assert.equal(a.taskId, client:tasks({ key = "x' OR '1'='1" })[1].taskId)
      assert.equal(b.taskId, client:tasks({ taskId = b.taskId })[1].taskId)
      assert.equal(0, #client:tasks { key = "' OR '1'='1" })
      assert.equal(0, #client:tasks { state = "saved" })
      assert.equal(2, #client:tasks { open = true })
      assert.equal(1, #client:tasks { limit = 1 })
      assert.equal(0, #client:tasks { since = os.time() + 60 })
    end)

    it("raises at an unknown filter", function()
      local client = new()
      assert.error_matches(function() client:tasks { sate = "saved" } end,
        "tasks: unknown filter sate %(did you mean state%?%)")
      assert.has_error(function() client:tasks { limit = -1 } end)
    end)
  end)

  describe("an intent without a process", function()
    -- As a crash leaves it: the process named in it does not exist.
    local function orphan(sending, lease)
      local client = new()
      assert(client:extend(shot("orphan")))
      client:close()
      local dead = require("veo.ledger.process").name("x"):gsub(":%d+:%d+:", ":4194999:1:")
      ledgers.query(place, ("UPDATE veo_tasks SET state = 'intent', task_id = NULL, sending = %d, lease = %d, "
        .. "owner = ?"):format(sending, lease), lease == 0 and "elsewhere/1:1:1:a" or dead)
    end

    it("is uncertain once its lease has passed", function()
      orphan(1, 0)
      assert.equal("uncertain", new():tasks()[1].state)
    end)

    it("is uncertain at once when its process is known to be dead", function()
      orphan(1, os.time() + 1000)
      assert.equal("uncertain", new():tasks()[1].state)
    end)

    it("is refused when nothing of it can have been sent", function()
      orphan(0, 0)
      assert.equal("refused", new():tasks()[1].state)
    end)

    it("is left alone while its process may live", function()
      orphan(1, 0)
      ledgers.query(place, "UPDATE veo_tasks SET lease = 9999999999")
      assert.equal("intent", new():tasks()[1].state)
    end)
  end)

  it("keeps a paid task for whose order somebody named another one meanwhile", function()
    local client, other = new(), new()
    sim():script { { on = "extend", delay = 0.4 } }
    local job = client:spawn(client.extend, client, shot())
    helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
    sim():add { taskId = "named-by-a-person" }
    assert(other:settle(row().ref, "named-by-a-person"))
    client:run()
    local task = assert(job:result())
    local found = assert(other:tasks { taskId = task.taskId })
    assert.equal("accepted", found[1].state)
    assert.equal("accepted done", (states():gsub("done accepted", "accepted done")))
    client:close()
    assert(other:resume())
    assert.equal("done", other:tasks({ taskId = task.taskId })[1].state)
  end)

  describe("a callback with the order's own reference", function()
    local HOOK = "http://127.0.0.1:1/hook?user=7"

    -- A task of an order whose answer was lost, and the target that the service calls.
    local function lost(client)
      sim():script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local _, err = client:extend(shot("the boat turns", { callBackUrl = HOOK }), { key = "shot" })
      local _, list = sim():charges()
      assert(client:wait(list[#list].taskId)) -- so that the record says the end
      return err.ref, list[#list].taskId, list[#list].callBackUrl:match "^http://[^/]*(.*)$"
    end

    local function call_back(client, taskId, target)
      local body = ('{"code":200,"msg":"success","data":{"taskId":"%s"}}'):format(taskId)
      return client:callback({}, body, { target = target })
    end

    for word, state in pairs { lost = "lost", task = "done", saved = "saved" } do
      it("has its task recorded beside an order that was settled as " .. word, function()
        local client = new { webhook_key = false }
        local ref, taskId, target = lost(client)
        if word ~= "lost" then
          sim():add { taskId = "another", prompt = "the boat turns" }
          assert(client:settle(ref, "another"))
        end
        if word ~= "task" then assert(client:settle(ref, word)) end
        for _ = 1, 2 do assert(call_back(client, taskId, target)) end
        local all = client:tasks()
        assert.equal(2, #all)
        local first = client:tasks({ ref = ref })[1]
        local beside = client:tasks({ taskId = taskId })[1]
        assert.same({ state, "done", 60, "the boat turns" },
          { first.state, beside.state, beside.price, beside.params.prompt })
        assert.equal(word == "lost" and first.key or nil, beside.key)
        local folder, saved = helper.folder(), {}
        assert(client:resume { path = folder .. "/{taskId}.mp4", on_result = function(_, task, _, file)
          saved[task.taskId] = file and file.path
        end })
        assert.equal(folder .. "/" .. taskId .. ".mp4", saved[taskId])
        assert.equal("saved", client:tasks({ taskId = taskId })[1].state)
        local _, list = sim():charges()
        assert.equal(1, #list)
      end)
    end

    it("changes nothing where its task is known as another order's", function()
      local client = new { webhook_key = false }
      local task = assert(client:extend(shot("mine")))
      local ref, _, target = lost(client)
      assert(call_back(client, task.taskId, target))
      assert.same({ "uncertain", 2 }, { client:tasks({ ref = ref })[1].state, #client:tasks() })
    end)
  end)

  it("believes an answer that comes after the intent was given up", function()
    local client = new()
    sim():script { { on = "extend", delay = 0.4 } }
    local job = client:spawn(function() return client:extend(shot()) end)
    helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
    ledgers.query(place, "UPDATE veo_tasks SET lease = 0")
    assert.equal("uncertain", new():tasks()[1].state)
    local task = assert(job:wait())
    assert.same({ "accepted", task.taskId }, { row().state, row().task_id })
  end)

  it("does not give an order under way up because others stand in line behind it #timing", function()
    local client = new { lease = 3, timeout = 60, rate = { count = 1, window = 0.8 } }
    sim():script { { on = "extend", delay = 6, code = 402, times = 1 } }
    local slow = client:spawn(client.extend, client, shot("slow"))
    helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 end)
    local others = {}
    for i = 1, 2 do others[i] = client:spawn(client.extend, client, shot("behind " .. i)) end
    helper.step_until(client, function() return others[2]:status() ~= "pending" end)
    local other = new()
    local deadline = helper.now() + helper.PATIENCE
    while slow:status() == "pending" and helper.now() < deadline do
      client:step(50)
      for _, record in ipairs(assert(other:tasks())) do assert.is_not.equal("uncertain", record.state) end
    end
    assert.equal("insufficient_credits", select(2, slow:result()).code)
    for i = 1, 2 do assert.is_truthy(others[i]:result()) end
  end)

  describe("the rate window", function()
    it("is shared by all clients of a ledger", function()
      local rate = { count = 3, window = 0.8 }
      local a, b = new { rate = rate }, new { rate = rate }
      local began = helper.now()
      for i = 1, 3 do
        assert(a:extend(shot("a" .. i)))
        assert(b:extend(shot("b" .. i)))
      end
      assert.is_true(helper.now() - began >= 0.75)
      local posts = sim():requests { method = "POST", path = helper.EXTEND }
      for i = 4, #posts do assert.is_true(posts[i].time - posts[i - 3].time >= 0.7) end
    end)

    it("serves the jobs of a client in turn, and one of them asks for all", function()
      local rates = 0
      local client = new { rate = { count = 3, window = 0.4 }, log = function(event)
        if event.event == "rate" then rates = rates + 1 end
      end }
      for i = 1, 12 do client:spawn(function() assert(client:extend(shot("turn " .. i))) end) end
      assert(client:run())
      local posts = sim():requests { method = "POST", path = helper.EXTEND }
      assert.equal(12, #posts)
      for at, post in ipairs(posts) do
        local i = tonumber(post.json.prompt:match "turn (%d+)")
        assert.equal(math.floor((i - 1) / 3), math.floor((at - 1) / 3), "order " .. i .. " was sent as number " .. at)
      end
      assert.is_true(rates <= 9, rates .. " times the ledger was asked in vain")
    end)

    it("goes on when the one that asks, or one behind it, is cancelled", function()
      local client = new { rate = { count = 1, window = 0.8 } }
      local jobs = {}
      for i = 1, 5 do jobs[i] = client:spawn(function() return client:extend(shot("place " .. i)) end) end
      helper.step_until(client, function() return sim():count("POST", helper.EXTEND) == 1 and #client:tasks() == 5 end)
      jobs[2]:cancel() -- it asks
      jobs[4]:cancel() -- it stands in line
      assert(client:run())
      local told = {}
      for i, job in ipairs(jobs) do
        local task, err = job:result()
        told[i] = task and "sent" or err.code .. " " .. err.sent
      end
      assert.same({ "sent", "cancelled no", "sent", "cancelled no", "sent" }, told)
      assert.same({ 3, 2 }, { select(2, states():gsub("accepted", "")), select(2, states():gsub("refused", "")) })
      assert.equal(3, sim():count("POST", helper.EXTEND))
    end)

    it("holds all of them back after a refusal", function()
      sim():script { { on = "extend", code = 429, retry_after = 1, times = 1 } }
      local a, b = new(), new { retry = { attempts = 1 } }
      local began = helper.now()
      local _, err = b:extend(shot("b"))
      assert.equal("rate_limited", err.code)
      assert(a:extend(shot("a")))
      assert.is_true(helper.now() - began >= 1)
    end)

    -- A day's Retry-After was a day without orders, of all processes, each pending beyond its deadline.
    it("ends orders whose deadline a hold outlasts, and is held for two minutes at most", function()
      local a, b = new { retry = { attempts = 1 } }, new { rate = { count = 1, window = 3 } }
      assert(b:extend(shot("first")))
      local patient = b:spawn(b.extend, b, shot("patient"), { deadline = 1000 })
      b:step(20) -- it waits for the window, and the other behind it
      local hasty = b:spawn(b.extend, b, shot("in line"), { deadline = 60 })
      b:step(20)
      sim():script { { on = "extend", code = 429, retry_after = 500000, times = 1 } }
      local _, err = a:extend(shot("a"))
      assert.same({ "rate_limited", 500000 }, { err.code, err.retry_after })
      for _, job in ipairs { hasty, b:spawn(b.extend, b, shot("c"), { deadline = 60 }) } do
        local _, held = job:wait(20)
        assert.same({ "rate_limited", "no", true }, { held.code, held.sent,
          held.retry_after ~= nil and held.retry_after > 100 and held.retry_after <= 120 })
      end
      assert.equal("pending", patient:status())
      ledgers.query(place, "DELETE FROM veo_meta WHERE name LIKE 'hold%'")
      patient:cancel()
      assert(new():extend(shot("c")))
      assert.same({ 2, 3 }, { #select(2, sim():charges()), sim():count("POST", helper.EXTEND) })
      b:run()
      assert.equal("accepted refused refused refused refused accepted", states())
    end)

    it("holds nobody back for longer than was asked, when the clock that noted it was ahead", function()
      sim():script { { on = "extend", code = 429, retry_after = 1, times = 1 } }
      local a, b = new(), new { retry = { attempts = 1 } }
      assert.equal("rate_limited", select(2, b:extend(shot("b"))).code)
      ledgers.query(place, "UPDATE veo_meta SET value = CAST(CAST(value AS DOUBLE PRECISION) + 590 AS TEXT) "
        .. "WHERE name = 'hold'")
      local job = a:spawn(a.extend, a, shot("a"))
      helper.step_until(a, function() return job:status() ~= "pending" end)
      assert(job:result())
    end)
  end)

  it("refuses to extend a video that another client upgraded", function()
    local task = assert(helper.extend_and_wait(new(), shot()))
    assert(new():task(task.taskId):upgrade("1080p", { timeout = 30, interval = 0.05 }))
    local count = sim():count("POST", helper.EXTEND)
    local function refuses(_, err) -- in the same words, whoever finds it
      assert.is_true(errors.is(err))
      assert.same({ "invalid", "taskId", "no", "a video that was upgraded to 1080P", "a video that was not upgraded" },
        { err.code, err.field, err.sent, err.given, err.expected })
    end
    refuses(new():extend(shot("more", { taskId = task.taskId })))
    assert.equal(count, sim():count("POST", helper.EXTEND))
    refuses(new():chain { taskId = task.taskId, prompts = { "more" } })
  end)

  it("keeps what the service says it took, and sums it up", function()
    local client = new { prices = { generate = 80 } }
    local first = assert(client:extend(shot("a")))
    sim():script { { on = "status", task = first.taskId, consumed = 57.25 } }
    assert(client:wait(first))
    assert.same({ 60, 57.25 }, { client:tasks()[1].price, client:tasks()[1].consumed })
    local second = assert(client:extend(shot("b")))
    sim():script { { on = "status", task = second.taskId, consumed = "30.5" } }
    assert.equal(2, assert(client:resume { on_result = function() end }).done)
    assert(client:extend(shot("c", { model = "lite" })))
    assert(client:generate { prompt = "d" })
    assert(client:generate({ prompt = "e" }))
    ledgers.query(place, "UPDATE veo_tasks SET price = NULL WHERE body LIKE '%\"e\"%'")
    ledgers.query(place, "UPDATE veo_tasks SET day = day - 1, created = created - 86400 WHERE task_id = ?",
      first.taskId)
    sim():script { { on = "extend", code = 402, times = 1 },
      { on = "extend", close = "unanswered", charge = true, times = 1 } }
    client:extend(shot("refused"))
    client:extend(shot("uncertain"))
    assert(client:task(first):upgrade("1080p", { timeout = 30, interval = 0.05 }))

    local function without(list, name)
      local out = {}
      for i, entry in ipairs(list) do out[i] = { entry[name], entry.credits, entry.orders } end
      return out
    end
    local all = assert(client:spent())
    assert.same({ 262.75, 87.75, 175, 7, 1 }, { all.credits, all.consumed, all.reserved, all.orders, all.unpriced })
    local day = os.date("!%Y-%m-%d", os.time() - 86400)
    local days = assert(client:spent { by = "day" })
    assert.same({ { day, 57.25, 1 }, { os.date "!%Y-%m-%d", 205.5, 6 } }, without(days, "day"))
    assert.equal(262.75, days.credits)
    assert.same({ { "extend", 177.75, 4 }, { "generate", 80, 2 }, { "get_1080p", 5, 1 } },
      without(assert(client:spent { by = "operation" }), "operation"))
    assert.same({ 205.5, 6 }, { assert(client:spent { since = os.time() - 3600 }).credits,
      assert(client:spent { since = os.time() - 3600 }).orders })
    assert.has_error(function() client:spent { by = "week" } end)
    assert.has_error(function() client:spent { form = "day" } end)
  end)

  it("counts a day's credits in thousandths", function()
    local limited = { max_credits = { day = 0.3 }, prices = { extend = 0.1, get_1080p = 0.1 } }
    local a, b = new(limited), new(limited)
    local status = assert(helper.extend_and_wait(a, shot("a")))
    assert(b:extend(shot("b")))
    assert(a:task(status):upgrade("1080p", { timeout = 30, interval = 0.05 }))
    local _, err = b:extend(shot("c"))
    assert.same({ "budget", 0.1, 0.3, 0.3 }, { err.code, err.price, err.spent, err.limit })
    assert.equal(2, sim():count("POST", helper.EXTEND))
  end)

  it("counts a 1080P version once, in the day of all clients", function()
    local task = assert(helper.extend_and_wait(new(), shot()))
    local limited = { max_credits = { day = 65 } }
    for _ = 1, 2 do assert(new(limited):task(task.taskId):upgrade("1080p", { timeout = 30, interval = 0.05 })) end
    local _, err = new(limited):task(task):upgrade("1080p", { index = 1 })
    assert.same({ "budget", 65, "no" }, { err.code, err.spent, err.sent })
  end)

  it("joins a repeated 4K order", function()
    local client = new()
    local status = assert(helper.extend_and_wait(client, shot()))
    local first = assert(client:task(status.taskId):upgrade("4k"))
    local again = assert(client:task(status.taskId):upgrade("4k"))
    assert.equal(first.taskId, again.taskId)
    assert.is_true(again.joined)
    assert.equal(1, sim():count("POST", "/api/v1/veo/get-4k-video"))
  end)
end
