--- util/options.lua: unknown names, what they were meant to be, and values of the wrong kind.

local options = require "veo.util.options"

local KINDS = {
  timeout = { expected = "seconds",
    test = function(value) return type(value) == "number" and value <= options.MOST end },
  path = { expected = "a file name", test = function(value) return type(value) == "string" end },
}

describe("options.unknown", function()
  it("is nil when all names are known, in either table", function()
    assert.is_nil(options.unknown("option", {}, KINDS))
    assert.is_nil(options.unknown("option", { path = 1, extra = false }, KINDS, { extra = true }))
  end)

  it("names what was probably meant, also from the second table", function()
    assert.equal("unknown option pathh (did you mean path?)", options.unknown("option", { pathh = 1 }, KINDS))
    assert.equal("unknown field extr (did you mean extra?)",
      options.unknown("field", { extr = 1 }, KINDS, { extra = true }))
    assert.equal("unknown filter zzz", options.unknown("filter", { zzz = 1 }, KINDS))
  end)

  it("tells of several the same one each time, and prints any", function()
    for _ = 1, 20 do
      assert.matches("unknown option aaa$", options.unknown("option", { zzz = 1, aaa = 1, path = 1, mmm = 1 }, KINDS))
    end
    assert.equal("unknown option 1", options.unknown("option", { "x" }, KINDS))
    assert.equal("unknown option a table", options.unknown("option", { [{}] = 1 }, KINDS))
    assert.equal([[unknown option a\n\x1B[2J]], options.unknown("option", { ["a\n\27[2J"] = 1 }, KINDS))
  end)
end)

describe("options.overlay", function()
  it("lays what is given over the defaults, and changes neither", function()
    local defaults, given = { timeout = 5, path = "a" }, { path = "b" }
    assert.same({ timeout = 5, path = "b" }, options.overlay(KINDS, defaults, given))
    assert.same({ { timeout = 5, path = "a" }, { path = "b" } }, { defaults, given })
    assert.same({ timeout = 5, path = "a" }, options.overlay(KINDS, defaults))
    assert.same({}, options.overlay(KINDS))
  end)

  it("says what is wrong, without what a string holds", function()
    for expected, given in pairs {
      ["timeout: given a string, expected seconds"] = { timeout = "secret" },
      ["timeout: given an empty string, expected seconds"] = { timeout = "" },
      ["timeout: given a string with blanks or a line break around it, expected seconds"] = { timeout = "5\n" },
      ["timeout: given true, expected seconds"] = { timeout = true },
      ["path: given a table, expected a file name"] = { path = {} },
      ["options: given a string, expected a table"] = "secret",
      ["unknown option pat (did you mean path?)"] = { timeout = "x", pat = "secret" },
    } do
      local out, problem = options.overlay(KINDS, nil, given)
      assert.is_nil(out)
      assert.equal(expected, problem)
    end
    local _, problem = options.overlay(KINDS, nil, { timeout = 2 ^ 60 })
    assert.matches("of at most 2^53", problem, 1, true)
  end)
end)
