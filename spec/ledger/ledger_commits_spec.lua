-- Orders that are ready together share a commit, seen from outside: a process orders, its commits are counted in the
-- database, its orders where they are paid. Nothing is patched, so that it also runs through nginx: orders over TLS, each
-- on a connection of its own, and the looks at their tasks over HTTP/2.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

local world = both { setup = setup, teardown = teardown, describe = describe }

-- Orders `count` things at once, and tells how far it is. However slow the machine is: a commit takes all that are there.
local ORDERS = [[
local helper, core = require "spec.support.helper", require "veo.core"
local url, key, ca_file, place, folder, source, count = (table.unpack or unpack)(arg)
for _, engine in pairs(require("veo.ledger.engines").all) do engine.hold = 60 end
local function there(name) return core.kind(folder .. "/" .. name) end
local function tell(name) helper.write(folder .. "/" .. name, "") end
local client = helper.client(url, { api_key = key, ca_file = ca_file ~= "" and ca_file or nil, ledger = place })
assert(client:tasks())
tell "opened"
helper.wait_until(function() return there "order" end)
local jobs = {}
for i = 1, tonumber(count) do
  jobs[i] = client:spawn(function() return client:extend { taskId = source, prompt = "shot " .. i } end)
end
helper.step_until(client, function() return there "sent" end)
tell "stands" -- and the answers come
helper.wait_until(function() return there "answered" end)
client:run()
for i, job in ipairs(jobs) do jobs[i] = assert(job:result()) end
tell "ended"
helper.wait_until(function() return there "counted" end) -- before SQLite's log goes
for _, task in ipairs(jobs) do assert(task:wait()) end
client:close()
tell "closed"
]]

local function number(bytes)
  local a, b, c, d = bytes:byte(1, 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- Commits that wrote something, since some time or other.
local commits = {}

-- In SQLite's log the last page of each has the database's length beside it.
function commits.sqlite(place)
  local log, count = helper.read(place .. "-wal"), 0
  local size = 24 + number(log:sub(9))
  for at = 33, #log - size + 1, size do
    local is_of_now = log:sub(at + 8, at + 15) == log:sub(17, 24)
    if is_of_now and number(log:sub(at + 4)) > 0 then count = count + 1 end
  end
  return count
end

-- PostgreSQL numbers them, over all databases.
function commits.postgresql(place)
  return ledgers.query(place,
    "SELECT CAST(txid_snapshot_xmax(txid_current_snapshot()) AS DOUBLE PRECISION) AS n")[1].n
end

world.describe("orders that are ready together, seen from outside,", function(where, kind)
  -- Commits for the intents of so many orders, and for their answers.
  local function order(count)
    local sim, place, folder = world.sim, where(), helper.folder()
    local function tell(name) helper.write(folder .. "/" .. name, "") end
    local function await(name) helper.wait_until(function() return helper.read(folder .. "/" .. name) end) end
    sim:reset()
    sim:script { { on = "extend", delay = 0.5 } }
    if kind == "postgresql" then -- a server's own commits, as of its statistics, are numbered too
      ledgers.query(place, "ALTER SYSTEM SET autovacuum TO off")
      ledgers.query(place, "SELECT pg_reload_conf() AS done")
    end
    helper.write(folder .. "/orders.lua", ORDERS)
    os.execute(("(%s) >%s/said 2>&1 &"):format(ledgers.script(helper.lua(), folder .. "/orders.lua", sim.url,
      sim.api_key, sim.ca_file or "", place, folder, sim.source, count), folder))
    await "opened"
    local before = commits[kind](place)
    tell "order"
    helper.wait_until(function() return sim:count("POST", helper.EXTEND) == count end)
    local intents = commits[kind](place) - before
    assert.equal(("intent "):rep(count), ledgers.states(place) .. " ")
    tell "sent"
    await "stands"
    os.execute "sleep 1"
    tell "answered"
    await "ended"
    local answers = commits[kind](place) - before - intents
    assert.equal(("accepted "):rep(count), ledgers.states(place) .. " ")
    tell "counted"
    await "closed"
    assert.equal("", helper.read(folder .. "/said"))
    assert.same({ count, count, 0 }, { ledgers.charged(sim) })
    for _, request in ipairs(sim:requests { endpoint = "status" }) do
      assert.is_true(not request.protocol or request.protocol == "HTTP/2.0", request.protocol) -- none without nginx
    end
    return intents, answers
  end

  it("take one commit for the intents of ten, and fewer than ten for their answers", function()
    local intents, answers = order(10)
    assert.equal(1, intents)
    assert.is_true(answers >= 1 and answers < 10, answers .. " commits")
  end)

  it("take two each where there is one", function()
    assert.same({ 1, 1 }, { order(1) })
  end)
end)
