-- The `veo` command with a ledger that is named: nothing is ordered twice, and nothing is lost.

local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

describe("the veo command with a ledger", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, extend, plain = world.veo, world.extend, command.plain
  local sim, folder

  before_each(function() sim, folder = world.sim, world.folder end)

  it("never orders the same twice, and resumes, lists and settles", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local with = { VEO_LEDGER = folder .. "/l.db" }
    local code, first = veo({ "extend", sim.source, "x", "--key", "shot 1", "--no-wait" }, with)
    assert.equal(0, code)
    local _, second = veo({ "extend", sim.source, "x", "--key", "shot 1", "--no-wait" }, with)
    assert.equal(first, second)
    local taskId = first:match("%S+")
    assert.equal(0, (veo({ "extend", sim.source, "y", "--no-wait" }, with)))
    local out, err
    code, out, err = veo({ "extend", sim.source, "y", "--on-duplicate", "refuse" }, with)
    assert.equal("", out)
    assert.equal(2, code)
    assert.matches("%-%-on%-duplicate allow", err)
    code, out, err = veo({ "extend", sim.source, "[sim code=500]" }, with)
    assert.equal(3, code)
    assert.equal("", out)
    local ref = err:match("to go on: veo settle (%x+) TASK")
    assert.is_truthy(ref, err)

    _, out = veo({ "tasks", "--json" }, with)
    assert.equal(3, #cjson.decode(out).tasks)
    code, out, err = veo({ "resume", "-o", folder .. "/{key}.mp4", "--interval", "0.2" }, with)
    assert.equal(3, code, err)
    assert.is_truthy(out:find(folder .. "/shot 1.mp4\n", 1, true), out)
    assert.is_true(#helper.read(folder .. "/shot 1.mp4") > 1000)
    assert.matches("2 saved, 1 uncertain", err)
    sim:add { taskId = "other-prompt", prompt = "something else" }
    local refused, _, why = veo({ "settle", ref, "other-prompt" }, with)
    assert.equal(1, refused)
    assert.matches("--force", why, 1, true)
    assert.equal(0, (veo({ "settle", ref, "lost" }, with)))
    code, out = veo({ "resume", "-o", folder .. "/{key}.mp4" }, with)
    assert.equal(0, code)
    assert.equal("", out)
    _, out = veo({ "tasks" }, with)
    assert.matches("saved%s+extend%s+" .. plain(taskId) .. "%s+key shot 1", out)
    _, out = veo({ "tasks", "--open" }, with)
    assert.equal("", out)
    assert.equal(3, sim:count("POST", helper.EXTEND))
    assert.equal(1, (veo({ "resume", "-o", "one-name-for-all.mp4" }, with)))
    assert.equal(1, (veo({ "prune" }, with)))
    code, out = veo({ "prune", "--days", "0", "--dry-run" }, with)
    assert.equal(0, code)
    assert.matches("would prune 3 orders", out)
    _, out = veo({ "prune", "--days", "0", "--json" }, with)
    assert.equal(3, cjson.decode(out).pruned)
    assert.equal(first, (select(2, veo({ "extend", sim.source, "x", "--key", "shot 1", "--no-wait" }, with))))
    assert.equal(3, sim:count("POST", helper.EXTEND))
  end)

  it("says what resume leaves to others, and what the service no longer knows", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local place = folder .. "/l.db"
    local client = helper.client(sim, { ledger = place })
    assert(client:extend { taskId = sim.source, prompt = "x" })
    local _, _, err = veo({ "resume" }, { VEO_LEDGER = place })
    assert.matches("resume: 1 held by other processes", err)
    client:close()
    ledgers.query(place, "UPDATE veo_tasks SET created = created - 15 * 86400")
    sim:script { { on = "status", code = 404 } }
    local code
    code, _, err = veo({ "resume" }, { VEO_LEDGER = place })
    assert.same({ 3, false }, { code, err:find("nothing was open", 1, true) ~= nil })
    assert.matches("resume: 1 open", err)
  end)

  it("answers the same command again with the file that is there", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local path, with = folder .. "/k.mp4", { VEO_LEDGER = folder .. "/l.db" }
    local same = extend("x", "--key", "k", "-o", path)
    assert.equal(0, (veo(same, with)))
    ledgers.query(folder .. "/l.db", "UPDATE veo_tasks SET created = 1, updated = 1, ended = 1")
    sim:script { { on = { "status", "media" }, code = 500 } } -- nobody is asked
    for _ = 1, 2 do
      local code, out, err = veo(same, with)
      assert.same({ 0, path .. "\n" }, { code, out }, err)
      assert.matches("saved before: " .. plain(path), err)
      ledgers.query(folder .. "/l.db", "UPDATE veo_tasks SET state = 'done'") -- as a kill leaves it
    end
    local code, _, err = veo(extend("another", "--key", "k", "-o", path), with)
    assert.equal(1, code, err)
    assert.matches("belongs to another request", err)
    helper.write(path, "mine")
    code, _, err = veo(same, with)
    assert.is_true(code == 2 or code == 3, err)
    assert.matches("exists", err)
    assert.equal("mine", helper.read(path))
    assert.equal(2, (veo(extend("y", "--key", "unknown", "-o", path), with)))
    assert.equal(1, sim:count("POST", helper.EXTEND))

    sim:script {}
    path = folder .. "/c.mp4"
    same = { "chain", sim.source, "one", "two", "--key", "c", "--interval", "0.2", "-o", path }
    assert.equal(0, (veo(same, with)))
    local out
    code, out, err = veo(same, with)
    assert.same({ 0, path .. "\n", 3 }, { code, out, sim:count("POST", helper.EXTEND) }, err)
    assert.matches("saved before: " .. plain(path), err)
  end)

  it("answers it without a key too, also when its order was pruned, and asks nobody", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local place = folder .. "/l.db"
    local with, calls = { VEO_LEDGER = place }, {
      extend("x", "-o", folder .. "/1.mp4"), extend("x", "--key", "k", "-o", folder .. "/2.mp4"),
      { "generate", "x", "--interval", "0.2", "-o", folder .. "/3.mp4" } }
    for n, call in ipairs(calls) do assert.equal(0, (veo(call, with)), n) end
    local requests = #sim:requests()
    for _, pruned in ipairs { false, true } do
      if pruned then assert.equal(0, (veo({ "prune", "--days", "0" }, with))) end
      for n, call in ipairs(calls) do
        local path = ("%s/%d.mp4"):format(folder, n)
        local code, out, err = veo(call, with)
        assert.same({ 0, path .. "\n" }, { code, out }, err)
        assert.matches("saved before: " .. plain(path), err)
      end
    end
    assert.equal(requests, #sim:requests())
    helper.write(folder .. "/1.mp4", "mine")
    assert.equal(2, (veo(calls[1], with)))
    assert.same({ requests, "mine" }, { #sim:requests(), helper.read(folder .. "/1.mp4") })
  end)

  it("joins what was ordered by the same command before it was killed, and says so", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local path, with = folder .. "/k.mp4", { VEO_LEDGER = folder .. "/l.db" }
    local same = { "extend", sim.source, "[sim render=3000]", "--interval", "0.2", "-o", path }
    -- Nothing but the command itself is killed: the shell becomes it. It looks once the ledger has its task.
    local pid = helper.output(("sh -c %s >%s/out 2>%s/err & echo $!"):format(
      command.quote("exec " .. world.command(same, with) .. " </dev/null"), folder, folder)):match "%d+"
    while sim:count("GET", helper.STATUS) == 0 do os.execute "sleep 0.01" end
    os.execute("kill -9 " .. pid)
    local code, out, err = veo(same, with)
    local _, charges = sim:charges()
    assert.same({ 0, path .. "\n", 1 }, { code, out, #charges }, err)
    assert.matches("ordered before: task " .. plain(charges[1].taskId) .. "; not ordered again", err)
  end)

  it("without a pattern resumes without saving, and goes on listing what is finished", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local with = { VEO_LEDGER = folder .. "/l.db" }
    local _, out = veo({ "extend", sim.source, "x", "--no-wait" }, with)
    local taskId = out:match("%S+")
    for _ = 1, 2 do
      local code
      code, out = veo({ "resume", "--interval", "0.2" }, with)
      assert.equal(0, code)
      assert.matches("^" .. plain(taskId) .. " http%S+\n$", out)
    end
  end)
end)
