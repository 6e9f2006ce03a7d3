-- Hosts that are sandboxes: what lua-veo needs, what works without the rest, and that nothing is looked up later.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CHILD = "spec/support/sandbox.lua"
-- What the whole library stands on. Each of them, and each library as a whole, is dropped in turn.
local NEEDED = { "getmetatable", "ipairs", "next", "pairs", "pcall", "rawget", "select", "setmetatable",
  "tonumber", "tostring", "type", "error", "coroutine", "coroutine.create", "coroutine.resume", "coroutine.running",
  "coroutine.status", "coroutine.yield", "math", "math.abs", "math.exp", "math.floor", "math.huge", "math.max",
  "math.min", "string", "string.byte", "string.char", "string.find", "string.format", "string.gmatch",
  "string.gsub", "string.lower", "string.match", "string.sub", "table", "table.concat", "table.remove", "table.sort" }
-- What it does not need for the whole job.
local SPARE = { "_G", "_VERSION", "assert", "collectgarbage", "debug", "dofile", "getfenv", "jit", "load", "loadfile",
  "loadstring", "module", "newproxy", "os", "package", "print", "rawequal", "rawlen", "rawset", "setfenv", "utf8",
  "warn", "xpcall", "bit", "bit32", "io.popen", "io.write", "io.lines", "io.stderr", "math.random", "math.randomseed",
  "string.dump", "string.len", "string.rep", "string.reverse", "string.upper", "string metatable",
  "table.insert", "table.pack", "debug.traceback", "os.time", "os.remove", "os.rename", "os.getenv", "os.date" }

describe("in a sandbox", function()
  local sim, folder

  setup(function()
    sim = simulator.start { speed = 100, render = 1, credits = 1e6, rate = false }
    folder = helper.folder()
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    os.remove(folder .. "/video.mp4")
    helper.write(folder .. "/picture.png", "\137PNG")
  end)

  -- What the child says, in three words, and what its call was charged.
  local function run(when, dropped, call, home, prefix)
    local before = #select(2, sim:charges())
    local function quote(text) return "'" .. text .. "'" end
    local text = helper.output((prefix or "")
      .. table.concat({ helper.lua(), home and folder .. "/child.lua" or CHILD, when,
      quote(dropped), call, sim.url, sim.upload_url, sim.api_key, sim.source, folder, quote(home or "") }, " "))
    local word, message, more = text:match("^([^\t\n]*)\t(.*)\t([^\t\n]*)\n$")
    return { word = word or "no word", message = message or text, more = more,
      charges = #select(2, sim:charges()) - before }
  end

  local function saved(about, seen)
    assert.equal("done", seen.word, about .. ": " .. seen.message)
    assert.equal(1, seen.charges, about)
    assert.equal("ftyp", helper.read(folder .. "/video.mp4"):sub(5, 8))
    os.remove(folder .. "/video.mp4")
  end

  it("names what it needs when the client is made, whatever it is, and orders nothing", function()
    for _, when in ipairs { "before", "loaded" } do
      for _, name in ipairs(NEEDED) do
        local seen = run(when, name, "main")
        local about = when .. ", " .. name .. ": " .. seen.message
        assert.equal("raised", seen.word, about)
        assert.truthy(seen.message:find(name, 1, true), about)
        assert.equal(0, seen.charges, about)
      end
    end
  end)

  it("does the whole job without what it does not need", function()
    for _, name in ipairs(SPARE) do saved(name, run("before", name, "main")) end
    for _, when in ipairs { "before", "loaded", "made" } do
      saved(when, run(when, table.concat(SPARE, ","), "job"))
    end
  end)

  it("changes nothing by what it drops once the client is made", function()
    for _, name in ipairs(NEEDED) do saved(name, run("made", name, "job")) end
    for _, name in ipairs { "io", "os", "debug", "require", "io,os,debug,require,package", "string metatable" } do
      saved(name, run("made", name, "main"))
    end
  end)

  it("does everything after preload with nothing left at all", function()
    saved("main", run("preloaded", "all", "main"))
    saved("job", run("preloaded", "all", "job"))
    saved("ledger", run("preloaded", "all", "ledger"))
    for _, call in ipairs { "to_function", "upload", "callback", "misuse" } do
      local seen = run("preloaded", "all", call)
      assert.equal("done", seen.word, call .. ": " .. seen.message)
    end
    local seen = run("preloaded", "all", "chain")
    assert.equal("done", seen.word, seen.message)
    assert.equal(1, seen.charges)
    os.remove(folder .. "/chain.mp4")
    assert.equal("invalid", run("preloaded", "all", "invalid").word)
  end)

  -- when, dropped, call → code, what the message names
  local REFUSED = {
    { "before", "io", "download", "missing", "io.open" },
    { "before", "io.open", "download", "missing", "io.open" },
    { "before", "io", "chain", "missing", "io.open" },
    { "before", "io", "hops", "missing", "io.open" },
    { "before", "io", "ledger", "raised", "io.open" },
    { "before", "os", "ledger", "raised", "os.time" },
    { "before", "os.date", "ledger", "raised", "os.date" },
    { "before", "os", "hops", "missing", "os.date" },
    { "before", "os", "signed", "missing", "os.time" },
    { "loaded", "require", "main", "raised", "veo.preload" },
    { "made", "require", "chain", "missing", "veo.preload" },
    { "made", "require", "upload", "missing", "veo.preload" },
    { "made", "require", "callback", "missing", "veo.preload" },
    { "made", "require", "to_function", "missing", "veo.preload" },
  }
  for _, row in ipairs(REFUSED) do
    local when, dropped, call, code, names = (table.unpack or unpack)(row) -- luacheck: ignore
    it(("says %s for %s when %s was dropped, %s"):format(code, call, dropped, when), function()
      local seen = run(when, dropped, call)
      assert.equal(code, seen.word, seen.message)
      assert.truthy(seen.message:find(names, 1, true), seen.message)
      assert.equal(0, seen.charges)
    end)
  end

  it("goes without io where a file is not written", function()
    for _, call in ipairs { "to_function", "upload", "callback" } do
      local seen = run("before", "io", call)
      assert.equal("done", seen.word, call .. ": " .. seen.message)
    end
  end)

  it("gives events without a time, and errors without a traceback, that say so", function()
    assert.equal("untimed", run("before", "os", "main").more)
    os.remove(folder .. "/video.mp4")
    assert.equal("timed", run("before", "debug", "main").more)
    os.remove(folder .. "/video.mp4")
    local seen = run("before", "debug", "failing")
    assert.equal("done", seen.word, seen.message)
    assert.matches("no debug.traceback", seen.message)
  end)

  it("finds its rooms after the host has changed its folder only when it has loaded them", function()
    if not pcall(require, "lfs") then return pending("no LuaFileSystem here") end
    helper.write(folder .. "/child.lua", helper.read(CHILD))
    local path = "env LUA_PATH='lua/?.lua;lua/?/init.lua;;' "
    local seen = run("made", "print", "chain", "/", path)
    assert.equal("missing", seen.word, seen.message)
    assert.matches("veo.preload", seen.message)
    seen = run("preloaded", "print", "chain", "/", path)
    assert.equal("done", seen.word, seen.message)
    os.remove(folder .. "/chain.mp4")
  end)
end)

describe("the shipped library", function()
  local SHIPPED = "find lua/veo -name '*.lua' -not -path '*/simulator/*' -not -path '*/cli/*' -not -path "
    .. "'*/receiver/*' -not -name main.lua -not -name receiver.lua -not -name stdlib.lua"
  local METHODS = { byte = true, char = true, find = true, format = true, gmatch = true, gsub = true, len = true,
    lower = true, match = true, rep = true, reverse = true, sub = true, upper = true }
  local GLOBALS = {}
  for _, name in ipairs { "assert", "collectgarbage", "coroutine", "debug", "error", "getmetatable", "io", "ipairs",
    "load", "math", "next", "os", "package", "pairs", "pcall", "print", "rawequal", "rawget", "rawset", "require",
    "select", "setmetatable", "string", "table", "tonumber", "tostring", "type", "unpack", "xpcall" } do
    GLOBALS[name] = true
  end

  -- Calls fn(line, number) for each line of code, without comments and with strings emptied.
  local function each_line(path, fn)
    local number = 0
    for line in helper.read(path):gmatch("([^\n]*)\n") do
      number = number + 1
      local code = line:gsub("\\.", ""):gsub('"[^"]*"', '""'):gsub("'[^']*'", "''"):gsub("%-%-.*", "")
      fn(code, path .. ":" .. number .. ": " .. code)
    end
  end

  it("calls no method of a string", function()
    for path in helper.output(SHIPPED):gmatch("[^\n]+") do
      each_line(path, function(line, about)
        for receiver, name in line:gmatch("([%w_%]%)\"]*):(%l+)%s*[({\"']") do
          -- The ledger has a method `find` of its own.
          local own = name == "find" and (receiver:lower() == "ledger")
          assert.is_true(own or not METHODS[name], about)
        end
      end)
    end
  end)

  it("takes standard functions at the head of a file and looks none up later", function()
    for path in helper.output(SHIPPED):gmatch("[^\n]+") do
      local taken = {}
      each_line(path, function(line, about)
        -- What a function or a block looks up is looked up when it runs.
        local at_load = line:find("^local [%w_, ]+=") ~= nil
        for before, name, behind in (" " .. line):gmatch("([^%w_])([%a_][%w_]*)%f[^%w_](%s*=?=?)") do
          local is_use = before ~= "." and before ~= ":" and GLOBALS[name] and not behind:find("[^=]=$")
          if is_use and not taken[name] then
            assert.is_true(at_load or name == "require" and line:find("^%l") ~= nil, about)
          end
        end
        for name in (line:match("^local ([%w_, ]+)=") or ""):gmatch("[%w_]+") do taken[name] = true end
      end)
    end
  end)
end)
