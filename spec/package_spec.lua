-- What somebody who builds, installs and packs lua-veo meets: versions of Lua, missing headers, a second Lua, papers of
-- a release that do not agree.

local helper = require "spec.support.helper"

-- The Lua that runs the specs makes no difference, and `make` under a memory checker is not ours to check.
if _VERSION ~= "Lua 5.4" then return end

-- What an outer make said of its own build does not count here.
local ALONE = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD -u LUA_VERSION -u CPPFLAGS -u LD_PRELOAD "
local function make(arguments)
  return helper.output(ALONE .. "make --no-print-directory " .. arguments .. " 2>&1")
end

describe("building", function()
  after_each(helper.sweep)

  it("takes the names of interpreters for their versions", function()
    assert.matches("build/jit/veo/core.so", make "-n -B build LUA_VERSION=luajit", 1, true)
    assert.matches("build/5.1/veo/core.so", make "-n -B build LUA_VERSION=lua5.1", 1, true)
  end)

  it("lists the versions when it is none of them", function()
    for _, arguments in ipairs { "LUA_VERSION=5.6", "test-all VERSIONS='5.1 5.6'" } do
      assert.matches('Lua "5.6" is not known here: choose from 5.1 5.2 5.3 5.4 5.5 jit', make(arguments), 1, true)
    end
  end)

  it("names the package of each header that is missing, once, and goes on when it is there", function()
    local folder = helper.folder()
    local empty = " BUILD=" .. folder .. " -j4 "
    for arguments, expected in pairs {
      ["LUA_INCDIR=" .. folder] = { "lua.h", "liblua5.4-dev", "lua-devel", "lua5.4-dev", "lua or lua54", "lua@5.4" },
      ["CC=no-such-compiler"] = { "stdio.h", "gcc libc6-dev", "gcc", "build-base", "base-devel", "gcc" },
      ["LUA_VERSION=jit LUA_INCDIR=" .. folder] = { "lua.h", "libluajit-5.1-dev", "luajit-devel", "luajit-dev",
        "luajit", "luajit" },
    } do
      local out = make("build" .. empty .. arguments)
      assert.equal(1, select(2, out:gsub(expected[1] .. " is not found", "")), out)
      for i, system in ipairs { "Debian", "Fedora", "Alpine", "Arch", "Homebrew" } do
        assert.matches(("  %-10s%s\n"):format(system, expected[i + 1]), out, 1, true)
      end
      assert.is_nil(out:find("  src/", 1, true), out)
    end
    assert.equal("", make(folder .. "/flags" .. empty))
  end)
end)

describe("installing", function()
  local prefix
  before_each(function() prefix = helper.folder() .. "/a prefix" end)
  after_each(helper.sweep)

  -- The core as it is, whichever Lua it is for: others use it meanwhile, so nothing may be built in its place.
  local BUILD = os.getenv "VEO_BUILD" or "build/5.4"
  local function made(arguments)
    return make(("-o %s/veo/core.so MANDIR= BUILD=%s %s"):format(BUILD, BUILD, arguments))
  end
  local function install(arguments) return made(("install PREFIX='%s' %s"):format(prefix, arguments or "")) end
  local function first_line() return (helper.read(prefix .. "/bin/veo") or ""):match "^[^\n]*" end

  it("for another Lua leaves the command to the first, as does taking that away", function()
    install()
    assert.equal("#!/usr/bin/env lua5.4", first_line())
    assert.matches("bin/veo goes on with lua5.4. For lua5.1: remove it and install again", install "LUA_VERSION=5.1", 1,
      true)
    assert.equal("#!/usr/bin/env lua5.4", first_line())
    made(("uninstall PREFIX='%s' LUA_VERSION=5.1"):format(prefix))
    assert.equal("#!/usr/bin/env lua5.4", first_line())
    made(("uninstall PREFIX='%s'"):format(prefix))
    assert.equal("", first_line())
  end)

  it("gives the command to another Lua once its own is gone", function()
    os.execute(("mkdir -p '%s/bin' && echo '#!/usr/bin/env lua4.9' >'%s/bin/veo'"):format(prefix, prefix))
    install()
    assert.equal("#!/usr/bin/env lua5.4", first_line())
  end)

  it("prints what to export where Lua does not look, and nothing where it does", function()
    local lines = install():gsub("[^\n]*\n", function(line) return line:match "^  export " and line or "" end)
    local script = helper.folder() .. "/found.sh"
    helper.write(script, "unset LUA_PATH LUA_CPATH; " .. lines .. [[
      cd /
      lua5.4 -e 'print(package.searchpath("veo", package.path), package.searchpath("veo.core", package.cpath))'
      lua5.4 -e 'print(package.searchpath("cjson", package.cpath) and "others too")'
      command -v veo
    ]])
    assert.equal(("%s/share/lua/5.4/veo/init.lua\t%s/lib/lua/5.4/veo/core.so\nothers too\n%s/bin/veo\n"):format(prefix,
      prefix, prefix), helper.output("sh " .. script))
    local staged = made(("install DESTDIR='%s' PREFIX=/usr/local"):format(prefix))
    assert.is_nil(staged:find("export", 1, true), staged)
  end)
end)

describe("a release", function()
  local folder, version
  before_each(function()
    folder, version = helper.folder(), require("veo.core").version
    -- What is here, committed or not, as a repository of its own.
    helper.output(("tar -c --exclude-vcs --exclude=./build . | tar -xC %s && cd %s && git init -q && git add -A")
      :format(folder, folder))
  end)
  after_each(helper.sweep)

  local function commit(...)
    for _, command in ipairs { ... } do helper.output("cd " .. folder .. " && " .. command) end
    helper.output(("cd %s && git -c user.name=a -c user.email=a@b commit -qam x"):format(folder))
  end
  -- The papers alone: that LuaRocks packs them is for CI, which calls the same script.
  local function check()
    return helper.output(("cd %s && %s .ci/check-package --papers"):format(folder, ALONE))
  end

  it("is said to be one when version, changelog, rockspec and tag agree", function()
    commit(("sed -i '0,/^## .*/s//## %s (2026-12-01)/' CHANGELOG.md"):format(version))
    assert.matches("WRONG HEAD has the tag v" .. version, check(), 1, true)
    helper.output(("cd %s && git tag v%s"):format(folder, version))
    assert.is_nil(check():find("WRONG", 1, true), check())
    helper.output(("cd %s && echo >>README.md"):format(folder))
    assert.matches("WRONG nothing is left to commit", check(), 1, true)
  end)

  it("is refused with an unreleased heading, and with a version that only one of them has", function()
    commit()
    assert.matches("WRONG CHANGELOG begins with " .. version .. " and its date", check(), 1, true)
    commit "sed -i 's/^#define VEO_VERSION .*/#define VEO_VERSION \"9.9.9\"/' src/defaults.h"
    assert.matches("WRONG the rockspec is that of 9.9.9", check(), 1, true)
    commit "make -s rockspec && git add -A"
    assert.matches("ok    the rockspec is that of 9.9.9", check(), 1, true)
    assert.matches("WRONG CHANGELOG begins with 9.9.9", check(), 1, true)
  end)
end)
