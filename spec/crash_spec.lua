-- A few turns of the crash loop; `make crash` turns it hundreds of times.

local harness = require "spec.crash.harness"

describe("killed at random instants, a client", function()
  it("pays nothing twice, loses nothing that is paid, and leaves no cut file", function()
    local loop = harness.new { kills = 8 }
    local ok, figures, problems = pcall(loop.run, loop)
    loop:stop() -- whatever happened: a pipe to a process that goes on would hang the collector
    assert(ok, figures)
    assert.same({}, problems)
    assert.equal(0, figures["charged twice"])
    assert.equal(0, figures["charged and unknown"])
    assert.is_true(figures.charges > 0 and figures["whole files"] > 0)
  end)
end)

describe("three workers on one PostgreSQL ledger", function()
  it("wait for each task to its end once, and take over from one that is killed or cut off", function()
    local figures, problems = require("spec.crash.fleet").run { tasks = 12, kills = 1, cuts = 1 }
    assert.same({}, problems)
    assert.same({ 12, 0, 0 }, { figures.tasks, figures["told twice"], figures["charged twice"] })
  end)
end)
