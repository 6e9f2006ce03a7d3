--- The README tells the truth: every error code, option and method stands in it, and its Lua parses.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local options = require "veo.client.options"
local simulators = require "veo.simulator"
local veo = require "veo"

local load = loadstring or load -- luacheck: ignore

describe("the README", function()
  local text = helper.read "README.md"

  it("names every error code, as the table has it", function()
    for code, class in pairs(errors.codes) do
      local row = ("| `%s` | %s | %s | %s |"):format(code, class.summary, class.next, class.charged)
      assert.is_truthy(text:find(row, 1, true), "not in the README: " .. row)
    end
  end)

  it("names every option of veo.new", function()
    local names = { "retry", "rate", "wait", "download", "upgrade", "upload" }
    for name in pairs(options.new) do names[#names + 1] = name end
    for _, name in ipairs(names) do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true) or text:find("`" .. name .. " ", 1, true),
        "not in the README: " .. name)
    end
  end)

  it("states the defaults", function()
    for _, group in ipairs { "rate", "wait", "download", "upgrade", "upload" } do
      for name, value in pairs(options.defaults[group]) do
        assert.is_truthy(text:find(name .. " = " .. tostring(value), 1, true), group .. "." .. name)
      end
    end
  end)

  it("names every method of the client", function()
    local client = veo.new { api_key = "not-a-real-key" }
    for name, value in pairs(getmetatable(client).__index) do
      if type(value) == "function" and name:sub(1, 1) ~= "_" then
        assert.is_truthy(text:find("[^%w_]" .. name .. "[^%w_]"), "not in the README: " .. name)
      end
    end
    client:close()
  end)

  it("says what each old name says", function()
    local client = veo.new { api_key = "not-a-real-key" }
    local methods, count = getmetatable(client).__index, 0
    for name, said in text:gmatch "\n| `client:([%w_]+)%([^|]*%)` | (is gone: [^|]*) |" do
      count = count + 1
      local ok, message = pcall(methods[name], client)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find(name .. ": " .. said:gsub(" +$", ""), 1, true), message)
    end
    client:close()
    assert.equal(8, count)
    assert.is_truthy(text:find(select(2, pcall(require, "veo.money")):match "veo.money: (.*)$", 1, true))
  end)

  -- What may be nil stands in assert(…), or is one call; and no old name is left.
  it("and the examples show no call that breaks at the first error", function()
    local shown = { README = text:gsub("### Names of earlier versions.-\n## ", "") }
    for name in helper.output("find examples -name '*.lua'"):gmatch "%S+" do shown[name] = helper.read(name) end
    for name, code in pairs(shown) do
      for _, call in ipairs { "extend", "generate", "wait", "save", "upgrade", "status", "download", "chain" } do
        for _, arguments in ipairs { "%b()", "%s*%b{}", '%s*%b""' } do
          assert.is_nil(code:match("[:.]" .. call .. arguments .. ":%w+"), name)
        end
      end
      for _, old in ipairs { "extend_and_wait", "client:get_", "client:pollfd", "client:events", "client:timeout",
        "client:warm", "poll%(client%)" } do
        assert.is_nil(code:find(old), name .. " has " .. old)
      end
    end
  end)

  it("names only files that are there", function()
    for path in text:gmatch("%f[%w](examples/[%w_/.]*[%w])") do
      assert.is_truthy(require("veo.core").kind(path), path)
    end
    for name in text:gmatch("`([%w_]+_spec)`") do
      assert.matches("%S", helper.output("find spec -name " .. name .. ".lua"), name)
    end
  end)

  it("begins with jobs that save their videos", function()
    local sim, new, folder = simulators.start { speed = 3000, rate = false }, veo.new, nil
    finally(function()
      veo.new = new
      sim:stop()
      helper.sweep()
    end)
    local function quick(given)
      veo.new = new
      return helper.client(sim, { ledger = folder .. "/" .. given.ledger, upgrade = { interval = 0.02 } })
    end
    local function run(code)
      folder, veo.new = helper.folder(), quick
      code = "local print = function() end " .. code:gsub('"([%w-]+%.mp4)"', '"' .. folder .. '/%1"')
      assert(load(code))()
      return helper.list(folder)
    end
    local blocks = text:gmatch "```lua\n(.-)```"
    local whole, steps = blocks(), blocks()
    sim:add { taskId = whole:match '"(veo_task_%w+)"' }
    assert.same({ "boat.mp4", "renders.db" }, run(whole .. "client:close()"))
    local names = run(whole:gsub("local file.*", "") .. steps .. "client:close()")
    assert.same({ "boat.mp4", "night-1080p.mp4", "night.mp4", "renders.db" }, names)
    for i = 1, 3 do assert.equal("ftyp", assert(helper.boxes(helper.read(folder .. "/" .. names[i])))[1]) end
  end)

  it("holds Lua that parses", function()
    local count = 0
    for shown in text:gmatch("```lua\n(.-)```") do
      count = count + 1
      local code = shown:gsub("…", "nil --[[…]]")
      local ok, problem = load("return function(...) " .. code .. "\nend")
      assert.is_truthy(ok, tostring(problem) .. "\n" .. code)
    end
    assert.is_true(count > 5)
  end)
end)
