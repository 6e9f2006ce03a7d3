--- A host that ends in the middle: its Lua state closes with look-ups, handshakes, calls, downloads and saves under way.
--- Each case is a process of its own, which must end by itself, quickly, as it wanted to, and with nothing left over.

local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulators = require "veo.simulator"

local LUA = "lua5.4"
for i = 0, -9, -1 do
  if arg and arg[i] then LUA = arg[i] end -- the lowest is the interpreter
end
local closes_on_exit = _VERSION ~= "Lua 5.1" -- os.exit(code, true) closes the state; 5.1 and LuaJIT do not take it

local VALGRIND = "valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite "
  .. "--keep-debuginfo=yes --num-callers=30 --error-exitcode=99 --suppressions=spec/support/valgrind.supp "

-- What is under way when the end comes. `client`, `sim`, `folder` and `late` are there.
local UNDER_WAY = {
  ["a look-up"] = { where = "name", code = [[ client:spawn(client.status, client, "some-task") ]] },
  ["a TLS handshake"] = { where = "handshake", code = [[ client:spawn(client.status, client, "some-task") ]] },
  ["a call without an answer"] = { where = "mute", code = [[
    for _ = 1, 5 do client:spawn(client.status, client, "some-task") end ]] },
  ["a billable call without an answer"] = { where = "mute", code = [[
    client:spawn(client.extend, client, { taskId = "some-task", prompt = "it rains" }) ]] },
  ["a retry's sleep and a wait's"] = { where = "sim", code = [[
    client:spawn(client.wait, client, "slow")
    client:spawn(client.sleep, client, 100) ]] },
  ["a download"] = { where = "sim", code = [[
    local options = { overwrite = true }
    client:spawn(client.download, client, media .. "/media/blob/100000000.mp4", folder .. "/a.mp4", options)
    client:spawn(client.download, client, media .. "/media/blob/100000.mp4", folder .. "/b.mp4", options) ]] },
  ["a save"] = { where = "sim", steps = 1000, code = [[
    client:spawn(client.download, client, media .. "/media/blob/8000000.mp4", folder .. "/c.mp4",
      { overwrite = true, on_progress = function(bytes, total) late = bytes == total end }) ]] },
}

local ENDINGS = {
  ["the script's end"] = { code = "", status = 0 },
  ["an error"] = { code = "error('the host failed')", status = 1 },
  ["os.exit"] = { code = "os.exit(7)", status = 7 },
  ["close"] = { code = "client:close() client = nil collectgarbage()", status = 0 },
  ["os.exit that closes the state"] = { code = "os.exit(true, true)", status = 0, needs_close = true },
  ["os.exit in a job"] = { code = "client:spawn(function() os.exit(7, true) end) client:step(0)", status = 7,
    needs_close = true },
}

describe("a host that ends with", function()
  local sim, server, folder

  setup(function()
    folder = helper.folder()
    sim = simulators.start { rate = false }
    sim:add { taskId = "slow", render = 1000 }
    server = fault.start { mute = { accept = "hang" }, handshake = { tls = "hang" } }
  end)
  teardown(function()
    sim:stop()
    server:stop()
    helper.sweep()
  end)

  -- Its exit status, what it said, and how long it took.
  local function run(under_way, ending, prefix)
    local urls = { sim = sim.url, mute = server.url.mute, handshake = server.url.handshake,
      name = "https://veo.invalid" }
    local ca_file = under_way.where == "sim" and sim.ca_file or server.ca_file
    local path = folder .. "/host.lua"
    helper.write(path, ([[
      local veo = require "veo"
      local client = veo.new { base_url = %q, api_key = %q, ca_file = %q }
      local media, folder, late = %q, %q, false
      %s
      for _ = 1, %d do
        client:step(5)
        if late then break end
      end
      %s
    ]]):format(urls[under_way.where], sim.api_key, ca_file, sim.media_url, folder, under_way.code,
      under_way.steps or 20, ending.code))
    local began = helper.now()
    local said = helper.output("timeout 60 " .. (prefix or "") .. "'" .. LUA .. "' " .. path .. "; echo status $?")
    return tonumber(said:match "status (%d+)%s*$"), said, helper.now() - began
  end

  for what, under_way in pairs(UNDER_WAY) do
    for how, ending in pairs(ENDINGS) do
      if closes_on_exit or not ending.needs_close then
        it(what .. ", by " .. how, function()
          local status, said, took = run(under_way, ending)
          assert.are.equal(ending.status, status, said)
          assert.is_true(took < 20, said) -- of 60
        end)
      end
    end

    it(what .. " under valgrind #timing", function()
      local found = os.execute "command -v valgrind >/dev/null 2>&1"
      if not (found == true or found == 0) or LUA:find "jit" then return pending "no valgrind, or a JIT" end
      local status, said = run(under_way, ENDINGS["the script's end"], VALGRIND)
      assert.are.equal(0, status, said)
      assert.is_falsy(said:find("==%d+=="), said)
    end)
  end
end)
