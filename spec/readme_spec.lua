--- The README tells the truth: every error code, option and method stands in it, and its Lua parses.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local options = require "veo.client.options"
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

  it("names only files that are there", function()
    for path in text:gmatch("%f[%w](examples/[%w_/.]*[%w])") do
      assert.is_truthy(require("veo.core").kind(path), path)
    end
    for name in text:gmatch("`([%w_]+_spec)`") do
      assert.matches("%S", helper.output("find spec -name " .. name .. ".lua"), name)
    end
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
