-- Systems that are not here: the C compiles with what macOS and FreeBSD have and show (spec/support/systems), by the flags
-- that the Makefile has for them, and is linked as they link.

local helper = require "spec.support.helper"

-- The Lua makes no difference, and the headers are of this system's.
if _VERSION ~= "Lua 5.4" then return end

local SYSTEMS = { Darwin = "-D__APPLE__", FreeBSD = "-D__FreeBSD__=14" }

-- What an outer make said of its own build does not count here.
local function make(arguments)
  return helper.output("env -u MAKEFLAGS -u MFLAGS -u BUILD -u LUA_VERSION -u CPPFLAGS make --no-print-directory "
    .. arguments .. " 2>&1")
end

for name, macro in pairs(SYSTEMS) do
  local function compile(more)
    return make(("check-syntax WERROR=1 UNAME=%s CPPFLAGS='-U__linux__ %s -isystem spec/support/systems %s'")
      :format(name, macro, more or ""))
  end

  describe("on " .. name, function()
    it("the core compiles", function()
      assert.equal("", compile())
    end)

    it("it would not with a standard named, which hides flock and dladdr there", function()
      local said = compile("-D_POSIX_C_SOURCE=200809L' SOURCES='src/core.c src/sink.c")
      assert.matches('poisoned "flock"', said)
      assert.matches('poisoned "dladdr"', said)
    end)

    it("it is linked so that its code stays", function()
      local command = make("-n -B build V=1 BUILD=build/elsewhere UNAME=" .. name)
      local line = command:match("[^\n]* %-o build/elsewhere/veo/core%.so ")
      assert.equal(name == "Darwin", line:find("-bundle -undefined dynamic_lookup", 1, true) ~= nil)
      assert.equal(name ~= "Darwin", line:find("-Wl,-z,nodelete", 1, true) ~= nil)
    end)
  end)
end
