-- The ledger that the `veo` command keeps without being told.

local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"

describe("the veo command's own ledger", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, shell = world.veo, world.shell
  local sim, folder, place

  before_each(function()
    sim, folder = world.sim, world.folder
    place = folder .. "/state/veo/orders.db"
  end)

  local function order(prompt, ...) return { "extend", sim.source, prompt, "--no-wait", ... } end
  local function mode(path) return helper.output("ls -ld " .. path .. " 2>&1 | cut -c1-10"):match("%S+") end

  it("is made for its user alone, said once, and keeps an order from being paid twice", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local code, first, err = veo(order "x")
    assert.equal(0, code, err)
    assert.same({ "drwx------", "-rw-------" }, { mode(folder .. "/state/veo"), mode(place) })
    assert.is_truthy(err:find("remembered from now on, in " .. place, 1, true), err)
    local again
    code, again, err = veo(order "x")
    assert.same({ 0, first, 1 }, { code, again, sim:count("POST", helper.EXTEND) }, err)
    assert.is_nil(err:find("remembered", 1, true), err)
    assert.matches("not ordered again", err)
  end)

  it("stands in ~/.local/state where XDG_STATE_HOME is not set, or is no absolute path", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    for n, state in ipairs { "", "relative" } do
      local home = folder .. "/here/home" .. n
      assert.equal(0, (veo(order("x" .. n), { HOME = home, XDG_STATE_HOME = state })))
      assert.equal("-rw-------", mode(home .. "/.local/state/veo/orders.db"))
    end
  end)

  it("gives way to --no-ledger, --ledger and VEO_LEDGER", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local code, _, err = veo(order("x", "--no-ledger"))
    assert.same({ 0, false }, { code, err:find("ledger", 1, true) ~= nil }, err)
    assert.equal(0, (veo(order("x", "--ledger", folder .. "/a.db"))))
    assert.equal(0, (veo(order "x", { VEO_LEDGER = folder .. "/b.db" })))
    assert.is_nil(helper.read(place))
    assert.equal(3, sim:count("POST", helper.EXTEND))
    assert.equal(1, (veo(order("x", "--no-ledger", "--ledger", "a.db"))))
    assert.equal(1, (veo(order("x", "--no-ledger", "--on-duplicate", "join"))))
    assert.equal(3, sim:count("POST", helper.EXTEND))
  end)

  it("is one for commands that begin at once", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    local lines = {}
    for n = 1, 6 do lines[n] = world.command(order "same") .. (" >%s/o%d 2>&1 </dev/null &"):format(folder, n) end
    shell(table.concat(lines, "\n") .. "\nwait")
    local ids = {}
    for n = 1, 6 do ids[n] = helper.read(folder .. "/o" .. n):match("([^\n]+)\n$") end
    for n = 2, 6 do assert.equal(ids[1], ids[n]) end
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)

  it("says what follows where it cannot be made, and is asked for by name all the same", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    helper.write(folder .. "/here/file", "")
    for _, environment in ipairs { { XDG_STATE_HOME = folder .. "/here/file" }, { XDG_STATE_HOME = "", HOME = "" } } do
      local ordered, _, notice = veo(order "x", environment)
      assert.equal(0, ordered, notice)
      assert.matches("no ledger is kept: .*may be paid twice", notice)
      local before = #sim:requests()
      for what, call in pairs { ["--key"] = order("y", "--key", "k"), tasks = { "tasks" },
        ["--on-duplicate"] = order("y", "--on-duplicate", "join") } do
        local code, _, err = veo(call, environment)
        assert.same({ 1, before }, { code, #sim:requests() }, err)
        assert.is_truthy(err:find(what .. " needs a ledger", 1, true), err)
      end
    end
  end)

  it("is not passed over where it is there and cannot be used", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    os.execute("mkdir -p " .. folder .. "/state/veo")
    helper.write(place, ("this is no database"):rep(100))
    local code, _, err = veo(order "x")
    assert.equal(2, code, err)
    assert.matches("damaged", err)
    assert.matches("would be paid again", err)
    assert.matches("%-%-no%-ledger", err)
    assert.equal(0, sim:count("POST", helper.EXTEND))
  end)

  it("is not passed over behind a link whose end is not there, as when its disk is not mounted", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    for n, link in ipairs { "/links/1/veo/orders.db", "/links/2/veo", "/links/3" } do
      link = folder .. "/here" .. link
      os.execute(("mkdir -p %s && ln -s /nowhere/below %s"):format(link:match("^(.*)/"), link))
      local code, _, err = veo(order "x", { XDG_STATE_HOME = folder .. "/here/links/" .. n })
      assert.equal(1, code, err)
      assert.matches("is a link to nothing", err)
      assert.matches("%-%-no%-ledger", err)
    end
    os.execute(("ln -s loop %s/here/loop"):format(folder))
    local code, _, err = veo(order "x", { XDG_STATE_HOME = folder .. "/here/loop" })
    assert.equal(1, code, err)
    assert.matches("cannot be read", err)
    assert.equal(0, sim:count("POST", helper.EXTEND))
  end)

  it("of a newer veo is not passed over either", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    assert.equal(0, (veo(order "x")))
    ledgers.query(place, "UPDATE veo_meta SET value = '999' WHERE name = 'schema'")
    for _ = 1, 2 do
      local code, _, err = veo(order "y")
      assert.equal(2, code, err)
      assert.matches("too old for it", err)
    end
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)

  it("of an earlier veo is converted once, by commands that begin at once", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    os.execute("mkdir -p " .. folder .. "/state/veo")
    local connection = ledgers.connect(place)
    local old = helper.read("spec/support/ledger_06f5e79.sql"):gsub("^%-%-[^\n]*\n", ""):gsub("^%-%-[^\n]*\n", "")
    for statement in old:gmatch("(.-);\n") do ledgers.query(connection, statement) end
    local before = #ledgers.query(connection, "SELECT ref FROM veo_tasks")
    connection:close()
    local lines = {}
    for n = 1, 4 do lines[n] = world.command(order("y" .. n)) .. (" >%s/o%d 2>&1 </dev/null &"):format(folder, n) end
    shell(table.concat(lines, "\n") .. "\nwait")
    for n = 1, 4 do assert.matches("accepted: task", helper.read(folder .. "/o" .. n)) end
    assert.equal(before + 4, #cjson.decode((select(2, veo { "tasks", "--json" }))).tasks)
  end)

  it("of another service is left to that, and this one's stands beside it", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    assert.equal(0, (veo(order "x")))
    local other = simulator.start { speed = 1000, rate = false }
    local elsewhere = { KIE_BASE_URL = other.url, KIE_API_KEY = other.api_key }
    for _ = 1, 2 do
      local code, _, err = veo({ "extend", other.source, "x", "--no-wait" }, elsewhere)
      assert.equal(0, code, err)
    end
    assert.equal(1, other:count("POST", helper.EXTEND))
    assert.equal(1, #cjson.decode((select(2, veo({ "tasks", "--json" }, elsewhere)))).tasks)
    os.execute("rm " .. place) -- what is beside it is found all the same
    assert.equal(0, (veo({ "extend", other.source, "x", "--no-wait" }, elsewhere)))
    assert.equal(1, other:count("POST", helper.EXTEND))
    other:stop()
  end)

  it("of another service is one, however the address is spelt", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    assert.equal(0, (veo(order "x")))
    local other = simulator.start { speed = 1000, rate = false }
    local port = other.url:match("%d+$")
    for _, spelling in ipairs { "http://localhost:%s", "HTTP://LOCALHOST:%s/", "http://localhost:0%s" } do
      local code, _, err = veo({ "extend", other.source, "x", "--no-wait" },
        { KIE_BASE_URL = spelling:format(port), KIE_API_KEY = other.api_key })
      assert.equal(0, code, err)
    end
    assert.equal(1, other:count("POST", helper.EXTEND))
    other:stop()
  end)

  it("is no pipe: what it knew is not to be had, and nobody waits for it", function()
    if not command.has_ledger() then return pending("no LuaDBI here") end
    helper.output(("mkdir -p %s/state/veo; mkfifo %s"):format(folder, place))
    local code, _, err = veo(order "x")
    assert.equal(1, code, err)
    assert.is_truthy(err:find(place .. " is not a regular file", 1, true), err)
    assert.equal(0, sim:count("POST", helper.EXTEND))
  end)

  it("is made for no look: wait and download do without", function()
    local code, _, err = veo { "download", sim.source }
    assert.equal(0, code, err)
    assert.is_nil(helper.read(place))
  end)

  it("without LuaDBI is a notice, in one line with its packages", function()
    helper.write(folder .. "/bare", [[
      table.insert(package.loaders or package.searchers, 1, function(name)
        if name:find("^DBI") or name:find("^dbd") then error("no " .. name) end
      end)
      require "veo.main"]])
    local function bare(arguments)
      return shell((world.command(arguments):gsub("/veo'?%s", "/bare ", 1)) .. " </dev/null")
    end
    local code, _, err = bare(order "x")
    assert.equal(0, code, err)
    for _, name in ipairs { "lua%-dbi%-sqlite3", "Fedora: lua%-dbi", "Alpine: ", "Arch: ", "Homebrew",
      "luadbi%-sqlite3" } do
      assert.matches(name, err)
    end
    code, _, err = bare(order("x", "--key", "k"))
    assert.equal(1, code, err)
    assert.matches("%-%-key needs a ledger", err)
    code, _, err = bare(order("x", "--ledger", "x.db"))
    assert.equal(1, code, err)
    assert.matches("LuaDBI is missing", err)
  end)
end)
