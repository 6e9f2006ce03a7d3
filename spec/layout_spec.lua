-- The house: what is exported, who may call whom, how long a file may be, what stands at the top.

local kit = require "spec.support.kit"

local function lines_of(command)
  local lines = {}
  for line in kit.output(command):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

-- module → the modules of ours it requires, from the text of each file in lua/veo.
local function requires()
  local graph = {}
  for _, path in ipairs(lines_of "find lua/veo -name '*.lua'") do
    local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
    local text = kit.read(path):gsub("%-%-[^\n]*", "")
    local uses = {}
    for how, used in text:gmatch("(%a+)%s*%(?%s*[\"'](veo[%w_.]*)[\"']") do
      if how == "require" or how == "lazy" then uses[used] = true end
    end
    for folder in text:gmatch("require%s*%(%s*[\"'](veo[%w_.]*%.)[\"']%s*%.%.") do uses[folder] = true end
    graph[name] = uses
  end
  return graph
end

-- Rooms from the ground up; a room may use its own floor's files inside its folder, and whatever is below.
local FLOORS = {
  { "veo.core" },
  { "veo.errors", "veo.lazy", "veo.needs", "veo.util" },
  { "veo.wire" },
  { "veo.retry", "veo.outage", "veo.scarce", "veo.limiter", "veo.timers", "veo.yieldable", "veo.teller", "veo.traces" },
  { "veo.job", "veo.ledger", "veo.money", "veo.places", "veo.progress", "veo.shield",
    "veo.interrupted", "veo.turns" },
  { "veo.scheduler", "veo.options", "veo.sheltered", "veo.earlier", "veo.gate", "veo.naming", "veo.orphan" },
  { "veo.free", "veo.record", "veo.once", "veo.submit", "veo.wait", "veo.download", "veo.upload", "veo.upgrade",
    "veo.webhook" },
  { "veo.chain", "veo.resume", "veo.adopt", "veo.unsigned", "veo.settle", "veo.many", "veo.whole", "veo.prune" },
  { "veo.client" },
  { "veo" },
  { "veo.cli", "veo.main" },
}

local function floor_of(module)
  local best, length
  for floor, names in ipairs(FLOORS) do
    for _, name in ipairs(names) do
      local inside = module == name or name ~= "veo" and module:sub(1, #name + 1) == name .. "."
      if inside and (not length or #name > length) then best, length = floor, #name end
    end
  end
  return best
end

describe("the layout", function()
  it("exports exactly luaopen_veo_core", function()
    local build = os.getenv("VEO_BUILD") or "build/5.4"
    local names = lines_of("nm -D --defined-only " .. build .. "/veo/core.so | awk '{ print $3 }'")
    assert.same({ "luaopen_veo_core" }, names)
  end)

  it("pins the shared object, or a resolver thread would crash the host that unloads it", function()
    local build = os.getenv("VEO_BUILD") or "build/5.4"
    assert.matches("NODELETE", kit.output("readelf -d " .. build .. "/veo/core.so"))
  end)

  it("has nothing at the top but what the design names", function()
    local allowed = { Makefile = true, src = true, lua = true, rockspec = true, spec = true, examples = true,
      ["README.md"] = true, LICENSE = true, ["CHANGELOG.md"] = true }
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
      local _, count = kit.read(path):gsub("\n", "")
      assert.is_true(count <= 350, path .. " has " .. count .. " lines")
    end
    for _, path in ipairs(lines_of "find src -name '*.[ch]'") do
      local _, count = kit.read(path):gsub("\n", "")
      assert.is_true(count <= 500, path .. " has " .. count .. " lines")
    end
  end)

  -- Debian has no Lua 5.5, and 5.4 refuses to assign to a constant: one of the same name stands in front of each body.
  it("assigns to no loop's first variable, or Lua 5.5 could not read it", _VERSION >= "Lua 5.4" and function()
    local function fixed(head, name, tail)
      return ("%s%s%s local %s <const> = %s "):format(head, name, tail, name, name)
    end
    for _, path in ipairs(lines_of "find lua examples spec -name '*.lua'") do
      local code = kit.read(path):gsub("^#[^\n]*", ""):gsub("\n%s*%-%-[^\n]*", "")
      for _, tail in ipairs { "([%w_, ]*%sin%f[%W].-%f[%w_]do%f[^%w_])", "(%s*=.-%f[%w_]do%f[^%w_])" } do
        code = code:gsub("(%f[%w_]for%s+)([%a_][%w_]*)" .. tail, fixed)
      end
      local read, problem = load(code, "@" .. path)
      assert.is_truthy(read, problem)
    end
  end or nil)

  describe("has arrows that point downwards only:", function()
    local graph = requires()

    it("no room requires one above it", function()
      for module, uses in pairs(graph) do
        local from = floor_of(module)
        if from and not module:find("^veo%.simulator") then
          for used in pairs(uses) do
            local to = floor_of(used)
            assert.is_true(not to or to <= from, module .. " requires " .. used .. ", which is above it")
          end
        end
      end
    end)

    it("no circle", function()
      local state = {}
      local function visit(module, path)
        if state[module] == "done" or not graph[module] then return end
        assert.is_nil(state[module], "a circle: " .. path .. " → " .. module)
        state[module] = "open"
        for used in pairs(graph[module]) do visit(used, path .. " → " .. module) end
        state[module] = "done"
      end
      for module in pairs(graph) do visit(module, "") end
    end)

    it("the simulator and the client do not know each other", function()
      for module, uses in pairs(graph) do
        local inside = module:find("^veo%.simulator") ~= nil
        for used in pairs(uses) do
          if inside then
            assert.is_true(used:find("^veo%.simulator") ~= nil or used:find("^veo%.util%.") ~= nil,
              module .. " requires " .. used)
          elseif module:find("^veo%.client") or module == "veo" then
            assert.is_nil(used:find("^veo%.simulator"), module .. " requires " .. used)
          end
        end
      end
    end)

    it("errors and the wire stand on nothing that waits", function()
      for module, uses in pairs(graph) do
        if module == "veo.errors" or module:find("^veo%.wire") then
          for used in pairs(uses) do
            assert.is_true(used == "veo.errors" or used == "veo.util.visible" or used:find("^veo%.wire") ~= nil,
              module .. " requires " .. used)
          end
        end
      end
    end)
  end)

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
    local folder = kit.folder()
    kit.write(folder .. "/x.lua", script)
    assert.equal("clean", kit.output(kit.lua() .. " " .. folder .. "/x.lua"))
    kit.sweep()
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

  it("prints nothing and touches no global in what it ships", function()
    local ours = "find lua/veo -name '*.lua' ! -path '*simulator*' ! -path '*/cli/*' ! -name main.lua"
    for _, path in ipairs(lines_of(ours)) do
      local text = kit.read(path):gsub("%-%-[^\n]*", "")
      assert.is_nil(text:find("[^%w_.:]print%s*[(\"']"), path .. " prints")
      assert.is_nil(text:find("io%.write%s*%("), path .. " writes to standard output")
    end
  end)
end)
