-- A task's id is the service's own affair: one that is long, or of bytes that are no UTF-8, is paid like any other, and so
-- it is accepted, kept in both databases, waited for, resumed, listed and extended from.

local canonical = require "veo.util.canonical_json"
local cjson = require "cjson"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"
local texts = require "veo.util.text"

-- Hardly to be compressed, as an index entry might be.
local function letters(count)
  local out, seed = {}, 1
  for i = 1, count do
    seed = seed * 48271 % 2147483647
    out[i] = string.char(97 + seed % 26)
  end
  return table.concat(out)
end

local IDS = {
  ["of 1,500 bytes"] = letters(1500),
  ["of 6,000 bytes"] = letters(6000),
  ["that is no UTF-8"] = "veo_\233t\233_\255\254",
  ["of 3,000 bytes that are no UTF-8"] = ("\200\201\202"):rep(700) .. letters(900),
  ["that looks like an escape"] = "bytes:41 \\udcff \\\\udc80 '\"",
}

describe("a task's id", function()
  local sims, server, sim, clients, place = {}, nil, nil, {}, nil

  setup(function()
    sims.plain = simulator.start { speed = 10000, rate = false, webhook_key = "whsec" }
    sims.tls = simulator.start { speed = 10000, rate = false, tls = true }
    server = postgres.start()
  end)
  teardown(function()
    for _, one in pairs(sims) do one:stop() end
    server:stop()
    helper.sweep()
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
    clients = {}
  end)

  local places = {}
  function places.sqlite() return helper.folder() .. "/renders.db" end
  function places.postgresql() return ledgers.fresh(server) end

  local function use(listener)
    sim = sims[listener]
    sim:reset()
  end
  local function new(more)
    more = more or {}
    more.ledger = place
    clients[#clients + 1] = helper.client(sim, more)
    return clients[#clients]
  end
  local function give(id, more)
    local rule = { on = "extend", task_id = id, times = 1 }
    for name, value in pairs(more or {}) do rule[name] = value end
    sim:script { rule }
  end
  local function charged()
    local _, list = sim:charges()
    return #list
  end

  for listener in pairs { plain = true, tls = true } do
    for api in pairs { veo = true, jobs = true } do
      it("is accepted, waited for and extended from, over " .. listener .. " by " .. api, function()
        use(listener)
        place = nil
        local client = new { api = api }
        for name, id in pairs(IDS) do
          give(id)
          local task = assert(client:extend { taskId = sim.source, prompt = name })
          assert.equal(id, task.taskId)
          local status = assert(client:wait(task))
          assert.equal(id, status.taskId)
          assert.equal(id, assert(client:status(id)).taskId)
          assert.equal("succeeded", assert(assert(task:extend { prompt = "on from " .. name }):wait()).state)
          local file = assert(client:download(status, helper.folder() .. "/x.mp4"))
          assert.is_true(file.bytes > 1000)
        end
        assert.equal(10, charged())
      end)
    end
  end

  for kind, place_of in pairs(places) do
    local it = needs.block(kind, it)
    it("is kept, found, listed, resumed and joined, on " .. kind, function()
      use "plain"
      place = place_of()
      local client, folder = new(), helper.folder()
      for name, id in pairs(IDS) do
        give(id)
        assert.equal(id, assert(client:extend({ taskId = sim.source, prompt = name }, { key = name })).taskId)
      end
      client:close()
      client = new()
      local found, n = {}, 0
      assert(client:resume { path = function(record)
        n = n + 1
        return folder .. "/" .. n .. ".mp4"
      end, on_result = function(status, record, err)
        assert.is_nil(err)
        found[record.taskId] = status.taskId
      end })
      for name, id in pairs(IDS) do
        assert.equal(id, found[id], name)
        local record = client:tasks({ taskId = id })[1]
        assert.same({ "saved", id, id, name }, { record.state, record.taskId, record.status.taskId, record.key })
        assert.is_string(record.video_url)
        local again = assert(client:extend({ taskId = sim.source, prompt = name }, { key = name }))
        assert.same({ id, true }, { again.taskId, again.joined })
      end
      assert.equal(5, charged())
    end)

    it("is kept as the source, as an upgraded one and as one that is adopted, on " .. kind, function()
      use "plain"
      place = place_of()
      local client = new { webhook_key = "whsec" }
      for name, id in pairs(IDS) do
        give(id)
        assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = name }))
        local next_task = assert(helper.extend_and_wait(client, { taskId = id, prompt = "on from " .. name }))
        assert.equal(id, client:tasks({ taskId = next_task.taskId })[1].params.taskId, name)
        assert(client:task(id):upgrade("1080p", { timeout = 30, interval = 0.02 }))
        local other = new { webhook_key = "whsec" }
        assert.equal("invalid", select(2, other:extend { taskId = id, prompt = "more" }).code)

        sim:reset()
        give(id, { close = "unanswered" })
        local _, err = other:extend { taskId = sim.source, prompt = "lost " .. name }
        local _, err_of_own = other:settle(err.ref, id) -- the ledger has it as another order's
        assert.equal("invalid", err_of_own.code)
        sim:reset()
        give(id .. "2", { close = "unanswered" })
        _, err = other:extend { taskId = sim.source, prompt = "lost again " .. name }
        assert.equal(id .. "2", assert(other:settle(err.ref, id .. "2")).taskId)
        other:close()
      end
    end)

    it("is a chain's source, and a pruned order's, on " .. kind, function()
      use "plain"
      place = place_of()
      local client = new()
      for name, id in pairs(IDS) do
        sim:add { taskId = id }
        local params = { taskId = id, prompts = { "a", "b" } }
        local last = assert(client:chain(params)).taskId
        assert.equal(last, assert(client:chain(params)).taskId, name)
        assert.equal(2, charged())
        assert.is_truthy(client:extend({ taskId = id, prompt = "c" }, { key = name }))
        ledgers.query(place, "UPDATE veo_tasks SET state = 'saved' WHERE state <> 'saved'")
        assert(client:prune { before = os.time() + 60 })
        assert.is_true(assert(client:extend({ taskId = id, prompt = "c" }, { key = name })).joined)
        local _, err = client:extend({ taskId = id .. "x", prompt = "c" }, { key = name })
        assert.same({ "invalid", "key", 3 }, { err.code, err.field, charged() })
        sim:reset()
      end
    end)

    it("of a cut answer is a candidate that resume adopts, on " .. kind, function()
      use "plain"
      place = place_of()
      local client, n = new(), 0
      for name, id in pairs(IDS) do
        if not id:find("%s") then
          n = n + 1
          give(id, { task_id_form = "bare" })
          local _, err = client:extend { taskId = sim.source, prompt = name }
          assert.same({ "uncertain", id, true }, { err.code, err.taskId, err.candidate })
        end
      end
      assert.equal(n, assert(client:resume()).adopted)
      for _, id in pairs(IDS) do
        if not id:find("%s") then assert.equal("done", client:tasks({ taskId = id })[1].state) end
      end
      assert.equal(n, charged())
    end)
  end

  it("is one that the command takes, and tells in JSON that everybody can read", function()
    use "plain"
    for _, id in pairs(IDS) do
      sim:add { taskId = id }
      local folder = helper.folder()
      helper.write(folder .. "/id", id)
      local out = helper.output(("KIE_API_KEY=%s KIE_BASE_URL=%s %s"):format(sim.api_key, sim.url,
        ledgers.script(helper.lua(), "lua/veo/main.lua", "status"):gsub("^exec ", "")) .. ' "$(cat ' .. folder
        .. '/id)" --json 2>' .. folder .. "/err")
      assert.is_nil(texts.bad_utf8(out), out)
      assert.equal(id, cjson.decode(canonical.raw(out)).taskId, helper.read(folder .. "/err"))
    end
  end)

  it("goes through JSON and back, whatever its bytes", function()
    local all = {}
    for i = 1, 255 do all[i] = string.char(i) end
    for _, text in ipairs { table.concat(all), "\\udc80", "\\\\udc80", "\237\178\128", "\\n\\u00e9" } do
      local json = canonical.encode { text = text }
      assert.is_nil(texts.bad_utf8(json))
      assert.equal(text, cjson.decode(canonical.raw(json)).text)
    end
    for _, id in pairs(IDS) do
      local json = canonical.readable(cjson.encode { id = id })
      assert.is_nil(texts.bad_utf8(json))
      assert.equal(id, cjson.decode(canonical.raw(json)).id)
    end
  end)
end)
