-- A ledger that cannot be trusted stops a billable call before it is sent, and harms no other one.
-- The full and the read-only disk are real ones: small tmpfs mounts, which need root, as CI has it.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"
local simulator = require "veo.simulator"

describe("a ledger in trouble", function()
  local sim, folder, clients, mounts
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder, clients, mounts = helper.folder(), {}, {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
    for _, mount in ipairs(mounts) do os.execute("umount -l " .. mount) end
  end)

  local function new(place, more)
    local options = { ledger = place }
    for name, value in pairs(more or {}) do options[name] = value end
    clients[#clients + 1] = helper.client(sim, options)
    return clients[#clients]
  end
  local count = 0
  local function shot()
    count = count + 1
    return { taskId = sim.source, prompt = "shot " .. count }
  end
  local function posts() return sim:count("POST", helper.EXTEND) end
  local function mount(size)
    local text = helper.output(("mount -t tmpfs -o size=%s tmpfs %s && echo done"):format(size, folder))
    assert.equal("done\n", text)
    mounts[#mounts + 1] = folder
  end
  -- Fills the disk to its last block.
  local function fill()
    helper.output(("dd if=/dev/zero of=%s/ballast bs=1k 2>/dev/null; true"):format(folder))
  end
  local function refused(client, cause)
    local before = posts()
    local _, err = client:extend(shot())
    assert.same({ "ledger", "no" }, { err.code, err.sent })
    if cause then assert.equal(cause, err.cause, tostring(err)) end
    assert.equal(before, posts())
    assert.truthy(tostring(err):find("renders.db", 1, true))
    return err
  end

  -- In processes of their own: SQLite's write past the limit raises a signal that kills.
  it("under a limit on the length of files", function()
    local code = ([[
      local client = require("veo").new { api_key = "%s", base_url = "%s", ca_file = %s, ledger = "%s",
        retry = { attempts = 1 } }
      local charged, err = 0
      for i = 1, 300 do
        local task
        task, err = client:extend { taskId = "%s", prompt = ("x"):rep(500) .. i }
        if not task then break end
        charged = charged + 1
      end
      print(charged, err and err.code, err and err.sent, client:credits() ~= nil)
      client:close()
      print "alive"]]):format(sim.api_key, sim.url, sim.ca_file and ("%q"):format(sim.ca_file) or "nil",
      folder .. "/renders.db", sim.source)
    helper.write(folder .. "/orders.lua", code)
    for _, blocks in ipairs { 0, 1, 60, 600 } do -- of 512 bytes
      sim:reset()
      os.execute(("rm -f %s/renders.db*"):format(folder))
      local text = helper.output(
        ("unset LD_PRELOAD; ulimit -f %d; LUA_PATH='%s' LUA_CPATH='%s' %s %s/orders.lua; echo $?")
        :format(blocks, package.path, helper.cpath(), helper.lua(), folder))
      local charged = text:match "^(%d+)\tledger\tno\ttrue\nalive\n0\n$"
      assert.is_truthy(charged, blocks .. ": " .. text)
      assert.equal(tonumber(charged), #select(2, sim:charges()))
    end
  end)

  it("its files are their owner's alone, whatever the umask", function()
    local code = ([[local client = require("veo").new { api_key = "k", base_url = "http://127.0.0.1:9", ledger = "%s" }
      client:tasks() os.execute "cd %s; stat -c %%a renders.db renders.db-wal renders.db-shm"]])
      :format(folder .. "/renders.db", folder)
    helper.write(folder .. "/look.lua", code)
    local run = "unset LD_PRELOAD; umask 000; LUA_PATH='%s' LUA_CPATH='%s' %s %s/look.lua"
    assert.equal("600\n600\n600\n", helper.output(run:format(package.path, helper.cpath(), helper.lua(), folder)))
  end)

  needs.block("root", describe)("on a full disk", function()
    it("that cannot even be made", function()
      mount "64k"
      fill()
      local client = new(folder .. "/renders.db")
      refused(client)
      os.remove(folder .. "/ballast")
      mount "1m"
      assert(client:extend(shot()))
    end)

    it("stops orders, and goes on when there is room", function()
      mount "512k"
      local client = new(folder .. "/renders.db")
      assert(client:extend(shot()))
      fill()
      refused(client, "full")
      refused(client, "full")
      os.remove(folder .. "/ballast")
      assert(client:extend(shot()))
      assert(client:tasks())
      -- Those that were not sent leave nothing open behind.
      assert.equal("accepted accepted", ledgers.states(folder .. "/renders.db"))
    end)

    it("while an order waits for its turn: it is not sent", function()
      mount "512k"
      local client = new(folder .. "/renders.db", { rate = { count = 1, window = 4 } })
      assert(client:extend(shot()))
      local job = client:spawn(function() return client:extend(shot()) end)
      helper.step_until(client, function() return ledgers.states(folder .. "/renders.db"):find "intent" end)
      fill()
      local _, err = job:wait(helper.PATIENCE)
      assert.same({ "ledger", "full", "no", 1 }, { err.code, err.cause, err.sent, posts() })
      os.remove(folder .. "/ballast")
    end)

    it("after the intent: the task is handed over, and written when there is room", function()
      mount "512k"
      local client = new(folder .. "/renders.db")
      assert(client:tasks())
      sim:script { { on = "extend", delay = 0.3 } }
      local job = client:spawn(function() return client:extend(shot()) end)
      helper.step_until(client, function() return posts() == 1 end)
      fill()
      local task = assert(job:wait())
      assert.same({ "ledger", "full" }, { task.ledger_error.code, task.ledger_error.cause })
      -- Whoever looks now sees an intent without an answer; nothing says that nothing was ordered.
      os.remove(folder .. "/ballast")
      assert.equal("intent", ledgers.states(folder .. "/renders.db"))
      assert.equal(task.taskId, assert(client:tasks())[1].taskId)
      assert.equal("accepted", ledgers.states(folder .. "/renders.db"))
    end)

    it("harms no wait and no download", function()
      mount "512k"
      local client = new(folder .. "/renders.db")
      local task = assert(client:extend(shot()))
      fill()
      local status = assert(client:wait(task))
      local other = helper.folder()
      assert(client:download(status, other .. "/boat.mp4"))
      os.remove(folder .. "/ballast")
      assert(client:tasks())
      assert.equal("saved", ledgers.states(folder .. "/renders.db"))
    end)
  end)

  needs.block("root", describe)("on a read-only disk", function()
    it("that is not there yet", function()
      mount "512k"
      helper.output("mount -o remount,ro " .. folder)
      refused(new(folder .. "/renders.db"))
    end)

    it("that is there already", function()
      mount "512k"
      local client = new(folder .. "/renders.db")
      assert(client:extend(shot()))
      client:close()
      helper.output("mount -o remount,ro " .. folder)
      client = new(folder .. "/renders.db")
      refused(client)
      helper.output("mount -o remount,rw " .. folder)
      assert(client:extend(shot()))
    end)
  end)

  it("in a folder that does not exist", function()
    refused(new(folder .. "/none/renders.db"), "open")
  end)

  it("that is a folder", function()
    os.execute("mkdir " .. folder .. "/renders.db")
    refused(new(folder .. "/renders.db"), "open")
  end)

  describe("held by another process", function()
    it("for too long", function()
      local client = new(folder .. "/renders.db")
      assert(client:tasks())
      local holder = ledgers.connect(folder .. "/renders.db")
      ledgers.query(holder, "BEGIN IMMEDIATE")
      local began = helper.now()
      refused(client, "busy")
      assert.is_true(helper.now() - began < 20) -- of 60
      ledgers.query(holder, "ROLLBACK")
      holder:close()
      assert(client:extend(shot()))
    end)
  end)

  describe("that is damaged", function()
    -- Nothing may be repaired by guessing: the file stays as it is.
    local function stays(place, content)
      refused(new(place), "corrupt")
      assert.equal(content, helper.read(place))
    end

    it("is no database at all", function()
      local place = folder .. "/renders.db"
      local content = ("no database, "):rep(1000)
      helper.write(place, content)
      stays(place, content)
    end)

    it("cut in the middle", function()
      local place = folder .. "/renders.db"
      local client = new(place)
      for _ = 1, 30 do assert(client:extend(shot())) end
      client:close()
      local content = helper.read(place):sub(1, 12000)
      helper.write(place, content)
      refused(new(place), "corrupt")
    end)
  end)

  it("is opened again at the next call", function()
    local place = folder .. "/sub/renders.db"
    local client = new(place)
    refused(client, "open")
    os.execute("mkdir " .. folder .. "/sub")
    assert(client:extend(shot()))
  end)
end)
