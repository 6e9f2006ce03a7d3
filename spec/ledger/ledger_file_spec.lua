-- The ledger as a thing that can be moved, replaced, mistaken for another and damaged. What it forgets is paid twice.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"
local veo = require "veo"

describe("the ledger's file", function()
  local sim, folder, place, clients
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder, clients = helper.folder(), {}
    place = folder .. "/renders.db"
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)

  local function new(more, from)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(from or sim, options)
    return clients[#clients]
  end
  local function shot() return { taskId = sim.source, prompt = "the boat turns" } end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function refused(client, cause)
    local before = posts()
    local _, err = client:extend(shot(), { key = "k" })
    assert.same({ "ledger", cause, "no" }, { err and err.code, err and err.cause, err and err.sent }, tostring(err))
    assert.equal(before, posts())
    return err
  end

  describe("under an open client", function()
    local client, task
    before_each(function()
      client = new()
      task = assert(client:extend(shot(), { key = "k" }))
    end)

    it("removed: no order goes out until it is back", function()
      os.execute(("ln %s %s/kept; rm %s"):format(place, folder, place))
      for _ = 1, 2 do refused(client, "gone") end
      assert.is_nil(helper.read(place)) -- and none is made in its place
      os.execute(("ln %s/kept %s"):format(folder, place))
      assert.equal(task.taskId, assert(client:extend(shot(), { key = "k" })).taskId)
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim) })
    end)

    it("replaced by another one, or by a copy of itself", function()
      os.execute(("cp %s %s/copy; mv %s/copy %s"):format(place, folder, folder, place))
      refused(client, "gone")
    end)

    it("replaced by an earlier copy of itself, in the same file", function()
      ledgers.query(place, ("VACUUM INTO '%s/copy'"):format(folder))
      local late = assert(client:extend(shot(), { key = "late" }))
      ledgers.query(place, "PRAGMA wal_checkpoint(TRUNCATE)")
      os.execute(("cp %s %s/newer; cat %s/copy > %s"):format(place, folder, folder, place))
      for _ = 1, 2 do
        local err = refused(client, "gone")
        assert.truthy(err.message:find("earlier copy", 1, true))
        assert.equal("gone", select(2, client:extend(shot(), { key = "late" })).cause)
      end
      assert.same({ 2, 2, 0 }, { ledgers.charged(sim) })
      os.execute(("cat %s/newer > %s"):format(folder, place))
      ledgers.query(place, "PRAGMA wal_checkpoint(TRUNCATE)")
      client:close()
      assert.equal(late.taskId, assert(new():extend(shot(), { key = "late" })).taskId)
    end)

    it("without the log that holds its newest commits", function()
      os.execute("rm " .. place .. "-wal")
      refused(client, "gone")
    end)

    -- Two indexes of one log: neither knew of the other, 7 charges where 4 were due, and rows lost.
    it("without the index of its log, while another process makes orders and dies", function()
      local second = new()
      assert(second:tasks())
      os.execute("rm " .. place .. "-shm")
      helper.write(folder .. "/other.lua", [[
        local client = require("spec.support.helper").client(arg[1], { api_key = arg[2], ledger = arg[3] })
        for i = 1, 3 do assert(client:extend({ taskId = arg[4], prompt = "shot " .. i }, { key = "shot " .. i })) end
        os.execute "kill -9 $PPID"
      ]])
      helper.output(ledgers.script(helper.lua(), folder .. "/other.lua", sim.url, sim.api_key, place, sim.source))
      assert.equal(4, posts())
      refused(client, "gone")
      refused(client, "gone") -- as long as another client of the process has the lost one
      refused(second, "gone")
      for i = 1, 3 do
        for _, each in ipairs { client, second } do
          local joined = assert(each:extend({ taskId = sim.source, prompt = "shot " .. i }, { key = "shot " .. i }))
          assert.is_true(joined.joined)
        end
      end
      client:close()
      second:close()
      assert.equal(4, #assert(new():tasks()))
      assert.is_true(new():check_ledger())
      assert.same({ 4, 4, 0 }, { ledgers.charged(sim) })
    end)

    it("without the index of its log, and closed", function()
      os.execute("rm " .. place .. "-shm")
      local other = helper.output(ledgers.script(helper.lua(), "-e", ([[
        local client = require("spec.support.helper").client("%s", { api_key = "%s", ledger = "%s" })
        print(client:extend({ taskId = "%s", prompt = "late" }, { key = "late" }))
        os.execute "kill -9 $PPID"]]):format(sim.url, sim.api_key, place, sim.source)))
      client:close()
      assert.equal(2, #assert(new():tasks()), other)
    end)

    it("removed while an order is under way: the task is handed over with the ledger's error", function()
      sim:script { { on = "extend", delay = 0.3 } }
      local job = client:spawn(client.extend, client, shot(), { key = "other", on_duplicate = "allow" })
      helper.step_until(client, function() return posts() == 2 end)
      os.execute(("ln %s %s/kept; rm %s"):format(place, folder, place))
      client:run()
      local late = assert(job:result())
      assert.equal("gone", late.ledger_error.cause)
      os.execute(("ln %s/kept %s"):format(folder, place))
      assert.equal(late.taskId, assert(client:tasks { key = "other" })[1].taskId)
    end)

    it("closed and opened again by another client, it is the same", function()
      local other = new()
      assert.equal(task.taskId, assert(other:extend(shot(), { key = "k" })).taskId)
      other:close()
      assert.equal(task.taskId, assert(client:extend(shot(), { key = "k" })).taskId)
    end)
  end)

  it("is not what only looks like a name: veo.new says how to write it", function()
    local wrong = {
      [":memory:"] = "name a file", ["file:memdb?mode=memory"] = "name a file", ["file:renders.db"] = '"renders.db"',
      ["file:///a/renders.db?mode=ro"] = '"/a/renders.db"', ["sqlite:///a/renders.db"] = '"/a/renders.db"',
      ["host=localhost port=5433 dbname=veo user=me password=geheim"] = '"postgresql://me@localhost:5433/veo"',
      ["dbname = veo"] = '"postgresql:///veo"', ["service=veo"] = "postgresql://", ["mysql://h/db"] = "unknown",
      ["postgresql:veo"] = "postgresql://user@host/db", [":renders.db"] = '"./:renders.db"',
    }
    for where, right in pairs(wrong) do
      local ok, message = pcall(veo.new, { api_key = "spec-key-0123456789", ledger = where })
      assert.is_false(ok, where)
      assert.truthy(message:find(right, 1, true), where .. ": " .. message)
      assert.falsy(message:find("geheim", 1, true))
    end
    for _, where in ipairs { "a=b.db", "file.db", "C:a.db", "renders db", "postgresql://h/d", "postgres://h/d" } do
      assert(veo.new { api_key = "spec-key-0123456789", ledger = where }):close()
    end
  end)

  describe("with create = false", function()
    it("is not made", function()
      refused(new { create = false }, "absent")
      assert.same({}, helper.list(folder))
      helper.write(place, "")
      refused(new { create = false }, "absent")
      assert.same({}, ledgers.query(place, "SELECT name FROM sqlite_master"))
    end)

    it("is used when it is there", function()
      new():tasks()
      assert(new({ create = false }):extend(shot()))
    end)
  end)

  describe("notes whose it is", function()
    it("another address is refused, and named", function()
      local other = simulator.start { speed = 10000, rate = false }
      finally(function() other:stop() end)
      assert(new():extend(shot(), { key = "k" }))
      local client = new({}, other)
      local _, err = client:extend({ taskId = other.source, prompt = "x" }, { key = "k" })
      assert.same({ "ledger", "account", "no" }, { err.code, err.cause, err.sent })
      assert.truthy(err.message:find(sim.url, 1, true) and err.message:find(other.url, 1, true), err.message)
      assert.equal(0, other:count("POST", helper.EXTEND))
      local port = sim.url:match ":(%d+)"
      for _, same in ipairs { sim.url .. "/", "HTTP://127.0.0.1:0" .. port .. "//" } do -- the same, spelt otherwise
        assert.is_true(assert(new({ base_url = same }):extend(shot(), { key = "k" })).joined)
      end
      assert.truthy(err.message:find('base_url = "' .. sim.url, 1, true), err.message) -- the way out
    end)

    it("a port that goes without saying is none", function()
      local accounts = require "veo.ledger.account"
      local function said(url) return accounts.new(url).address end
      assert.equal("https://api.kie.ai", said "HTTPS://API.kie.ai:443/")
      assert.equal("http://h/a/B", said "http://h:80/a/B/")
      assert.equal("http://h:443", said "http://h:0443")
      assert.equal("https://[::1]:80", said "https://[::1]:80")
      assert.equal("https://[::1]", said "https://[::1]")
    end)

    it("another key is told to the log, once, and no key stands in it", function()
      local told = {}
      local function log(event) if event.event == "warning" then told[#told + 1] = event.message end end
      assert(new { log = log }:tasks())
      assert.same({}, told)
      for _ = 1, 2 do assert(new({ log = log, api_key = "another-key-9876543210" }):tasks()) end
      assert.equal(1, #told)
      assert.truthy(told[1]:find("another API key", 1, true))
      for _, client in ipairs(clients) do client:close() end
      local bytes = helper.read(place)
      assert.falsy(bytes:find("another-key-9876543210", 1, true))
      assert.falsy(bytes:find(sim.api_key, 1, true))
      local core = require "veo.core"
      for _, key in ipairs { sim.api_key, "another-key-9876543210" } do
        assert.falsy(bytes:find(core.digest(key), 1, true)) -- nor a hash that another ledger would share
      end
    end)
  end)

  it("is no folder, pipe, socket or device, and none of them is waited for", function()
    local socket = require("cqueues.socket").listen { path = folder .. "/socket" }
    socket:listen()
    helper.output(("cd %s; mkdir folder; mkfifo pipe; ln -s pipe link"):format(folder))
    for _, name in ipairs { folder .. "/folder", folder .. "/pipe", folder .. "/link", folder .. "/socket",
      "/dev/null" } do
      place = name
      local err = refused(new(), "open")
      assert.truthy(err.message:find("and a ledger is a regular file", 1, true), err.message)
    end
    socket:close()
  end)

  describe("check_ledger", function()
    it("says that it is whole", function()
      local client = new()
      assert(client:extend(shot()))
      assert.is_true(client:check_ledger())
    end)

    it("finds a damaged page that no order reads, which opening does not look for", function()
      local client = new()
      for i = 1, 30 do assert(client:extend { taskId = sim.source, prompt = "shot " .. i }) end
      client:close()
      local content = helper.read(place)
      local at
      for _, row in ipairs(ledgers.query(place, "SELECT rootpage FROM sqlite_master WHERE name = 'veo_charges_day'")) do
        at = (row.rootpage - 1) * 4096
      end
      helper.write(place, content:sub(1, at) .. ("\255"):rep(4096) .. content:sub(at + 4097))
      client = new()
      assert(client:tasks { limit = 1 })
      local whole, err = client:check_ledger()
      assert.is_nil(whole)
      assert.same({ "ledger", "corrupt" }, { err.code, err.cause })
    end)

    it("needs a ledger", function()
      local client = helper.client(sim)
      clients[#clients + 1] = client
      assert.equal("none", select(2, client:check_ledger()).cause)
    end)

    it("is what veo doctor says", function()
      local client = new()
      assert(client:extend(shot()))
      client:close()
      local command = "KIE_API_KEY=%s KIE_BASE_URL=%s " .. ledgers.script(helper.lua(), "lua/veo/main.lua", "doctor",
        "--ledger", place):gsub("exec ", "", 1):gsub("%%", "%%%%") .. "; echo $?"
      local text = helper.output(command:format(sim.api_key, sim.url))
      assert.truthy(text:find("intact", 1, true) and text:find("\n0\n", 1, true), text)
      helper.write(place, ("no database, "):rep(1000))
      text = helper.output(command:format(sim.api_key, sim.url))
      assert.truthy(text:find("damaged", 1, true) and text:find("\n2\n", 1, true), text)
    end)
  end)
end)
