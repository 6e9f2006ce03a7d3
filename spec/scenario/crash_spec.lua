-- A few turns of the crash loop; `make crash` turns it hundreds of times.

local harness = require "spec.crash.harness"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("killed at random instants, a client", function()
  it("pays nothing twice, loses nothing that is paid, and leaves no cut file", function()
    local loop = harness.new { kills = 8 }
    local ok, figures, problems = pcall(loop.run, loop)
    loop:stop() -- whatever happened: a pipe to a process that goes on would hang the collector
    assert(ok, figures)
    assert(#problems == 0, table.concat(problems, "; "))
    assert.equal(0, figures["charged twice"])
    assert.equal(0, figures["charged and unknown"])
    assert.is_true(figures.charges > 0 and figures["whole files"] > 0)
  end)
end)

describe("the same script run again after kill -9", function()
  local sim, folder
  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    folder = helper.folder()
    helper.write(folder .. "/boat.lua", [[
      local helper = require "spec.support.helper"
      local url, key, source, folder = arg[1], arg[2], arg[3], arg[4]
      io.stdout:setvbuf "no"
      local stat = io.open "/proc/self/stat"
      print(stat:read "*n")
      local client = helper.client(url, { api_key = key, ledger = folder .. "/r.db" })
      local task, err = client:extend { taskId = source, prompt = "the boat turns" }
      print(task and (task.joined and "joined" or "ordered") or err.code)
      local status = assert(client:wait(task))
      print "done"
      print(assert(client:download(status, folder .. "/boat.mp4")).path)
    ]])
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    os.execute("rm -f " .. folder .. "/r.db* " .. folder .. "/boat.mp4*")
  end)

  -- Runs it, to its end or until it has said `last` and `ready` holds; returns what it said.
  local function run(last, ready)
    local pipe = io.popen(ledgers.script(helper.lua(), folder .. "/boat.lua", sim.url, sim.api_key, sim.source, folder))
    local pid, said = pipe:read "*l", {}
    for line in pipe:lines() do
      said[#said + 1] = line
      if line == last then
        while ready and not ready() do os.execute "sleep 0.01" end
        os.execute("kill -9 " .. pid)
      end
    end
    pipe:close()
    return said
  end

  local function ends_well()
    local said = run()
    local _, charges = sim:charges()
    assert.same({ "joined", "done", folder .. "/boat.mp4", 1 }, { said[1], said[2], said[3], #charges })
  end

  it("goes on with its order while that is generating", function()
    sim:script { { on = "status", state = "generating" } }
    assert.same({ "ordered" }, run "ordered")
    sim:script {}
    ends_well()
  end)

  it("goes on with its download", function()
    sim:script { { on = "media", drip = 2000 } }
    assert.same({ "ordered", "done" }, run("done", function() return helper.read(folder .. "/boat.mp4.part") end))
    sim:script {}
    ends_well()
  end)

  it("does not send an order again that had no answer yet", function()
    sim:script { { on = "extend", delay = 20, charge = true } }
    local pipe = io.popen(ledgers.script(helper.lua(), folder .. "/boat.lua", sim.url, sim.api_key, sim.source, folder)
      .. " 2>/dev/null")
    local pid = pipe:read "*l"
    while sim:count("POST", helper.EXTEND) == 0 do os.execute "sleep 0.01" end
    os.execute("kill -9 " .. pid)
    pipe:close()
    assert.equal("uncertain", run()[1])
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)
end)

describe("three workers on one PostgreSQL ledger", function()
  it("wait for each task to its end once, and take over from one that is killed or cut off", function()
    local figures, problems = require("spec.crash.fleet").run { tasks = 12, kills = 1, cuts = 1 }
    assert(#problems == 0, table.concat(problems, "; "))
    assert.same({ 12, 0, 0 }, { figures.tasks, figures["told twice"], figures["charged twice"] })
  end)
end)
