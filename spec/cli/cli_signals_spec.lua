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
        n=0; until grep -q '%s' %s/err || [ $n -gt 500 ]; do n=$((n + 1)); sleep 0.01; done
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

    it("while it orders, waits for the answer, so that the taskId is known", function()
      -- The order is on its way once the simulator has seen it.
      local code, _, err = shell(([[%s </dev/null & pid=$!
        sleep 0.5; kill -INT $pid; wait $pid]]):format(world.command(extend("[sim delay=1.5]"))))
      local _, charges = sim:charges()
      assert.equal(1, #charges)
      assert.equal(3, code)
      assert.matches("stopping", err)
      assert.matches("to go on: veo wait " .. plain(charges[1].taskId), err)
    end)

    it("while it fetches, keeps what came", function()
      local path = folder .. "/f.mp4"
      local code, _, err = shell(([[%s </dev/null & pid=$!
        n=0; until [ -s %s.part ] || [ $n -gt 500 ]; do n=$((n + 1)); sleep 0.01; done
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
      local script = {}
      for n = 1, 30 do
        script[#script + 1] = ([[%s 2>%s/err%d & pid=$!; sleep %.3f; kill -INT $pid 2>/dev/null; wait $pid]]):format(
          world.command { "extend", sim.source, ("shot %d. [sim delay=0.1]"):format(n), "--timeout", "0.5" }, folder, n,
          0.01 + n * 0.02)
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
      n=0; until grep -qs KIE_API_KEY %s/sim || [ $n -gt 500 ]; do n=$((n + 1)); sleep 0.01; done
      KIE_BASE_URL=$(sed -n 's/.*KIE_BASE_URL=//p' %s/sim) KIE_API_KEY=$(sed -n 's/.*KIE_API_KEY=//p' %s/sim) \
        %s %s/veo credits
      kill -INT $pid; (sleep 5; kill -9 $pid 2>/dev/null) >/dev/null 2>&1 & guard=$!
      wait $pid || echo "ended with $?"
      kill $guard]]):format(world.command { "simulate", "--speed", "100" }, folder, folder, folder, folder, helper.lua(),
    folder) -- LuaJIT raises it inside whatever coroutine runs: one round in four met a connection's.
    local _, out, err = shell("for round in 1 2 3 4 5 6 7 8 9 10; do " .. round .. "; rm " .. folder .. "/sim; done")
    assert.equal(("10000\n"):rep(10), out, err)
    assert.equal("", err)
  end)
end)
