-- The `veo` command as people and scripts meet it: a process of its own, against the simulator.

local cjson = require "cjson"
local command = require "spec.support.command"
local errors = require "veo.errors"
local helper = require "spec.support.helper"

describe("the veo command", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, extend, shell, plain = world.veo, world.extend, world.shell, command.plain
  local sim, folder

  before_each(function() sim, folder = world.sim, world.folder end)

  describe("extend", function()
    it("orders, waits, saves, and prints the path alone on standard output", function()
      local path = folder .. "/boat.mp4"
      local code, out, err = veo(extend("the boat turns", "-o", path, "--model", "fast", "--seeds", "12345",
        "--watermark", "W"))
      assert.equal(0, code, err)
      assert.equal(path .. "\n", out)
      assert.is_true(helper.read(path) == helper.read("lua/veo/simulator/clips/hop1.mp4"))
      local _, charges = sim:charges()
      assert.equal(1, #charges)
      assert.matches("accepted: task " .. plain(charges[1].taskId) .. "\n", err)
      assert.matches("generating", err)
      local sent = sim:requests { endpoint = "extend" }[1].json
      assert.same({ taskId = sim.source, prompt = "the boat turns", model = "fast", seeds = 12345, watermark = "W" },
        sent)
      assert.same({}, sim:violations())
    end)

    it("writes no escape sequences where standard error is no terminal", function()
      local _, _, err = veo(extend("x"))
      assert.is_nil(err:find("[\27\r]"))
    end)

    it("prints the taskId alone with --no-wait, and wait goes on from there", function()
      local code, out = veo { "extend", sim.source, "x", "--no-wait" }
      assert.equal(0, code)
      local taskId = out:match("^(%S+)\n$")
      assert.is_truthy(taskId)
      local path = folder .. "/later.mp4"
      code, out = veo { "wait", taskId, "--interval", "0.2", "-o", path }
      assert.equal(0, code)
      assert.equal(path .. "\n", out)
      assert.same({ "ftyp" }, { helper.boxes(helper.read(path))[1] })
      assert.equal(1, sim:count("POST", helper.EXTEND))
    end)

    it("tells everything as one JSON object with --json", function()
      local path = folder .. "/j.mp4"
      local code, out = veo(extend("x", "-o", path, "--json"))
      assert.equal(0, code)
      local told = cjson.decode(out)
      assert.is_true(told.ok)
      assert.equal(path, told.path)
      assert.equal("succeeded", told.state)
      assert.equal(#helper.read(path), told.bytes)
      assert.is_truthy(sim:charges()[told.taskId])
    end)

    it("orders nothing when the file is there already, cannot be written, or is a folder", function()
      local path = folder .. "/there.mp4"
      helper.write(path, "mine")
      local code, _, err = veo(extend("x", "-o", path))
      assert.equal(2, code)
      assert.matches("exists already", err)
      assert.matches("%-%-force", err)
      assert.equal("mine", helper.read(path))
      assert.equal(2, (veo(extend("x", "-o", path .. "/no/such.mp4"))))
      code, _, err = veo(extend("x", "-o", folder))
      assert.equal(2, code)
      assert.matches("a directory", err)
      assert.equal(0, sim:count("POST", helper.EXTEND))
      assert.equal(0, (veo(extend("x", "-o", path, "--force"))))
      assert.is_true(#helper.read(path) > 1000)
    end)
  end)

  describe("says with its exit code whether money may have gone:", function()
    local function fails(exit, prompt, ...)
      local code, out, err = veo(extend(prompt, ...))
      assert.equal(exit, code, err)
      assert.equal("", out)
      return err
    end

    it("1, a parameter out of its rules", function()
      assert.matches("from 10000 to 99999", fails(1, "x", "--seeds", "5"))
      assert.equal(0, sim:count("POST", helper.EXTEND))
    end)

    it("2, refusals", function()
      assert.matches("rejected", fails(2, "[sim code=400]"))
      assert.matches("`veo credits`", fails(2, "[sim code=402]"))
      local code, _, err = veo({ "extend", sim.source, "x" }, { KIE_API_KEY = "wrong-key-0123" })
      assert.equal(2, code)
      assert.matches("Check KIE_API_KEY", err)
      assert.is_nil(err:find("wrong-key-0123", 1, true))
    end)

    it("2, nobody there", function()
      local code = veo({ "extend", sim.source, "x", "--deadline", "0.3" }, { KIE_BASE_URL = "http://127.0.0.1:1" })
      assert.equal(2, code)
    end)

    it("3, an answer that says nothing", function()
      local err = fails(3, "[sim code=500]")
      assert.matches("uncertain", err)
      assert.matches("Credits may have been charged", err)
      fails(3, "[sim close=unanswered]")
    end)

    it("3, a task that still runs, with the way on", function()
      local path = folder .. "/slow.mp4"
      local err = fails(3, "[sim render=100000]", "--timeout", "0.3", "-o", path)
      local _, charges = sim:charges()
      assert.matches("to go on: veo wait " .. plain(charges[1].taskId) .. " %-o " .. plain(path), err)
    end)

    it("3, a paid video that could not be fetched, and leaves no file", function()
      local path = folder .. "/page.mp4"
      local err = fails(3, "[sim:media form=html]", "-o", path)
      local _, charges = sim:charges()
      assert.matches("not_video", err)
      assert.matches("to go on: veo download " .. plain(charges[1].taskId), err)
      assert.is_nil(helper.read(path))
    end)

    it("4, the service gave it up", function()
      local err = fails(4, "[sim fail=2]")
      assert.matches("`veo credits` shows", err)
      assert.is_nil(err:find("to go on", 1, true))
    end)

    it("and in JSON as well", function()
      local code, out = veo(extend("[sim render=100000]", "--timeout", "0.3", "--json"))
      assert.equal(3, code)
      local told = cjson.decode(out)
      assert.is_false(told.ok)
      assert.equal(3, told.exit)
      assert.equal("timeout", told.error.code)
      assert.equal("veo wait " .. told.taskId, told.next)
      assert.is_truthy(sim:charges()[told.taskId])
    end)
  end)

  describe("wrong use", function()
    local function misused(arguments, environment)
      local code, out, err = veo(arguments, environment)
      assert.equal(1, code, err)
      assert.equal("", out)
      return err
    end

    it("is told with what was probably meant, and the usage of that command", function()
      assert.matches("Did you mean 'extend'", misused { "extnd", "a", "b" })
      local err = misused { "extend", "a", "b", "--modle", "fast" }
      assert.matches("Did you mean '%-%-model'", err)
      assert.matches("Usage: veo extend", err)
      assert.matches("a command is required", misused {})
      assert.matches("missing argument 'prompt'", misused { "extend", "a" })
      err = misused { "extend", "a", "b", "--seeds", "many" }
      assert.matches("%-%-seeds: a whole number expected, got 'many'", err)
      assert.matches("%-%-timeout: seconds expected", misused { "wait", "a", "--timeout=-1" })
      assert.matches("a file name expected", misused { "wait", "a", "-o", "" })
      assert.equal(0, #sim:requests())
    end)

    it("without a key says where it belongs; an argument is not where", function()
      assert.matches("KIE_API_KEY", misused({ "credits" }, { KIE_API_KEY = false }))
      assert.matches("KIE_API_KEY", misused({ "credits" }, { KIE_API_KEY = "" }))
      local err = misused { "extend", "a", "b", "--api-key", "secret-0123456789" }
      assert.matches("process list", err)
      assert.is_nil(err:find("secret-0123456789", 1, true))
      assert.matches("%-%-key names an order", misused { "extend", "a", "b", "--key", sim.api_key })
    end)

    it("of what needs a ledger says so", function()
      assert.matches("tasks needs a ledger", misused { "tasks", "--no-ledger" })
      assert.matches("%-%-key needs a ledger", misused { "extend", sim.source, "x", "--key", "k", "--no-ledger" })
    end)

    it("without argparse names the package", function()
      helper.write(folder .. "/bare", [[
        table.insert(package.loaders or package.searchers, 1, function(name)
          if name == "argparse" then error("no argparse") end
        end)
        require "veo.main"]])
      local code, _, err = shell(helper.lua() .. " " .. folder .. "/bare --help")
      assert.equal(1, code)
      assert.matches("lua%-argparse", err)
    end)
  end)

  it("helps: --help, --version, explain", function()
    local code, out = veo({ "--help" }, { KIE_API_KEY = false })
    assert.equal(0, code)
    for _, name in ipairs { "extend", "wait", "simulate", "KIE_API_KEY", "Exit codes" } do
      assert.is_truthy(out:find(name, 1, true), name)
    end
    code, out = veo { "--version" }
    assert.equal(0, code)
    assert.matches("^veo %d+%.%d+%.%d+ %(libcurl ", out)
    code, out = veo { "explain", "uncertain" }
    assert.equal(0, code)
    assert.matches("may have been charged", out)
    local err
    code, out, err = veo { "explain", "uncertian" }
    assert.equal(1, code)
    assert.equal("", out)
    assert.matches("did you mean uncertain", err)
  end)

  it("gives no advice in Lua", function()
    local phrases = require "veo.cli.phrases"
    for code in pairs(errors.codes) do
      for _, fields in ipairs { {}, { taskId = "t1" }, { taskId = "t1", candidate = true }, { hops = { {} } },
        { taskId = "t1", charged = "maybe" }, { hint = "name one: {ledger}" }, { hint = "{settle}, or {settle_lost}" },
        { hint = "{force} settles it" }, { hint = "with {repeat_failed} it is ordered" }, { hint = "{resume}" } } do
        fields.code, fields.ref = code, "0123abcd"
        local err = errors.new(fields)
        local text = phrases.explain(err) .. phrases.message(err) .. select(2, phrases.about(code))
        for _, lua in ipairs { "client:", "err%.", "api_key", " = ", "on_duplicate", "veo%.new", "base_url", "{" } do
          assert.is_nil(text:find(lua), text)
        end
      end
    end
    local err = errors.new { code = "timeout", message = "100 %: client:wait(err.taskId)", taskId = "it's" }
    assert.matches("100 %: client:wait(err.taskId). ", phrases.explain(err), 1, true)
    assert.matches("is free: `veo wait 'it'\\''s'`.", phrases.explain(err), 1, true)
  end)

  describe("the free commands", function()
    it("tell status and credits", function()
      local code, out = veo { "status", sim.source }
      assert.equal(0, code)
      assert.matches("state%s+succeeded\n", out)
      assert.matches("video%s+http", out)
      code, out = veo { "status", sim.source, "--json" }
      assert.equal(0, code)
      local told = cjson.decode(out)
      assert.same({ "succeeded", nil, nil }, { told.state, told.raw, told.json })
      sim:credits(5916.25)
      code, out = veo { "credits" }
      assert.equal(0, code)
      assert.equal("5916.25\n", out)
      local err
      code, out, err = veo { "status", "no-such-task" }
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches("not_found", err)
    end)

    it("download a task's video or a link, and not one that is not there yet", function()
      local path = folder .. "/d.mp4"
      local code, out, err = veo { "download", sim.source, "-o", path }
      assert.equal(0, code, err)
      assert.equal(path .. "\n", out)
      code = veo { "download", sim.media_url .. "/media/clip/part.mp4", "-o", folder .. "/part.mp4", "--json" }
      assert.equal(0, code)
      assert.is_true(helper.read(folder .. "/part.mp4") == helper.read("lua/veo/simulator/clips/part.mp4"))
      sim:add { taskId = "running", render = 100000 }
      assert.equal(2, (veo { "download", sim.source, "-o", path }))
      code, out, err = veo { "download", "running", "-o", folder .. "/r.mp4" }
      assert.equal(3, code)
      assert.equal("", out)
      assert.matches("to go on: veo wait running %-o", err)
      assert.equal(1, (veo { "download", sim.source, "--no-save" }))
    end)

    it("wait prints the link when no file is wanted", function()
      local code, out = veo { "wait", sim.source, "--no-save" }
      assert.equal(0, code)
      assert.matches("^http%S+\n$", out)
    end)
  end)

  it("generates", function()
    local path = folder .. "/g.mp4"
    local code, out, err = veo { "generate", "a cat", "--aspect-ratio", "9:16", "--image", "https://x.test/1.png",
      "--interval", "0.2", "-o", path }
    assert.equal(0, code, err)
    assert.equal(path .. "\n", out)
    assert.same({ prompt = "a cat", aspect_ratio = "9:16", imageUrls = { "https://x.test/1.png" } },
      sim:requests { endpoint = "generate" }[1].json)
  end)

  describe("chain", function()
    it("extends prompt by prompt and saves the whole", function()
      local path = folder .. "/long.mp4"
      local code, out, err = veo { "chain", sim.source, "one", "two", "--interval", "0.2", "-o", path }
      assert.equal(0, code, err)
      assert.equal(path .. "\n", out)
      assert.is_true(helper.read(path) == helper.read("lua/veo/simulator/clips/hop2.mp4"))
      for hop = 1, 2 do assert.matches(("accepted: task %%S+ %%(hop %d of 2%%)"):format(hop), err) end
    end)

    it("says which command pays for the rest only", function()
      local path = folder .. "/c.mp4"
      local code, _, err = veo { "chain", sim.source, "one", "[sim fail=2] it's", "three", "--interval", "0.2",
        "-o", path, "--no-ledger" }
      assert.equal(4, code)
      local _, charges = sim:charges()
      assert.equal(2, #charges)
      assert.is_truthy(err:find("to go on: veo chain " .. charges[1].taskId .. " '[sim fail=2] it'\\''s' three -o "
        .. path, 1, true), err)
      assert.matches("saved: +%S+c%-hop1%.mp4", err)
      assert.is_nil(helper.read(path))
    end)
  end)
end)
