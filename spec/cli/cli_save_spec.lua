-- Where the `veo` command saves a video, and what it prints of it.

local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"

describe("the veo command saves", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, extend, shell = world.veo, world.extend, world.shell
  local sim, folder, here

  before_each(function()
    sim, folder = world.sim, world.folder
    here = folder .. "/here/"
  end)

  local CLIP = "lua/veo/simulator/clips/hop1.mp4"
  local function is_clip(path) return helper.read(path) == helper.read(CLIP) end
  local function last_task()
    local _, charges = sim:charges()
    return charges[#charges].taskId
  end

  it("under the taskId in this folder, where nothing else is said", function()
    local code, out, err = veo(extend "x")
    assert.equal(0, code, err)
    assert.equal(last_task() .. ".mp4\n", out)
    assert.is_true(is_clip(here .. last_task() .. ".mp4"))
    code, out = veo { "chain", sim.source, "one", "two", "--interval", "0.2" }
    assert.same({ 0, last_task() .. ".mp4\n" }, { code, out })
    code, out = veo { "generate", "a cat", "--interval", "0.2" }
    assert.same({ 0, last_task() .. ".mp4\n" }, { code, out })
    for _, verb in ipairs { "wait", "download" } do
      os.execute("rm " .. here .. "*.mp4")
      code, out, err = veo { verb, sim.source }
      assert.same({ 0, sim.source .. ".mp4\n" }, { code, out }, err)
    end
  end)

  it("and answers the same command again with that file, without paying", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    for n, call in ipairs { extend "x", extend("x", "--key", "k"), extend("x", "--key", "j", "-o", "{key}.mp4"),
      { "chain", sim.source, "one", "two", "--interval", "0.2" } } do
      local _, first = veo(call)
      local posts = sim:count("POST", helper.EXTEND)
      local code, out, err = veo(call)
      assert.same({ 0, first, posts }, { code, out, sim:count("POST", helper.EXTEND) }, n .. err)
      assert.matches("saved before", err)
    end
  end)

  it("a taskId that is no file name, or looks like an option, under one that is neither", function()
    for id, name in pairs { ["-rf"] = "%2Drf.mp4", ["../x"] = "%2E.%2Fx.mp4", ["a/b c"] = "a%2Fb c.mp4",
      ["a\226\128\174b"] = "a%E2%80%AEb.mp4" } do
      sim:add { taskId = id, state = "succeeded" }
      local code, out, err = veo { "download", "--", id }
      assert.same({ 0, name .. "\n" }, { code, out }, err)
      assert.is_truthy(helper.read(here .. name))
    end
  end)

  it("into a folder, which it makes, and by a pattern", function()
    local code, out = veo(extend("x", "-o", "a/b/"))
    assert.same({ 0, "a/b/" .. last_task() .. ".mp4\n" }, { code, out })
    code, out = veo(extend("y", "-o", "c/{operation}-{taskId}.mp4"))
    assert.same({ 0, "c/extend-" .. last_task() .. ".mp4\n" }, { code, out })
    code, out = veo(extend("z", "--mkdir", "-o", "d/e.mp4"))
    assert.same({ 0, "d/e.mp4\n" }, { code, out })
    local refused, _, err = veo(extend("w", "-o", "{nothing}.mp4"))
    assert.equal(1, refused)
    assert.matches("unknown field {nothing}", err)
    assert.equal(3, sim:count("POST", helper.EXTEND))
  end)

  it("nothing that cannot be saved: the folder is looked at before the order", function()
    helper.write(here .. "file", "mine")
    for _, output in ipairs { "file/", "file/{taskId}.mp4", "file/x.mp4" } do
      local code, _, err = veo(extend("x", "-o", output))
      assert.equal(2, code, err)
    end
    assert.equal(0, sim:count("POST", helper.EXTEND))
    assert.equal("file\n", helper.output("ls -A " .. here))
  end)

  it("to standard output with -o -, and nothing else goes there", function()
    local code, out, err = veo(extend("x", "-o", "-"))
    assert.equal(0, code, err)
    assert.is_true(out == helper.read(CLIP))
    assert.matches("written to standard output", err)
    assert.equal("", helper.output("ls -A " .. here))
    for _, more in ipairs { "--json", "--print=id", "--no-save" } do
      assert.equal(1, (veo(extend("y", "-o", "-", more))))
    end
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)

  it("what a closed pipe took a part of once more: exit 3, with the command for it", function()
    local code, _, err = shell(("{ %s; echo $? >%s/code; } | :"):format(
      world.command(extend("x", "-o", "-")), folder))
    assert.same({ 0, "3\n" }, { code, helper.read(folder .. "/code") }, err)
    assert.is_truthy(err:find("to go on: veo download " .. last_task() .. " -o -\n", 1, true), err)
  end)

  it("nothing with --no-save, and prints the id or the path as --print says", function()
    local code, out = veo(extend("x", "--no-save"))
    assert.same({ 0, last_task() .. "\n", "" }, { code, out, helper.output("ls -A " .. here) })
    code, out = veo(extend("y", "--print", "id"))
    assert.same({ 0, last_task() .. "\n", last_task() .. ".mp4\n" }, { code, out, helper.output("ls -A " .. here) })
    code, out = veo(extend("z", "--print", "path"))
    assert.same({ 0, last_task() .. ".mp4\n" }, { code, out })
  end)

  it("and tells the result on standard error where standard output cannot be written", function()
    for _, sink in ipairs { ">/dev/full", ">&-" } do
      local code, _, err = shell(("{ %s %s; }"):format(world.command(extend("x" .. sink)), sink))
      assert.equal(3, code, err)
      assert.is_truthy(err:find("the result is:\n" .. last_task() .. ".mp4\n", 1, true), err)
      code, _, err = shell(("{ %s %s; }"):format(world.command { "credits", "--json" }, sink))
      assert.equal(3, code, err)
      assert.matches('{"ok":true,"credits":', err)
    end
  end)

  it("tells an object with its keys in a fixed order", function()
    local _, out = veo(extend("x", "--json"))
    local names = {}
    for name in out:gmatch('"(%w+)":') do names[#names + 1] = name end
    assert.equal("ok taskId state path bytes", table.concat(names, " ", 1, 5))
    assert.is_true(cjson.decode(out).ok)
  end)
end)
