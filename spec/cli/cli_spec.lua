-- The `veo` command as people and scripts meet it: a process of its own, against the simulator.

local cjson = require "cjson"
local errors = require "veo.errors"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("the veo command", function()
  local sim, folder

  setup(function()
    sim = simulator.start { speed = 1000, rate = false }
    folder = helper.folder()
    helper.write(folder .. "/veo", 'require "veo.main"\n')
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    os.execute("rm -rf " .. folder .. "/*.mp4* " .. folder .. "/*.db*")
  end)

  local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

  local function command(arguments, environment)
    local phrases = { "env -u KIE_API_KEY -u KIE_BASE_URL -u VEO_LEDGER" }
    if not (environment and environment.KIE_API_KEY == false) then
      phrases[#phrases + 1] = "KIE_API_KEY=" .. sim.api_key .. " KIE_BASE_URL=" .. sim.url
    end
    for name, value in pairs(environment or {}) do
      if value then phrases[#phrases + 1] = name .. "=" .. quote(value) end
    end
    phrases[#phrases + 1] = helper.lua() .. " " .. folder .. "/veo"
    for _, argument in ipairs(arguments) do phrases[#phrases + 1] = quote(argument) end
    return table.concat(phrases, " ")
  end

  -- Exit code, standard output, standard error.
  local function shell(text)
    local code = helper.output(("{ %s; } >%s/out 2>%s/err; echo $?"):format(text, folder, folder))
    return tonumber(code), helper.read(folder .. "/out"), helper.read(folder .. "/err")
  end

  local function veo(arguments, environment) return shell(command(arguments, environment) .. " </dev/null") end

  local function plain(text) return (text:gsub("%p", "%%%0")) end

  local function extend(prompt, ...)
    return { "extend", sim.source, prompt, "--interval", "0.2", ... }
  end

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
      assert.equal(2, (veo(extend("x", "-o", folder .. "/no/such.mp4"))))
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
      assert.matches("%-%-ledger", misused { "tasks" })
      assert.matches("%-%-ledger", misused { "extend", sim.source, "x", "--key", "k" })
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
      assert.equal(1, (veo { "download", sim.source }))
    end)

    it("wait prints the link when no file is asked for", function()
      local code, out = veo { "wait", sim.source }
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
        "-o", path }
      assert.equal(4, code)
      local _, charges = sim:charges()
      assert.equal(2, #charges)
      assert.is_truthy(err:find("to go on: veo chain " .. charges[1].taskId .. " '[sim fail=2] it'\\''s' three -o "
        .. path, 1, true), err)
      assert.matches("saved: +%S+c%-hop1%.mp4", err)
      assert.is_nil(helper.read(path))
    end)
  end)

  describe("with a ledger", function()
    local function has_ledger()
      return helper.output(helper.lua() .. [[ -e 'require "DBI" print(pcall(require, "dbd.sqlite3"))']]):find("true", 1,
        true)
    end

    it("never orders the same twice, and resumes, lists and settles", function()
      if not has_ledger() then return pending("no LuaDBI here") end
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
      if not has_ledger() then return pending("no LuaDBI here") end
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
      if not has_ledger() then return pending("no LuaDBI here") end
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
      if not has_ledger() then return pending("no LuaDBI here") end
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
      if not has_ledger() then return pending("no LuaDBI here") end
      local path, with = folder .. "/k.mp4", { VEO_LEDGER = folder .. "/l.db" }
      local same = { "extend", sim.source, "[sim render=3000]", "--interval", "0.2", "-o", path }
      -- Nothing but the command itself is killed: the shell becomes it. It looks once the ledger has its task.
      local pid = helper.output(("sh -c %s >%s/out 2>%s/err & echo $!"):format(
        quote("exec " .. command(same, with) .. " </dev/null"), folder, folder)):match "%d+"
      while sim:count("GET", helper.STATUS) == 0 do os.execute "sleep 0.01" end
      os.execute("kill -9 " .. pid)
      local code, out, err = veo(same, with)
      local _, charges = sim:charges()
      assert.same({ 0, path .. "\n", 1 }, { code, out, #charges }, err)
      assert.matches("ordered before: task " .. plain(charges[1].taskId) .. "; not ordered again", err)
    end)

    it("without a pattern resumes without saving, and goes on listing what is finished", function()
      if not has_ledger() then return pending("no LuaDBI here") end
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

  describe("on Ctrl-C", function()
    -- Starts it, sends SIGINT after the file of standard error shows `pattern`, waits for its end.
    local function interrupted(arguments, pattern)
      return shell(([[%s </dev/null & pid=$!
        n=0; until grep -q '%s' %s/err || [ $n -gt 500 ]; do n=$((n + 1)); sleep 0.01; done
        kill -INT $pid; wait $pid]]):format(command(arguments), pattern, folder))
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
        sleep 0.5; kill -INT $pid; wait $pid]]):format(command(extend("[sim delay=1.5]"))))
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
        kill -INT $pid; wait $pid]]):format(command(extend("[sim:media drip=3000 times=1]", "-o", path)), path))
      assert.equal(3, code, err)
      assert.matches("to go on: veo download %S+ %-o ", err)
      assert.is_nil(helper.read(path))
      assert.is_true(#helper.read(path .. ".part") > 0)
      code, _, err = shell(command { "download", err:match("veo download (%S+)"), "-o", path })
      assert.equal(0, code, err)
      assert.is_true(helper.read(path) == helper.read("lua/veo/simulator/clips/hop1.mp4"))
    end)

    it("at any instant loses no task that was paid", function()
      local script = {}
      for n = 1, 30 do
        script[#script + 1] = ([[%s 2>%s/err%d & pid=$!; sleep %.3f; kill -INT $pid 2>/dev/null; wait $pid]]):format(
          command({ "extend", sim.source, ("shot %d. [sim delay=0.03]"):format(n), "--timeout", "0.5" }), folder, n,
          0.01 + n * 0.006)
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
      kill $guard]]):format(command { "simulate", "--speed", "100" }, folder, folder, folder, folder, helper.lua(),
    folder) -- LuaJIT raises it inside whatever coroutine runs: one round in four met a connection's.
    local _, out, err = shell("for round in 1 2 3 4 5 6 7 8 9 10; do " .. round .. "; rm " .. folder .. "/sim; done")
    assert.equal(("10000\n"):rep(10), out, err)
    assert.equal("", err)
  end)
end)
