-- Who writes next, where many processes write one SQLite ledger: an order goes before those who make commit after commit.

local core = require "veo.core"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local modules = require "veo.ledger"
local simulator = require "veo.simulator"

-- Whenever it is told to go, it holds the lock for long, and then makes commit after commit with little room behind each.
local HOG = [[
local place, folder = arg[1], arg[2]
local core = require "veo.core"
local ledger = require("veo.ledger").new(place, { now = core.now, timeout = 60, rate = {} })
local function spin(seconds)
  local till = core.now() + seconds
  while core.now() < till do end
end
local function commit(seconds, held)
  local done, problem = ledger.db:transaction(function(db)
    db:run "UPDATE hog SET commits = commits + 1"
    if held then io.open(held, "w"):close() end
    spin(seconds)
    return true
  end)
  if not done then error(problem.message) end
end
local deadline = core.now() + 300
while not core.kind(folder .. "/end") and core.now() < deadline do
  if os.remove(folder .. "/go") then
    commit(0.15, folder .. "/held")
    for _ = 1, 25 do
      spin(0.003)
      commit(0.009)
    end
    os.remove(folder .. "/held")
    io.open(folder .. "/done", "w"):close()
  end
  os.execute "sleep 0.005"
end
]]

describe("the ledger's lock", function()
  local sim, folder, place, client
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    place = folder .. "/renders.db"
    client = helper.client(sim, { ledger = place })
    assert(client:tasks())
  end)
  after_each(function() client:close() end)

  it("goes to an order sooner than SQLite's own waiting would have it", function()
    ledgers.query(place, "CREATE TABLE hog (commits INTEGER, seen INTEGER)")
    ledgers.query(place, "INSERT INTO hog VALUES (0, 0)")
    ledgers.query(place, "CREATE TRIGGER noted AFTER INSERT ON veo_tasks BEGIN UPDATE hog SET seen = commits; END")
    helper.write(folder .. "/hog.lua", HOG)
    local hog = io.popen(ledgers.script(helper.lua(), folder .. "/hog.lua", place, folder) .. " 2>&1")
    local other = ledgers.connect(place)
    ledgers.query(other, "PRAGMA busy_timeout=30000")
    local function count(column) return ledgers.query(other, ("SELECT %s AS n FROM hog"):format(column))[1].n end
    local function is(name) return core.kind(folder .. "/" .. name) == "file" end
    local function nap() os.execute "sleep 0.005" end
    -- How many commits of the other process are made while one waits; again where it was over before one looked.
    local function passed(wait, column)
      local before
      repeat
        os.remove(folder .. "/done")
        before = count "commits"
        helper.write(folder .. "/go", "")
        helper.wait_until(function() return is "held" or is "done" end, nap)
      until not is "done"
      wait()
      local seen = count(column)
      if column == "commits" then ledgers.query(other, "COMMIT") end
      helper.wait_until(function() return is "done" end, nap)
      return seen - before
    end
    local order, sqlite = 0, 0
    for i = 1, 8 do
      local shot = { taskId = sim.source, prompt = "shot " .. i }
      order = order + passed(function() assert(client:extend(shot)) end, "seen")
      sqlite = sqlite + passed(function() ledgers.query(other, "BEGIN IMMEDIATE") end, "commits")
    end
    other:close()
    helper.write(folder .. "/end", "")
    assert.equal("", hog:read "*a")
    hog:close()
    assert.is_true(2 * order < sqlite, ("%d commits of another went before 8 orders, %d before 8 who wait as "
      .. "SQLite does"):format(order, sqlite))
  end)

  it("is waited for as long as another one may hold it, and no longer", function()
    local holder = ledgers.connect(place)
    ledgers.query(holder, "BEGIN IMMEDIATE")
    local began = helper.now()
    local _, err = client:extend { taskId = sim.source, prompt = "x" }
    local took = helper.now() - began
    assert.same({ "ledger", "busy", "no" }, { err.code, err.cause, err.sent })
    assert.is_true(took >= 5 and took < 20, took) -- of 60
    ledgers.query(holder, "COMMIT")
    assert(client:extend { taskId = sim.source, prompt = "x" })
    assert.equal(1, sim:count("POST", helper.EXTEND))
    holder:close()
  end)

  -- Accepted tasks that a dead process held.
  local function leave(count)
    sim:credits(1e6)
    for i = 1, count do assert(client:extend { taskId = sim.source, prompt = "shot " .. i }) end
    local dead = require("veo.ledger.process").name("x"):gsub(":%d+:%d+:", ":4194999:1:")
    ledgers.query(place, "UPDATE veo_tasks SET owner = ?, lease = 99999999999", dead)
  end

  it("is free behind each commit of a resume for as long as that took", function()
    leave(120)
    local ledger = modules.new(place, { now = helper.now, timeout = 10, rate = {} })
    local class = getmetatable(ledger.db)
    local transaction, made = class.transaction, {}
    class.transaction = function(db, fn, kind) -- luacheck: ignore
      local began = helper.now()
      local value, problem = transaction(db, fn, kind)
      if kind ~= "reading" and kind ~= true then made[#made + 1] = { began = began, ended = helper.now() } end
      return value, problem
    end
    local summary, err = client:resume()
    class.transaction = transaction
    assert(summary, err)
    assert.equal(120, summary.done)
    assert.is_true(#made >= 5, #made)
    local close = {} -- a busy machine may take the turn away between the measuring of it and of us
    for i = 2, #made do
      local room, took = made[i].began - made[i - 1].ended, made[i - 1].ended - made[i - 1].began
      if room <= 0.9 * took or room <= 0.009 then
        close[#close + 1] = ("commit %d of %d: %.1f ms behind one of %.1f ms"):format(i, #made, room * 1000,
          took * 1000)
      end
    end
    assert.is_true(#close <= #made / 4, table.concat(close, "; "))
  end)

  it("is let go by steps that take long, and they go on later", function()
    leave(100)
    local now, a_step = 0, 0
    local ledger = modules.new(place, { timeout = 10, rate = {}, now = function()
      now = now + a_step
      return now
    end })
    local function claimed()
      local request = { limit = 100, round = tostring(now) }
      local rows
      repeat rows = assert(ledger:claim(request)) until rows[1]
      local entries = {}
      for i, row in ipairs(rows) do entries[i] = { row = row, fields = { state = "done" } } end
      assert.equal(100, #entries)
      return entries
    end
    local entries = claimed()
    a_step = 0.001
    local mine = assert(ledger:steps(entries, 100))
    assert.is_true(#mine > 1 and #mine < 10, #mine)
    assert.equal(#mine, ledgers.query(place, "SELECT COUNT(*) AS n FROM veo_tasks WHERE state = 'done'")[1].n)
    for _ = 1, #mine do table.remove(entries, 1) end
    a_step = 0
    assert.equal(#entries, #assert(ledger:steps(entries, #entries)))
    assert.equal(100, ledgers.query(place, "SELECT COUNT(*) AS n FROM veo_tasks WHERE state = 'done'")[1].n)
    ledger:close()
  end)
end)
