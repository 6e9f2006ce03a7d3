-- What the `veo` command prints: for people, for programs, in narrow windows, and where something is missing.

local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"

describe("the veo command", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, extend, shell = world.veo, world.extend, world.shell
  local sim, folder

  before_each(function() sim, folder = world.sim, world.folder end)

  it("has help that fits 80 columns and names what is allowed", function()
    local _, all = veo { "--help" }
    local checked = 0
    local function check(...)
      local code, out = veo { ... }
      assert.equal(0, code)
      checked = checked + 1
      for line in out:gmatch("[^\n]+") do
        assert.is_true(select(2, line:gsub("[^\128-\191]", "")) <= 80, line)
      end
      return out
    end
    check "--help"
    for name in all:match("Commands:(.*)\n\n"):gmatch("\n   (%l+)") do check(name, "--help") end
    assert.is_true(checked > 10)
    local out = check("generate", "--help")
    for _, word in ipairs { "veo3_fast", "REFERENCE_2_VIDEO", "16:9", "1080p", "4, 6 or 8", "refuse,",
      "10000 to 99999" } do
      assert.is_truthy(out:find(word, 1, true), word)
    end
  end)

  it("with --json prints one object for wrong arguments too", function()
    for _, call in ipairs { { "extend", "a", "--json" }, { "extnd", "--json" }, { "credits", "--json", "--jsn" },
      { "extend", "a", "@none", "--json" }, { "status", "--json", "a", "b" } } do
      local code, out, err = veo(call)
      assert.equal(1, code, err)
      local told = cjson.decode(out)
      assert.same({ false, 1, "invalid" }, { told.ok, told.exit, told.error.code })
      assert.is_truthy(err ~= "")
    end
  end)

  it("with --json has lists for lists, also for empty ones", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    assert.equal('{"ok":true,"tasks":[]}\n', (select(2, veo { "tasks", "--json" })))
    local _, out = veo { "resume", "--json" }
    assert.is_truthy(out:find('"tasks":[]', 1, true) and out:find('"uncertain":[]', 1, true), out)
  end)

  it("with -q prints the result and errors alone", function()
    local code, out, err = veo(extend("x", "-q"))
    assert.same({ 0, "" }, { code, err })
    assert.matches("%.mp4\n$", out)
    assert.matches("^veo: rejected", (select(3, veo(extend("[sim code=400]", "-q")))))
  end)

  it("with -v prints what the library logs, and with VEO_LOG=json each event as an object; no secrets", function()
    local code, _, err = veo(extend("x", "-v"))
    assert.equal(0, code, err)
    assert.matches("Z request .*operation=extend", err)
    assert.matches("Z reply .*http_status=200", err)
    code, _, err = veo(extend("y"), { VEO_LOG = "json" })
    assert.equal(0, code, err)
    local events = {}
    for line in err:gmatch("[^\n]+") do events[cjson.decode(line).event] = true end
    for _, name in ipairs { "note", "request", "reply", "state", "save" } do assert.is_true(events[name], name) end
    err = select(3, veo(extend("z", "-v", "--ledger", "postgresql://me:pass-word-1@127.0.0.1:1/x", "--deadline", "0.2"),
      { VEO_LOG = "json" }))
    assert.is_nil(err:find("pass-word-1", 1, true))
    assert.is_nil(err:find(sim.api_key, 1, true))
  end)

  it("repeats --ledger in its hints, without a password", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local code, _, err = veo(extend("[sim code=500]", "--ledger", folder .. "/my books.db"))
    assert.equal(3, code)
    assert.matches("to go on: veo settle %x+ TASK %-%-ledger '" .. command.plain(folder) .. "/my books.db'", err)
    local _, _, left = veo { "resume", "--ledger", folder .. "/my books.db" }
    assert.matches("veo settle %x+ TASK %-%-ledger", left)
    code, _, err = veo(extend("[sim render=100000]", "--timeout", "0.3", "--ledger", folder .. "/l.db"))
    assert.equal(3, code)
    local hint = "veo wait %S+ %-%-ledger " .. command.plain(folder) .. "/l.db"
    assert.matches("to go on: " .. hint, err)
    assert.matches("`" .. hint .. "`", err)
    code, _, err = veo(extend("[sim code=500] b"))
    assert.equal(3, code)
    assert.is_nil(err:find("--ledger", 1, true), err)
  end)

  it("names the packages of what is missing, in one line", function()
    for name, call in pairs { argparse = { "credits" }, cqueues = { "simulate" }, cjson = { "credits" } } do
      helper.write(folder .. "/bare", ([[
        table.insert(package.loaders or package.searchers, 1, function(name)
          if name:find("^%s") then error("no " .. name) end
        end)
        require "veo.main"]]):format(name))
      local code, _, err = shell((world.command(call):gsub(command.plain(folder) .. "/veo", folder .. "/bare")))
      assert.equal(1, code, err)
      assert.matches("^veo: [^\n]*" .. name .. " is missing %(Debian: lua%-" .. name .. "[^\n]+luarocks [^\n]+\n$", err)
      assert.matches("Alpine: ", err)
    end
  end)

  -- A terminal of 40 columns by util-linux's script; without it nothing is to be seen here.
  local function on_terminal(arguments, columns, environment)
    local line = ("stty cols %d rows 24; %s"):format(columns, world.command(arguments, environment))
    return helper.output(("TERM=xterm script -qec %s /dev/null </dev/null"):format(command.quote(line)))
  end
  local has_script = helper.output("script --version 2>&1"):find("util-linux", 1, true)

  it("on a terminal has a line that moves, in colour unless told otherwise, and never wider than that", function()
    if not has_script then return pending("no script(1) here") end
    local arguments = extend("[sim:media drip=20000 times=1]", "-o", "a-name-that-is-much-longer-than-the-window.mp4")
    local said = on_terminal(arguments, 40)
    assert.is_truthy(said:find("\27[32m", 1, true), said)
    assert.is_truthy(said:find("\r\27[K", 1, true) or said:find("\27[K", 1, true))
    local painted = 0
    for text in said:gmatch("\r([^\r\n]-)\27%[K") do
      painted = painted + 1
      assert.is_true(select(2, text:gsub("[^\128-\191]", "")) < 40, text)
    end
    assert.is_true(painted > 1)
    said = on_terminal(extend("y"), 80, { NO_COLOR = "1" })
    assert.is_nil(said:find("\27%[%d+m"))
    said = on_terminal(extend("z"), 80, { TERM = "dumb" })
    assert.is_nil(said:find("\27", 1, true))
  end)
end)
