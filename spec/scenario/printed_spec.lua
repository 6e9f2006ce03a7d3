-- What is printed: nothing that the service says steers a terminal or turns a line around, and no password shows.

local cjson = require "cjson"
local errors = require "veo.errors"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local visible = require "veo.util.visible"

-- CSI of 8 bits, the escape character, right-to-left override and isolate, zero width, soft hyphen, byte order mark, a tag.
local EVIL = "\194\15531m\27[2J\226\128\174\226\129\167\226\128\139\194\173\239\187\191\243\160\129\161\8"
local STEERING = { "[\1-\8\11-\31\127]", "\194[\128-\159\173]", "\226\128[\139-\143\168-\174]", "\226\129[\160-\175]",
  "\239\187\191", "\243\160[\128\129]" }

local function assert_harmless(text, line)
  for _, pattern in ipairs(STEERING) do
    assert.is_nil(text:find(pattern), "steers a terminal: " .. text:gsub("[\1-\9\11-\31\127-\255]", function(c)
      return ("<%02x>"):format(c:byte())
    end))
  end
  if line then assert.is_nil(text:find "\n") end
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

describe("what is printed", function()
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
  before_each(function() sim:reset() end)

  local function veo(environment, ...)
    local words = { "env -u VEO_LEDGER -u LD_PRELOAD XDG_STATE_HOME=" .. folder, "KIE_API_KEY=" .. sim.api_key,
      "KIE_BASE_URL=" .. sim.url,
      environment or "", helper.lua(), folder .. "/veo" }
    for _, argument in ipairs { ... } do words[#words + 1] = quote(argument) end
    local code = helper.output(("{ %s; } >%s/out 2>%s/err </dev/null; echo $?"):format(table.concat(words, " "), folder,
      folder))
    return tonumber(code), helper.read(folder .. "/out"), helper.read(folder .. "/err")
  end

  local id = "id-" .. EVIL:gsub("%c", "") -- no control character of ASCII makes a taskId
  local link = "http://127.0.0.1/" .. EVIL .. ".mp4"
  local function evil_service()
    local function body(data) return cjson.encode { code = 200, msg = "m" .. EVIL, data = data } end
    sim:script { { on = "extend", body = body { taskId = id } },
      { on = "status", body = body { taskId = "t", successFlag = 1, response = { resultUrls = { link } } } } }
  end

  it("by the command of ids and links is escaped, and in JSON says the same", function()
    evil_service()
    local extend = { "extend", sim.source, "x", "--timeout", "5" }
    for _, arguments in ipairs { { "extend", sim.source, "x", "--no-wait" }, extend, { "status", "t" },
      { "wait", id, "--no-save" },
      { extend[1], extend[2], "x", "-o", folder .. "/x.mp4" } } do
      local _, out, err = veo(nil, (table.unpack or unpack)(arguments)) -- luacheck: ignore
      assert_harmless(out)
      assert_harmless(err)
      assert.is_truthy((out .. err):find("\\u{202E}", 1, true), out .. err)
    end
    local _, out, err = veo(nil, "extend", sim.source, "x", "--no-wait", "--json")
    assert_harmless(out .. err)
    assert.equal(id, cjson.decode(out).taskId, out .. err)
  end)

  it("by the command of refusals is escaped", function()
    for code, name in pairs { [400] = "rejected", [500] = "uncertain", [402] = "insufficient_credits" } do
      sim:script { { on = { "extend", "status" }, body = cjson.encode { code = code, msg = "no " .. EVIL } } }
      local _, out, err = veo(nil, "extend", sim.source, "x", "--json")
      assert_harmless(out .. err)
      assert.equal(name, cjson.decode(out).error.code)
    end
  end)

  it("of an error and of the log is escaped", function()
    local told = {}
    local client = helper.client(sim, { retry = { attempts = 1 }, log = function(event)
      told[#told + 1] = tostring(event.message or event.err or "")
    end })
    sim:script { { on = "status", flag = 3, error_message = "no " .. EVIL } }
    local function check(_, err)
      for _, text in ipairs { err.message, tostring(err), errors.explain(err) } do assert_harmless(text, true) end
    end
    check(client:wait(sim.source))
    sim:script { { on = { "extend", "status", "credits" }, body = cjson.encode { code = 400, msg = "no " .. EVIL } } }
    check(client:extend { taskId = sim.source, prompt = "x" })
    check(client:credits())
    sim:script { { on = "extend", body = '{"code":200,"data":"id ' .. EVIL:gsub("[\27\8]", "") .. '"}' } }
    check(client:extend { taskId = sim.source, prompt = "x" })
    sim:script { { on = "status", body = cjson.encode { code = 404, msg = "x" } } }
    check(client:status(id))
    check(client:wait(id, { grace = 0, timeout = 1 }))
    client:close()
    assert.is_true(#told > 0)
    for _, text in ipairs(told) do assert_harmless(text) end
  end)

  it("leaves letters of any script alone", function()
    for _, text in ipairs { "плывёт", "日本", "مرحبا", "é ü", "🚤", "" } do assert.equal(text, visible(text)) end
    assert.equal("\\u{009B}\\u{202E}\\u{E0061}\\x1B\\n", visible "\194\155\226\128\174\243\160\129\161\27\n")
  end)

  describe("of a password", function()
    for name, where in pairs { plain = "postgresql://us:SeCrEt@127.0.0.1:1/db",
      ["with what a URI escapes"] = "postgresql://us:pw/@SeCrEt@127.0.0.1:1/db",
      ["in the query"] = "postgresql://127.0.0.1:1/db?user=us&password=SeCrEt" } do
      it("of a ledger is nothing: " .. name, function()
        sim:script { { on = "status", flag = 0 } }
        for _, arguments in ipairs { { "wait", sim.source, "--timeout", "0.1" }, { "extend", sim.source, "x" },
          { "tasks" } } do
          for _, json in ipairs { "--json", nil } do
            arguments[#arguments + 1] = json
            local _, out, err = veo("VEO_LEDGER=" .. quote(where), (table.unpack or unpack)(arguments)) -- luacheck: ignore
            assert.is_nil((out .. err):find("SeCrEt", 1, true), out .. err)
          end
        end
        local _, out, err = veo(nil, "wait", sim.source, "--timeout", "0.1", "--ledger", where)
        assert.is_nil((out .. err):find("SeCrEt", 1, true), out .. err)
        assert.matches("%-%-ledger '?postgresql://", err)
      end)
    end

    it("of a proxy is nothing", function()
      for _, proxy in ipairs { "http://us:SeCrEt pw@127.0.0.1:9", "us:SeCrEt@127.0.0.1:port",
        "http://us:Se/SeCrEt@127.0.0.1:9", "other://us:SeCrEt@h:1", "http://us:SeCrEt@no.such.invalid:9" } do
        local code = ([[local veo = require "veo"
          local more = { proxy = os.getenv "PROXY", api_key = "k", base_url = "https://127.0.0.1:9", deadline = 0.3,
            retry = { attempts = 1 } }
          local ok, client = pcall(veo.new, more)
          if not ok then return print(client) end
          print(client:credits())
          print(client:status "t") print(client:extend { taskId = "t", prompt = "x" })
          print(client:download("https://127.0.0.1:9/x", "%s/none.mp4"))]]):format(folder)
        helper.write(folder .. "/proxy.lua", code)
        for _, name in ipairs { "PROXY", "https_proxy" } do
          local text = helper.output(
            ("env -u LD_PRELOAD %s=%s LUA_PATH='%s' LUA_CPATH='%s' %s %s/proxy.lua"):format(name,
            quote(proxy), package.path, helper.cpath(), helper.lua(), folder))
          assert.matches("proxy", text:lower() .. (text:match "timed out" and "proxy" or ""))
          assert.is_nil(text:find("SeCrEt", 1, true), text)
        end
      end
    end)
  end)
end)
