-- The house: what is exported, how long a file may be, what stands at the top.

local helper = require "spec.support.helper"

local function lines_of(command)
  local lines = {}
  for line in helper.output(command):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

describe("the layout", function()
  it("exports exactly luaopen_veo_core", function()
    local build = os.getenv("VEO_BUILD") or "build/5.4"
    local names = lines_of("nm -D --defined-only " .. build .. "/veo/core.so | awk '{ print $3 }'")
    assert.same({ "luaopen_veo_core" }, names)
  end)

  it("pins the shared object, or a resolver thread would crash the host that unloads it", function()
    local build = os.getenv("VEO_BUILD") or "build/5.4"
    assert.matches("NODELETE", helper.output("readelf -d " .. build .. "/veo/core.so"))
  end)

  it("has nothing at the top but what the design names", function()
    local allowed = { Makefile = true, src = true, lua = true, rockspec = true, spec = true, examples = true,
      ["README.md"] = true, LICENSE = true, docs = true, ["CHANGELOG.md"] = true }
    for _, path in ipairs(lines_of "git ls-files 2>/dev/null") do
      local top = path:match("^[^/]+")
      assert.is_true(allowed[top] or top:sub(1, 1) == ".", "not in the design: " .. top)
    end
  end)

  it("holds nothing but lua/veo in lua, because LuaRocks installs the whole folder", function()
    assert.same({ "veo" }, lines_of "ls -A lua")
  end)

  it("keeps a file to one idea: about 300 lines of Lua, 500 of C", function()
    for _, path in ipairs(lines_of "find lua -name '*.lua'") do
      local _, count = helper.read(path):gsub("\n", "")
      assert.is_true(count <= 350, path .. " has " .. count .. " lines")
    end
    for _, path in ipairs(lines_of "find src -name '*.[ch]'") do
      local _, count = helper.read(path):gsub("\n", "")
      assert.is_true(count <= 500, path .. " has " .. count .. " lines")
    end
  end)

  -- Debian has no Lua 5.5, and 5.4 refuses to assign to a constant: one of the same name stands in front of each body.
  it("assigns to no loop's first variable, or Lua 5.5 could not read it", _VERSION >= "Lua 5.4" and function()
    local function fixed(head, name, tail)
      return ("%s%s%s local %s <const> = %s "):format(head, name, tail, name, name)
    end
    for _, path in ipairs(lines_of "find lua examples spec -name '*.lua'") do
      local code = helper.read(path):gsub("^#[^\n]*", ""):gsub("\n%s*%-%-[^\n]*", "")
      for _, tail in ipairs { "([%w_, ]*%sin%f[%W].-%f[%w_]do%f[^%w_])", "(%s*=.-%f[%w_]do%f[^%w_])" } do
        code = code:gsub("(%f[%w_]for%s+)([%a_][%w_]*)" .. tail, fixed)
      end
      local read, problem = load(code, "@" .. path)
      assert.is_truthy(read, problem)
    end
  end or nil)

  it("leaves the program's globals and math.random alone", function()
    local script = [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      math.randomseed(42)
      local first = math.random(1e9)
      math.randomseed(42)
      local veo = require "veo"
      local client = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:1",
        retry = { base = 0.001 } }
      client:status("t")
      client:spawn(function() client:sleep(0) end):wait()
      client:close()
      assert(math.random(1e9) == first, "the dice were thrown")
      for name in pairs(_G) do assert(before[name], "a new global: " .. tostring(name)) end
      io.write("clean")]]
    local folder = helper.folder()
    helper.write(folder .. "/x.lua", script)
    assert.equal("clean", helper.output(helper.lua() .. " " .. folder .. "/x.lua"))
    helper.sweep()
  end)

  it("has the public methods that the design names", function()
    local veo = require "veo"
    assert.equal("function", type(veo.new))
    local client = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:1" }
    for _, name in ipairs { "extend", "status", "wait", "download", "extend_and_wait", "extend_and_save", "credits",
      "spawn", "step", "run", "sleep", "pollfd", "events", "timeout", "warm", "close" } do
      assert.equal("function", type(client[name]), name)
    end
    local job = client:spawn(function() end)
    for _, name in ipairs { "status", "result", "wait", "cancel" } do
      assert.equal("function", type(job[name]), name)
    end
    client:close()
    local core = require "veo.core"
    for _, name in ipairs { "new", "now" } do assert.equal("function", type(core[name]), name) end
  end)

  -- A busy machine takes seconds where a quiet one takes none, and a spec that leans on it fails without having found
  -- anything. A spec waits for the event (helper.wait_until), compares two things of one run, or counts. What must not
  -- sleep is given 60 s to sleep, and a bound of 10 s and more.
  it("asks of no spec that it be quick", function()
    local found = {}
    local function check(path, line, number)
      if tonumber(number) and tonumber(number) < 10 then found[#found + 1] = path .. ": " .. line:match "^%s*(.*)" end
    end
    for _, path in ipairs(lines_of "find spec -name '*_spec.lua' -o -name '*_suite.lua'") do
      local elapsed = { ELAPSED = true }
      for line in io.lines(path) do
        local short = line:gsub("[%w_.]*now%(%) %- [%w_.]+", "ELAPSED"):gsub("[%w_.]*time%(%) %- [%w_.]+", "ELAPSED")
        local name = short:match "local ([%w_]+) = ELAPSED"
        if name then elapsed[name] = true end
        for left, number in short:gmatch "%f[%w_]([%w_]+) <=? ([%d.]+)" do
          if elapsed[left] then check(path, line, number) end
        end
        check(path, line, short:match "deadline = [%w_.]*%(%) %+ ([%d.]+)")
        check(path, line, short:match ":wait%(([1-9][%d.]*)%)")
      end
    end
    assert.same({}, found)
  end)

  it("prints nothing and touches no global in what it ships", function()
    local ours = "find lua/veo -name '*.lua' ! -path '*simulator*' ! -path '*/cli/*' ! -name main.lua"
    for _, path in ipairs(lines_of(ours)) do
      local text = helper.read(path):gsub("%-%-[^\n]*", "")
      assert.is_nil(text:find("[^%w_.:]print%s*[(\"']"), path .. " prints")
      assert.is_nil(text:find("io%.write%s*%("), path .. " writes to standard output")
    end
  end)
end)
