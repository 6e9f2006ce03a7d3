-- Pruning forgets texts and never money: the simulator counts what was charged. On both databases.

local both = require "spec.support.both"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

local LATER = 4e9

local world = both { setup = setup, teardown = teardown, describe = describe }
local sim

local function suite(where)
  local place, folder, client

  local function new(more)
    more = more or {}
    more.ledger = place
    return helper.client(sim, more)
  end

  before_each(function()
    sim = world.sim
    sim:reset()
    place, folder = where(), helper.folder()
    client = new()
  end)
  after_each(function() client:close() end)

  local function shot(prompt) return { taskId = sim.source, prompt = prompt } end
  local function saved(prompt, key)
    local status = assert(helper.extend_and_wait(client, shot(prompt), { key = key }))
    assert(client:download(status, folder .. "/" .. prompt .. ".mp4"))
    return status.taskId
  end
  local function charged() return select(2, ledgers.charged(sim)) end

  it("makes no key and no request payable again", function()
    local keyed, plain = saved("keyed", "k"), saved "plain"
    sim:script { { on = "extend", fail = 2 } }
    local _, failed = helper.extend_and_wait(client, shot "failed", { key = "f" })
    assert.equal("failed", failed.code)
    sim:script {}
    local before = charged()
    assert.same({ 3, 0 }, { assert(client:prune { before = LATER }).pruned, #ledgers.query(place,
      "SELECT ref FROM veo_tasks WHERE body LIKE '%prompt%' OR result IS NOT NULL OR error IS NOT NULL") })
    client:close()
    client = new() -- nothing in memory
    local task = assert(client:extend(shot "keyed", { key = "k" }))
    assert.same({ keyed, true, "saved", folder .. "/keyed.mp4" }, { task.taskId, task.joined, task.state, task.path })
    assert.equal(failed.taskId, assert(client:extend(shot "failed", { key = "f" })).taskId)
    local _, err = client:extend(shot "another", { key = "k" })
    assert.same({ "invalid", "key" }, { err.code, err.field })
    _, err = client:extend(shot "plain")
    assert.same({ "duplicate", plain }, { err.code, err.taskId })
    assert.equal(before, charged())
    assert.is_string(client:tasks({ key = "k" })[1].pruned)
  end)

  it("leaves alone what is open, uncertain or younger", function()
    saved "young"
    assert(client:extend(shot "accepted"))
    assert(helper.extend_and_wait(client, shot "done"))
    sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
    client:extend(shot "uncertain")
    local function bodies()
      return ledgers.query(place, "SELECT state, body, result, error FROM veo_tasks ORDER BY created, ref")
    end
    local before = bodies()
    assert.equal(0, assert(client:prune { days = 1 }).pruned)
    local counted = assert(client:prune { before = LATER, dry_run = true })
    assert.equal(1, counted.pruned)
    assert.is_true(counted.bytes > #before[1].body)
    assert.same(before, bodies())
    assert.same({ 1, 0 }, { assert(client:prune { before = LATER }).pruned, client:prune({ before = LATER }).pruned })
    local after = bodies()
    for i = 2, 4 do assert.same(before[i], after[i]) end
  end)

  it("keeps budgets, charges and upgrades", function()
    local task = saved "upgraded"
    local function upgrade()
      local other = new()
      assert(other:task(task):upgrade("1080p", { timeout = 30, interval = 0.05 }))
      other:close()
    end
    upgrade()
    upgrade()
    ledgers.query(place, "UPDATE veo_charges SET at = at - 90000")
    assert.equal(1, client:prune({ before = LATER }).pruned)
    assert.equal(1, #ledgers.query(place, "SELECT * FROM veo_charges"))
    local limited = new { max_credits = { day = 100 } }
    local _, err = limited:extend(shot "over")
    assert.same({ "budget", 65 }, { err.code, err.spent })
    limited:close()
    _, err = client:extend { taskId = task, prompt = "more" }
    assert.same({ "invalid", "taskId" }, { err.code, err.field })
    local before = charged()
    upgrade()
    assert.equal(before, charged())
  end)

  it("lets a late answer to a lost order count", function()
    sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
    local _, err = client:extend(shot "lost", { key = "k" })
    assert(client:settle(err.ref, "lost"))
    assert.equal(1, client:prune({ before = LATER }).pruned)
    local made_for = select(2, sim:charges())[1].taskId
    local record = assert(client:settle(err.ref, made_for))
    assert.equal(made_for, record.taskId)
    assert.equal("done", assert(client:resume()) and client:tasks({ ref = err.ref })[1].state)
  end)

  it("lets a finished chain answer as finished", function()
    local chain = { taskId = sim.source, prompts = { "one", "two" }, path = folder .. "/long.mp4" }
    local last = assert(client:chain(chain)).taskId
    assert.is_true(client:prune({ before = LATER }).pruned > 0)
    client:close()
    client = new()
    assert.equal(last, assert(client:chain(chain)).taskId)
    chain.model, chain.callBackUrl = "fast", "https://example.com/cb" -- said otherwise, and the same
    assert.equal(last, assert(client:chain(chain)).taskId)
    assert.equal(2, charged())
  end)

  it("lets a whole call answer with the file that is there", function()
    local function call() return client:extend_and_save(shot "whole", folder .. "/whole.mp4", { key = "w" }) end
    local first = assert(call())
    assert.equal(1, client:prune({ before = LATER }).pruned)
    local again = assert(call())
    assert.same({ first.taskId, true }, { again.taskId, again.already })
    assert.equal(1, charged())
  end)

  it("shrinks many rows while other jobs go on", function()
    saved "one"
    local columns = "operation, api, hash, price, day, client, lease, sending, created, updated"
    ledgers.query(place, ([[INSERT INTO veo_tasks (ref, state, body, %s) WITH RECURSIVE n(i) AS
      (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 450) SELECT CAST(i AS TEXT), 'refused', body, %s
      FROM n, (SELECT * FROM veo_tasks) AS t]]):format(columns, columns))
    local turns, pruning = 0, client:spawn(client.prune, client, { before = LATER })
    while pruning:status() == "pending" do
      turns = turns + 1
      client:step(1)
    end
    assert.equal(451, assert(pruning:result()).pruned)
    assert.is_true(turns > 5)
  end)

  it("refuses what it cannot mean", function()
    for _, given in ipairs { {}, { before = 1, days = 1 }, { before = "2026" }, { days = -1 },
      { before = 1, dry = true } } do
      assert.has_error(function() client:prune(given) end)
    end
    assert.error_matches(function() client:prune() end, "give before %(epoch seconds%) or days")
    assert.error_matches(function() client:prune { day = 1 } end, "unknown option day %(did you mean days%?%)")
  end)
end

world.describe("pruning a ledger", suite)
