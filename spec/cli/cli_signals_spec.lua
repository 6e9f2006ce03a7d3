-- The `veo` command and signals.

local command = require "spec.support.command"
local helper = require "spec.support.helper"

describe("the veo command", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local extend, shell, plain = world.extend, world.shell, command.plain
  local sim, folder

  before_each(function() sim, folder = world.sim, world.folder end)

  describe("on Ctrl-C", function()
    -- Starts it, sends SIGINT after the file of standard error shows `pattern`, waits for its end.
    local function interrupted(arguments, pattern)
      return shell(([[%s </dev/null & pid=$!
        n=0; until grep -q '%s' %s/err || [ $n -gt 6000 ]; do n=$((n + 1)); sleep 0.01; done
        kill -INT $pid; wait $pid]]):format(world.command(arguments), pattern, folder))
    end

    it("while it waits, says which task goes on and how", function()
      local path = folder .. "/i.mp4"
      local code, out, err = interrupted(extend("[sim render=100000]", "-o", path), "generating")
      local _, charges = sim:charges()
      assert.equal(3, code, err)
      assert.equal("", out)
      assert.matches("interrupted", err)
      assert.matches("to go on: veo wait " .. plain(charges[1].taskId) .. " %-o " .. plain(path), err)
    end)

    local function ordered()
      world.wait_for(function() return sim:count("POST", helper.EXTEND) > 0 end)
    end

    it("while it orders, waits for the answer, so that the taskId is known", function()
      world.start(extend "[sim delay=3]")
      ordered()
      world.send "INT"
      local code, _, err = world.finish()
      local _, charges = sim:charges()
      assert.same({ 3, 1 }, { code, #charges }, err)
      assert.matches("stopping", err)
      assert.matches("to go on: veo wait " .. plain(charges[1].taskId), err)
    end)

    it("while it orders, waits for the answer also when a closed terminal sends SIGHUP twice, and a logout SIGTERM",
      function()
        world.start(extend "[sim delay=1]")
        ordered()
        world.send "HUP"
        world.until_said "stopping"
        for _, name in ipairs { "HUP", "TERM", "TERM", "HUP" } do world.send(name) end
        local code, _, err = world.finish()
        local _, charges = sim:charges()
        assert.same({ 3, 1 }, { code, #charges }, err)
        assert.matches("to go on: veo wait " .. plain(charges[1].taskId), err)
      end)

    for _, names in ipairs { { "INT", "INT" }, { "TERM", "TERM" }, { "HUP", "INT" }, { "TERM" } } do
      it("and on " .. table.concat(names, ", ") .. " while it orders, says what may have been paid", function()
        world.start(extend "[sim delay=600]") -- longer than anybody waits
        ordered()
        for _, name in ipairs(names) do
          world.send(name)
          world.until_said "stopping"
        end
        local code, out, err = world.finish()
        assert.same({ 3, "" }, { code, out }, err)
        assert.matches("uncertain: extend: ended before", err)
        assert.matches("Credits may have been charged", err)
        if not command.has_ledger() then return end
        assert.matches("to go on: veo tasks %-%-open", err)
        assert.matches("uncertain%s+extend%s+%(no taskId; ref %x+%)", (select(2, world.veo { "tasks", "--open" })))
      end)
    end

    it("ends as shells say it when nothing was ordered", function()
      for name, expected in pairs { INT = 130, TERM = 143, HUP = 129 } do
        world.start(extend "x", { KIE_BASE_URL = "http://127.0.0.1:1" })
        world.until_said "no connection"
        world.send(name)
        local code, _, err = world.finish()
        assert.equal(expected, code, err)
        assert.matches("interrupted; nothing was ordered", err)
      end
    end)

    it("while it fetches, keeps what came", function()
      local path = folder .. "/f.mp4"
      local code, _, err = shell(([[%s </dev/null & pid=$!
        n=0; until [ -s %s.part ] || [ $n -gt 6000 ]; do n=$((n + 1)); sleep 0.01; done
        kill -INT $pid; wait $pid]]):format(world.command(extend("[sim:media drip=3000 times=1]", "-o", path)), path))
      assert.equal(3, code, err)
      assert.matches("to go on: veo download %S+ %-o ", err)
      assert.is_nil(helper.read(path))
      assert.is_true(#helper.read(path .. ".part") > 0)
      code, _, err = shell(world.command { "download", err:match("veo download (%S+)"), "-o", path })
      assert.equal(0, code, err)
      assert.is_true(helper.read(path) == helper.read("lua/veo/simulator/clips/hop1.mp4"))
    end)

    it("at any instant loses no task that was paid", function()
      local function order(n)
        return ("%s 2>%s/err%d"):format(world.command { "extend", sim.source, ("shot %d. [sim delay=0.1]"):format(n),
          "--timeout", "0.5" }, folder, n)
      end
      local began = helper.now()
      shell(order(0))
      local lasts = helper.now() - began -- on this machine, and as it is now
      local script = {}
      for n = 1, 30 do
        script[#script + 1] = ("%s & pid=$!; sleep %.3f; kill -INT $pid 2>/dev/null; wait $pid"):format(order(n),
          0.01 + lasts * n / 30)
      end
      shell(table.concat(script, "\n") .. "\n:")
      local _, charges = sim:charges()
      assert.is_true(#charges > 0)
      for _, charge in ipairs(charges) do
        local said = helper.read(folder .. "/err" .. charge.prompt:match("%d+"))
        assert.is_truthy(said:find(charge.taskId, 1, true), charge.prompt .. said)
      end
    end)
  end)

  it("simulates the service, and ends at Ctrl-C while it answers", function()
    local round = ([[%s </dev/null >%s/sim & pid=$!
      n=0; until grep -qs KIE_API_KEY %s/sim || [ $n -gt 6000 ]; do n=$((n + 1)); sleep 0.01; done
      KIE_BASE_URL=$(sed -n 's/.*KIE_BASE_URL=//p' %s/sim) KIE_API_KEY=$(sed -n 's/.*KIE_API_KEY=//p' %s/sim) \
        %s %s/veo credits
      kill -INT $pid; (sleep 60; kill -9 $pid 2>/dev/null) >/dev/null 2>&1 & guard=$!
      wait $pid || echo "ended with $?"
      kill $guard]]):format(world.command { "simulate", "--speed", "100" }, folder, folder, folder, folder,
    helper.lua(), folder) -- LuaJIT raises it inside whatever coroutine runs: one round in four met a connection's.
    local _, out, err = shell("for round in 1 2 3 4 5 6 7 8 9 10; do " .. round .. "; rm " .. folder .. "/sim; done")
    assert.equal(("10000\n"):rep(10), out, err)
    assert.equal("", err)
  end)
end)
