-- Commands with files of their own: upgrade, upload, watch, spent, doctor, listen, help, version, completion, and the
-- manual page.

local cjson = require "cjson"
local commands = require "spec.support.command"
local doctor = require "veo.cli.commands.doctor"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"

local plain = commands.plain

describe("the veo command", function()
  local world = commands.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo = world.veo

  local function they(name, fn)
    it(name, function()
      if not commands.has_ledger() then return pending "no LuaDBI here" end
      fn()
    end)
  end

  local function ledger() return world.folder .. "/l.db" end
  local function with() return { VEO_LEDGER = ledger(), KIE_UPLOAD_URL = world.sim.url } end

  -- Starts it, runs `meanwhile` once its standard error shows `pattern`, sends it a signal, waits for its end.
  local function signalled(arguments, pattern, meanwhile, environment)
    return world.shell(([[%s </dev/null >%s/l.out 2>%s/l.err & pid=$!
      n=0; until grep -q '%s' %s/l.err || [ $n -gt 1000 ]; do n=$((n + 1)); sleep 0.01; done
      %s
      kill -INT $pid; wait $pid]]):format(world.command(arguments, environment), world.folder, world.folder, pattern,
      world.folder, meanwhile))
  end

  they("upgrades, saves beside the video, and does not pay twice", function()
    local sim, source = world.sim, world.sim.source
    local code, out, err = veo({ "upgrade", source, "--to", "1080p", "--interval", "0.2", "--dry-run" }, with())
    assert.equal(0, code, err)
    assert.matches("price: 5 credits", out)
    code, out = veo({ "upgrade", source, "--to", "1080p", "--dry-run", "--json" }, with())
    local dry = cjson.decode(out)
    assert.same({ 0, 5, true }, { code, dry.price, dry.price_known })
    code, out, err = veo({ "upgrade", source, "--to", "1080p", "--dry-run", "--max-credits", "4" }, with())
    assert.same({ 2, "" }, { code, out })
    assert.matches("5 credits, more than the 4 of %-%-max%-credits", err)
    assert.equal(0, #sim:charges())
    code, out, err = veo({ "upgrade", source, "--to", "1080p", "--interval", "0.2" }, with())
    assert.same({ 0, source .. "-1080p.mp4\n" }, { code, out }, err)
    assert.is_truthy(helper.boxes(helper.read(world.folder .. "/here/" .. source .. "-1080p.mp4")))
    assert.equal(2, (veo({ "upgrade", source, "--to", "1080p" }, with()))) -- that file exists
    -- A hint with the task would fetch the plain video.
    local lost, _, said = world.shell(world.command({ "upgrade", source, "--to", "1080p", "-o", "-" }, with())
      .. " </dev/null >&-")
    assert.equal(3, lost, said)
    assert.matches("to go on: the same command again", said)
    for _, told in ipairs { "saved: ", "saved before: " } do
      code, out, err = veo({ "upgrade", source, "--to", "4k", "--interval", "0.2", "-o", "big.mp4" }, with())
      assert.same({ 0, "big.mp4\n" }, { code, out }, err)
      assert.matches(told .. "big.mp4", err)
    end
    assert.equal(2, select(2, ledgers.charged(sim)))
    code, out, err = veo({ "upgrade", source, "--to", "8k" }, with())
    assert.same({ 1, "" }, { code, out })
    assert.matches("1080p", err)
  end)

  it("uploads a picture", function()
    helper.write(world.folder .. "/here/p.png", "\137PNG")
    local environment = { KIE_UPLOAD_URL = world.sim.url }
    local code, out, err = veo({ "upload", "p.png", "--name", "first.png" }, environment)
    assert.equal(0, code, err)
    assert.matches("^http%S+first.png\n$", out)
    assert.same({ "first.png", 4 }, { world.sim:uploads()[1].fileName, world.sim:uploads()[1].size })
    code, out = veo({ "upload", "p.png", "--json" }, environment)
    assert.same({ 0, true }, { code, cjson.decode(out).ok })
    code, out, err = veo({ "upload", "no.png" }, environment)
    assert.same({ 2, "" }, { code, out })
    assert.matches("no such file", err)
  end)

  they("watches what is open, or what is named, until it has ended", function()
    local _, one = veo({ "extend", world.sim.source, "x", "--no-wait" }, with())
    local _, two = veo({ "extend", world.sim.source, "[sim fail=2]", "--no-wait" }, with())
    one, two = one:match "%S+", two:match "%S+"
    local code, out, err = veo({ "watch", "--interval", "0.2" }, with())
    assert.equal(4, code, err)
    assert.matches(plain(one) .. " succeeded http", out)
    assert.matches(plain(two) .. " failed", out)
    code, out, err = veo({ "watch" }, with())
    assert.same({ 0, "" }, { code, out })
    assert.matches("nothing is open", err)
    code, out = veo({ "watch", one, "--json" }, { VEO_LEDGER = false })
    assert.equal(0, code)
    assert.same({ one, "succeeded" }, { cjson.decode(out).taskId, cjson.decode(out).state })
    code, out = veo({ "watch", "nosuch", one, "--interval", "0.2" }, with())
    assert.equal(2, code)
    assert.matches("nosuch not_found", out)
    assert.matches(plain(one) .. " succeeded", out)
  end)

  they("says what was spent", function()
    veo({ "extend", world.sim.source, "x", "--no-wait" }, with())
    veo({ "extend", world.sim.source, "y", "--no-wait", "--model", "quality" }, with())
    veo({ "extend", world.sim.source, "[sim code=400]", "--no-wait" }, with())
    local code, out = veo({ "spent" }, with())
    assert.equal(0, code)
    assert.matches("^total +310 credits  2 orders\naccount's balance +9690 credits\n$", out)
    out = select(2, veo({ "spent", "--by", "day" }, with()))
    assert.matches("^%d+%-%d+%-%d+ +310 credits  2 orders\ntotal", out)
    out = select(2, veo({ "spent", "--by", "model", "--json" }, with()))
    local told = cjson.decode(out)
    assert.same({ 310, 9690, 2 }, { told.credits, told.balance, #told.rows })
    assert.same({ "extend (usual)", 60, "extend quality", 250 },
      { told.rows[1].model, told.rows[1].credits, told.rows[2].model, told.rows[2].credits })
    out = select(2, veo({ "spent", "--days", "0", "--json" }, with()))
    assert.same({}, cjson.decode(out).rows)
  end)

  describe("doctor", function()
    local function checks(environment, ...)
      local code, out, err = veo({ "doctor", "--json", ... }, environment)
      local told, by_name = cjson.decode(out), {}
      for _, check in ipairs(told.checks) do by_name[check.check .. " " .. check.state] = check.message end
      assert.equal(code == 0, told.ok, err)
      return by_name, code, out .. err
    end

    they("looks at all that an order needs", function()
      assert.equal(0, (veo({ "extend", world.sim.source, "x", "--no-wait" }, with())))
      local code, out, err = veo({ "doctor" }, with())
      assert.equal(0, code, out .. err)
      for _, pattern in ipairs { "ok +versions: veo %d", "ok +service: https?://%S+ answers in",
        "ok +key: .-9940 credits", "ok +clock: [01] s",
        "ok +ledger: %S+ is intact" } do assert.matches(pattern, out) end
      assert.is_nil((out .. err):find(world.sim.api_key, 1, true))
    end)

    they("says what is wrong, and looks at the rest", function()
      local found, code, all = checks { VEO_LEDGER = ledger(), KIE_API_KEY = "wrong-key-0123" }
      assert.equal(2, code)
      assert.is_truthy(found["key problem"] and found["service ok"] and found["ledger ok"])
      assert.is_nil(all:find("wrong-key-0123", 1, true))
      found = checks { KIE_API_KEY = false }
      assert.matches("not set", found["key problem"])
      found = checks { KIE_BASE_URL = "http://127.0.0.1:1" }
      assert.is_truthy(found["service problem"] and found["clock note"])
      helper.write(ledger(), ("garbage "):rep(1000))
      found = checks(with())
      assert.is_truthy(found["ledger problem"] and found["key ok"])
      found = checks { CURL_CA_BUNDLE = "/no/such/file" }
      assert.matches("/no/such/file", found["certificates problem"])
      world.sim:credits(0)
      assert.is_truthy(checks()["credits problem"])
    end)

    they("names orders without an answer", function()
      veo({ "extend", world.sim.source, "[sim close=unanswered]" }, with())
      local found, code = checks(with())
      assert.same({ "1 order without an answer", 2 }, { found["ledger problem"], code })
    end)

    it("reads HTTP's dates", function()
      for _, at in ipairs { 0, 951782399, 951782400, 951868800, 1709164800, 1796066964, 4102444800 } do
        assert.equal(at, doctor.http_time(os.date("!%a, %d %b %Y %H:%M:%S GMT", at)))
      end
      assert.is_nil(doctor.http_time "yesterday")
    end)

    it("says so when the clock is off", function()
      local library = os.getenv "VEO_BUILD" .. "/wall_clock.so"
      local found = checks { LD_PRELOAD = library, VEO_WALL = "-3600" }
      assert.matches("1:00:00 slow", found["clock problem"])
    end)
  end)

  they("listens for callbacks, notes them in the ledger, and ends when it is told to", function()
    local order = world.command({ "extend", world.sim.source, "x", "--no-wait", "--callback", "URL" }, with())
      :gsub("'URL'", '"$(cat ' .. world.folder .. '/l.out)"')
    local until_told = (" >%s/id; n=0; until grep -q 'task ' %s/l.out || [ $n -gt 1000 ]; do n=$((n + 1)); sleep 0.01; "
      .. "done"):format(world.folder, world.folder)
    local code, _, err = signalled({ "listen" }, "listening", order .. until_told, with())
    assert.equal(0, code, err)
    local taskId = helper.read(world.folder .. "/id"):match "%S+"
    assert.matches("^http://127.0.0.1:%d+/veo/callback\ntask " .. plain(taskId) .. ": succeeded http%S+\n$",
      helper.read(world.folder .. "/l.out"))
    assert.equal("done", ledgers.states(ledger()))
  end)

  describe("tells about itself:", function()
    it("help, version", function()
      local code, out = veo({ "help", "batch" }, { KIE_API_KEY = false })
      assert.equal(0, code)
      assert.matches("^Usage: veo batch", out)
      code, out = veo({ "help" }, { KIE_API_KEY = false })
      assert.equal(0, code)
      assert.matches("Exit codes", out)
      code, out = veo({ "version" }, { KIE_API_KEY = false })
      assert.equal(0, code)
      assert.matches("^veo %d+%.%d+%.%d+ %(libcurl ", out)
      assert.equal(out, (select(2, veo({ "--version" }, { KIE_API_KEY = false }))))
    end)

    it("help, also where neither the core nor lua-cjson can be loaded", function()
      helper.write(world.folder .. "/bare.lua", [[
        table.insert(package.loaders or package.searchers, 1, function(name)
          if name == "veo.core" or name:find "^cjson" then error("no " .. name) end
        end)
        require "veo.main"]])
      local said = helper.output(helper.lua() .. " " .. world.folder .. "/bare.lua batch --help")
      assert.matches("^Usage: veo batch", said)
      assert.matches("problem versions: %S+ no veo.core",
        helper.output(helper.lua() .. " " .. world.folder .. "/bare.lua doctor"))
    end)

    it("completion, as the shells read it", function()
      for shell, try in pairs { bash = [[bash -c '. %s; COMP_WORDS=(veo upgrade x --to ""); COMP_CWORD=4
          _veo veo "" --to; echo ${COMPREPLY[@]}']], fish = [[fish -c 'source %s; complete -C "veo upgrade --to "']],
        zsh = "zsh -n %s && grep -o '4k' %s" } do
        local script = world.folder .. "/completion." .. shell
        helper.write(script, (select(2, veo { "completion", shell })))
        if helper.output("command -v " .. shell) ~= "" then
          assert.matches("4k", helper.output((try:gsub("%%s", script))), shell)
        end
      end
    end)

    it("the manual page, with each command and option", function()
      local argparse = require "argparse"
      local parser = require("veo.cli.parser").new(argparse, function() return "" end)
      local page = require("veo.cli.man").page(parser, "1.2.3", "2026-11-30")
      for _, command in ipairs(parser._commands) do
        assert.is_truthy(page:find("\n.SS veo " .. command._name .. "\n", 1, true), command._name)
      end
      for _, words in ipairs { "\\fB\\-\\-repeat\\-failed\\fR", "\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR",
        "KIE_API_KEY", "money was or may have been spent" } do assert.is_truthy(page:find(words, 1, true), words) end
      assert.is_nil(page:find("api%-key"))
      helper.write(world.folder .. "/veo.1", page)
      if helper.output "command -v mandoc" ~= "" then
        assert.equal("", helper.output("mandoc -T lint " .. world.folder .. "/veo.1"))
      end
    end)
  end)
end)
