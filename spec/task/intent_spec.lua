-- What an intent says of an order that ends in the middle: never less than was sent.

local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

-- What the service answers first, and whether the caller allows an order more after a lost answer.
local CASES = {
  ["that is accepted"] = {},
  ["that is held back once"] = { script = { on = "extend", code = 429, times = 1 } },
  ["whose answer is lost, and that is ordered again"] = { ambiguous = true,
    script = { on = "extend", close = "unanswered", times = 1 } },
}
-- States of an order that is or may be paid. An intent that nobody closed is none: it was not sent.
local MAY_BE_PAID = { accepted = true, uncertain = true }

describe("the intent of an order", function()
  local sim, folder, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function() folder = helper.folder() end)
  after_each(function()
    debug.sethook()
    client:close()
  end)

  for name, case in pairs(CASES) do
    -- As an allocation, or another thread's hook, may bring one.
    it(name .. " is true after an error at any instruction of its call #timing", function()
      local place, n = folder .. "/r.db", 0
      client = helper.client(sim, { ledger = place, rate = { count = 100000, window = 1 },
        retry = { base = 0, ambiguous = case.ambiguous } })
      assert(client:extend { taskId = sim.source, prompt = "first" }) -- makes the ledger
      repeat
        n = n + 1
        sim:reset()
        if case.script then sim:script { case.script } end
        local raised
        client:spawn(function()
          raised = helper.interrupt(n, "veo/task/")
          client:extend { taskId = sim.source, prompt = "point " .. n }
          debug.sethook()
        end)
        assert(client:run())
        debug.sethook()
        local _, charges = sim:charges()
        local told, tasks = 0, {}
        local rows = ledgers.query(place, "SELECT state, task_id FROM veo_tasks WHERE body LIKE ?",
          '%"point ' .. n .. '"%')
        for _, row in ipairs(rows) do
          if MAY_BE_PAID[row.state] then told = told + 1 end
          if row.task_id then tasks[#tasks + 1] = row.task_id end
        end
        assert.is_true(#charges <= told, ("point %d: %d paid, %d told"):format(n, #charges, told))
        assert.is_true(#tasks <= #charges, "point " .. n)
      until not raised()
      assert.is_true(n > 300, n)
    end)
  end

  -- Without a ledger, of what is a task of its own: another call would pay for it again.
  it("stays uncertain in the client's memory when the attempt after a lost answer is refused", function()
    sim:reset()
    sim:script { { on = "get_4k", close = "unanswered", times = 1 }, { on = "get_4k", code = 402, times = 1 } }
    client = helper.client(sim, { api = "jobs", retry = { base = 0 } })
    local _, err = client:task(sim.source):upgrade("4k", { retry = { base = 0, ambiguous = true } })
    assert.same({ "uncertain", "insufficient_credits" }, { err.code, err.cause.code })
    _, err = client:task(sim.source):upgrade("4k")
    assert.equal("uncertain", err.code)
    assert.equal(2, sim:count("POST", "/api/v1/jobs/createTask"))
  end)
end)
