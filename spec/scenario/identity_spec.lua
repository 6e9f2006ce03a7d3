-- Existence is never identity: which file is a task's video, in names of any script, after kills, beside others' files.

local helper = require "spec.support.helper"
local filenames = require "veo.util.filename"
local simulator = require "veo.simulator"

describe("a saved video on SQLite", function()
  local sim
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  require "spec.support.identity_suite"(function() return sim end,
    function() return helper.folder() .. "/renders.db" end,
    { describe = describe, it = it, before_each = before_each, after_each = after_each },
    { "begun", "half", "whole", "noted", "renamed", "unsaid" })
end)

describe("a name made of a key", function()
  local function name(key) return filenames.fill("{key}.mp4", { taskId = "t", ref = "r", key = key, created = 0 }) end

  local function decoded(text)
    return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
  end

  it("says the key, in any script and with any sign", function()
    assert.equal("сцена 7, 日本.mp4", name("сцена 7, 日本"))
    math.randomseed(12)
    local signs = { "/", "\\", "%", "%2F", ".", "..", "_", " ", "a", "Я", "\255", "\0", "\n", ":", "~", "{key}", "é" }
    for _ = 1, 2000 do
      local key = {}
      for i = 1, math.random(6) do key[i] = signs[math.random(#signs)] end
      key = table.concat(key)
      local made = name(key)
      assert.equal(key .. ".mp4", decoded(made))
      assert.is_nil(made:find("[/%z\n]"))
      assert.is_nil(made:find("^%."))
    end
  end)

  it("fits into the longest name of a file system, and stays one's own", function()
    local seen, folder = {}, helper.folder()
    for _, piece in ipairs { "x", "я", "/", "日", "\255" } do
      for n = 238, 260 do
        for _, key in ipairs { piece:rep(n), piece:rep(n) .. "1" } do
          local made = name(key)
          assert.is_true(#made <= 241, #made)
          assert.is_nil(seen[made])
          seen[made] = true
          if n == 260 then helper.write(folder .. "/" .. made .. ".part.meta.new", "") end
        end
      end
    end
    helper.sweep()
  end)
end)
