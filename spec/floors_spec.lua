-- The floors of the house: who may require whom. A module's floor follows from its folder, so that none is without one.
-- It may use its own floor and those below.

local helper = require "spec.support.helper"

local FLOORS = {
  { "veo.core" },
  { "veo.errors", "veo.util" },
  { "veo.wire" },
  { "veo.policy" },
  { "veo.async" },
  { "veo.ledger", "veo.webhook" },
  { "veo.task" },
  { "veo.client" },
  { "veo", "veo.money" }, -- veo.money says where its prices are now
  { "veo.main", "veo.cli", "veo.receiver", "veo.simulator" },
}
local ENTRANCES = #FLOORS

-- What stands beside its folder, or has none; all others are in one.
local FACES = { ["veo"] = true, ["veo.errors"] = true, ["veo.wire"] = true, ["veo.ledger"] = true,
  ["veo.webhook"] = true, ["veo.client"] = true, ["veo.money"] = true, ["veo.main"] = true, ["veo.receiver"] = true,
  ["veo.simulator"] = true, ["veo.core"] = true }

-- What an entrance may use beside its own folder and util.
local FACE = { ["veo"] = true, ["veo.errors"] = true, ["veo.webhook"] = true, ["veo.receiver"] = true,
  ["veo.simulator"] = true }

-- These require by a name that is computed: what it may be cannot be read here, and is none of ours, but for the rooms
-- of the command, which are read.
local COMPUTED = { ["veo"] = true, ["veo.main"] = true, ["veo.util.lazy"] = true, ["veo.ledger.driver"] = true }

local function lines_of(command)
  local lines = {}
  for line in helper.output(command):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local function without_comments(text)
  return (("\n" .. text):gsub("%-%-%[%[.-%]%]", ""):gsub("%-%-[^\n]*", ""))
end

-- The names that a name is put together from: those of a list that is walked over, or the values of a table that is
-- indexed. Nil where they cannot be read.
local function names_in(text, expression)
  local name, index = expression:match("^%s*([%a_][%w_]*)%s*(%[?)")
  if not name then return nil end
  local list = index == "" and text:match("for%s+[%w_]+%s*,%s*" .. name .. "%s+in%s+ipairs%s*(%b{})")
    or index == "[" and text:match("local%s+" .. name .. "%s*=%s*(%b{})")
  if not list then
    local from = index == "" and text:match("local%s+" .. name .. "%s*=%s*([%w_]+%s*%[)")
    return from and names_in(text, from)
  end
  local names = {}
  for found in list:gmatch("[\"']([%w_.]+)[\"']") do names[#names + 1] = found end
  return names
end

-- The modules of ours that a text requires: now, when first used (`lazy`), in pcall, and those whose names are put
-- together. What cannot be read is told.
local function uses_of(text)
  local uses, unread = {}, {}
  text = without_comments(text)
  for word, at in text:gmatch("%f[%w_.:\"'](%l+)%f[^%w_]()") do
    local rest = text:sub(at, at + 200)
    if word == "require" or word == "lazy" or word == "pcall" and rest:find("^%s*%(%s*require%s*,") then
      rest = rest:gsub("^%s*%(%s*require%s*,", "("):gsub("^%.room", "")
      local argument = rest:match("^%s*%(%s*(.*)") or rest:match("^%s*([\"'].*)") -- else it is no call
      local quoted, joined = (argument or ""):match("^[\"']([%w_.%-]*)[\"']%s*(%.?%.?)")
      if quoted and joined == ".." then
        local names = names_in(text, argument:match("%.%.(.*)"))
        for _, name in ipairs(names or {}) do uses[quoted .. name] = true end
        if not names then unread[#unread + 1] = word .. rest:match("^[^\n]*") end
      elseif quoted then
        if quoted:find("^veo%f[^%w]") then uses[quoted] = true end
      elseif argument then
        unread[#unread + 1] = word .. rest:match("^[^\n]*")
      end
    end
  end
  return uses, unread
end

-- The declarations of meta are never loaded.
local function read_all()
  local texts, graph, unread = {}, {}, {}
  for _, path in ipairs(lines_of "find lua/veo -name '*.lua' ! -path '*/meta/*'") do
    texts[path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")] = helper.read(path)
  end
  for module, text in pairs(texts) do
    graph[module], unread[module] = uses_of(text)
  end
  return graph, unread, texts
end

-- The number of its floor; nil for a module that stands in no room.
local function floor_of(module)
  local room = FACES[module] and module or module:match("^(veo%.[%w_]+)%.")
  for floor, rooms in ipairs(FLOORS) do
    for _, name in ipairs(rooms) do
      if name == room then return floor end
    end
  end
  return nil
end

local function room_of(module) return module:match("^veo%.([%w_]+)") or "" end

-- The first circle of a graph, as text.
local function circle_in(graph)
  local state, found = {}, nil
  local function visit(node, path)
    if found or state[node] == "done" or not graph[node] then return end
    if state[node] then
      found = path .. " > " .. node
      return
    end
    state[node] = "open"
    for used in pairs(graph[node]) do visit(used, path .. " > " .. node) end
    state[node] = "done"
  end
  for node in pairs(graph) do visit(node, "") end
  return found
end

describe("the floors", function()
  local graph, unread = read_all()

  it("reads each form of require", function()
    local function read(text)
      local uses, left = uses_of(text)
      local names = {}
      for name in pairs(uses) do names[#names + 1] = name end
      table.sort(names)
      return table.concat(names, " ") .. (left[1] and " unread" or "")
    end
    assert.equal("veo.a", read 'local a = require "veo.a"')
    assert.equal("veo.a veo.b", read "local a, b = require('veo.a').x, require\t( 'veo.b' )")
    assert.equal("veo.a", read 'local a = lazy "veo.a"')
    assert.equal("veo.a", read 'local a = lazy.room "veo.a"')
    assert.equal("veo.a", read 'local ok, a = pcall(require, "veo.a")')
    assert.equal("veo.client.a veo.client.b",
      read 'for _, room in ipairs { "a", "b" } do require("veo.client." .. room)(Client) end')
    assert.equal("veo.cli.a", read 'local ROOMS = { x = "a" } require("veo.cli." .. ROOMS[command]).run()')
    assert.equal("veo.cli.a", read 'local ROOMS = { x = "a" } local room = ROOMS[x] lazy("veo.cli." .. room)')
    assert.equal(" unread", read 'require("veo.cli." .. room)')
    assert.equal("", read 'local pcall, require = pcall, require -- require "veo.a"')
    assert.equal("", read 'local json = require("cjson.safe").new()')
    assert.equal(" unread", read "pcall(require, name)")
    assert.equal(" unread", read "local a = require(name)")
  end)

  it("finds more than a hundred modules, and what they use", function()
    local count, arrows = 0, 0
    for _, uses in pairs(graph) do
      count = count + 1
      for _ in pairs(uses) do arrows = arrows + 1 end
    end
    assert.is_true(count > 100 and arrows > 300, count .. " modules, " .. arrows .. " arrows")
    assert.is_true(graph["veo.client"]["veo.client.tasks"]) -- computed
    assert.is_true(graph["veo.client.orders"]["veo.task.chain"]) -- lazy
  end)

  it("leave no module without a floor, and no require unread", function()
    for module in pairs(graph) do
      assert.is_truthy(floor_of(module), module .. " has no floor: it belongs in a room of design's house")
      for _, line in ipairs(COMPUTED[module] and {} or unread[module]) do error(module .. ": " .. line) end
    end
  end)

  it("have arrows that point downwards only", function()
    for module, uses in pairs(graph) do
      for used in pairs(uses) do
        local to = floor_of(used)
        assert.is_truthy(to, module .. " requires " .. used .. ", which has no floor")
        assert.is_true(to <= floor_of(module), module .. " requires " .. used .. ", which is above it")
        assert.is_truthy(graph[used] or used == "veo.core", module .. " requires " .. used .. ", which is not there")
      end
    end
  end)

  it("have no circle", function()
    assert.is_nil(circle_in(graph))
  end)

  it("let an entrance use the face, util and its own room alone", function()
    for module, uses in pairs(graph) do
      for used in pairs(floor_of(module) == ENTRANCES and uses or {}) do
        local own = room_of(used) == room_of(module) or module == "veo.main" and room_of(used) == "cli"
        if not own and not FACE[used] and room_of(used) ~= "util" then
          error(module .. " requires " .. used .. ", which is past the face")
        end
      end
    end
  end)

  it("keep the simulator and the client from knowing each other", function()
    for module, uses in pairs(graph) do
      for used in pairs(uses) do
        if room_of(module) == "simulator" then
          assert.is_true(room_of(used) == "simulator" or room_of(used) == "util", module .. " requires " .. used)
        elseif room_of(used) == "simulator" then
          assert.equal(ENTRANCES, floor_of(module), module .. " requires " .. used)
        end
      end
    end
  end)

  -- A web server's Lua can read callbacks without a core, and what an answer means needs no exchange.
  it("keep the core out of util, errors, wire and webhook", function()
    local reached = {}
    local function reach(module)
      if reached[module] then return end
      reached[module] = true
      for used in pairs(graph[module] or {}) do reach(used) end
    end
    for module in pairs(graph) do
      if (floor_of(module) or 9) <= 3 or module == "veo.webhook" then reach(module) end
    end
    assert.is_nil(reached["veo.core"])
  end)
end)

-- One field, one file that writes it ----------------------------------------------------------------------------------

-- Tables that several files share, by the names that they have there. A job is a waiter too.
local SHARED = { scheduler = "scheduler", job = "job", waiter = "job", current = "job", for_job = "job",
  sleeper = "job", ctx = "context" }
-- Whose methods stand in a file: what `self` is there.
local SELF = { ["veo.async.job"] = "job" }
for _, part in ipairs { "scheduler", "cleanup", "critical", "failures", "loop", "recovery", "waiting" } do
  SELF["veo.async." .. part] = "scheduler"
end

local SPLIT = { ["then"] = true, ["do"] = true, ["else"] = true, ["repeat"] = true, ["end"] = true }

-- The statements of a text, one a line, without what strings say.
local function statements_of(text)
  return (without_comments(text):gsub("\\.", ""):gsub('"[^"\n]*"', '""'):gsub("'[^'\n]*'", "''"):gsub(";", "\n")
    :gsub("%f[%w_]function[^(\n]*%b()", "%0\n")
    :gsub("%f[%w_](%l+)%f[^%w_]", function(word) return SPLIT[word] and word .. "\n" or nil end))
end

-- The fields of shared tables that a text assigns to, as "context.closed"; also by a local name for what such a field
-- holds. A table's own constructor makes it and is no such assignment.
local function fields_written(module, text)
  local written, aliases = {}, {}
  local function field_of(path)
    local names = {}
    for name in path:gsub("%b[]", ".[]"):gmatch("[%w_%[%]]+") do names[#names + 1] = name end
    for at = #names - 1, 1, -1 do
      local class = SHARED[names[at]] or at == 1 and names[at] == "self" and SELF[module]
      if class and names[at + 1] ~= "[]" then return class .. "." .. names[at + 1] end
    end
    return names[2] and aliases[names[1]]
  end
  local function list(part)
    local items = {}
    for item in part:gsub("%b[]", "[]"):gmatch("[^,]+") do items[#items + 1] = item:match("^%s*(.-)%s*$") end
    return items
  end
  for line in statements_of(text):gmatch("[^\n]+") do
    local left, right = line:match("^%s*([%a_][%w_%.,%s%[%]#%+%-\"']*)=([^=]*)")
    local names = left and left:match("^local%s+(.*)")
    if names then
      local values = list(right)
      for i, name in ipairs(list(names)) do
        local value = values[i] or ""
        aliases[name] = not SHARED[name] and value:find("^[%w_.]+$") and field_of(value) or nil
      end
    elseif left then
      for _, path in ipairs(list(left)) do
        local field = path:find("^[%a_][%w_.%[%]]*$") and field_of(path)
        if field then written[field] = true end
      end
    end
  end
  return written
end

describe("a field of the scheduler, of a job and of the context", function()
  local _, _, texts = read_all()

  local documented = {}
  for class, modules in pairs { context = { "client.context" }, scheduler = { "async.scheduler" },
    job = { "async.job", "async.waiting" } } do
    for _, module in ipairs(modules) do
      for name in texts["veo." .. module]:gmatch("\n%-%-%-@field ([%w_]+)") do
        documented[class .. "." .. name] = true
      end
    end
  end

  it("is found where it is written", function()
    local function read(text, module)
      local names = {}
      for name in pairs(fields_written(module or "veo.task.x", text)) do names[#names + 1] = name end
      table.sort(names)
      return table.concat(names, " ")
    end
    assert.equal("context.closed", read "ctx.closed = true")
    assert.equal("job.state job.values", read "  job.state, job.values = state, values")
    assert.equal("scheduler.alarm", read "if x then self.ctx.scheduler.alarm = 0 end")
    assert.equal("scheduler.jobs", read "scheduler.jobs[job] = nil")
    assert.equal("scheduler.count", read("function M:x(a) self.count = self.count + 1 end", "veo.async.loop"))
    assert.equal("", read "function M:x(a) self.count = self.count + 1 end")
    assert.equal("job.shielded", read "scheduler.current.shielded = true")
    assert.equal("context.saving", read "local saving = ctx.saving\nsaving[taskId] = 1")
    assert.equal("", read "local job = { job = ctx.scheduler, state = 1 }\nif job.state == 2 then return job.state end")
    assert.equal("", read "local state = job.state -- job.state = 2")
  end)

  it("is written by one file, and documented", function()
    local writers, fields = {}, 0
    for module, text in pairs(texts) do
      if (floor_of(module) or ENTRANCES) < ENTRANCES then
        for field in pairs(fields_written(module, text)) do
          fields = writers[field] and fields or fields + 1
          local other = writers[field]
          assert.is_nil(other, other and ("%s is written by %s and by %s"):format(field, module, other))
          writers[field] = module
        end
      end
    end
    assert.is_true(fields > 35, fields .. " fields")
    for field in pairs(writers) do
      assert.is_true(documented[field], field .. " is in no ---@field of its class")
    end
    assert.equal("veo.async.waiting", writers["scheduler.current"])
    assert.equal("veo.task.watch", writers["context.watching"])
  end)
end)

describe("the files of the core", function()
  -- A file and its header are one.
  local texts = {}
  for _, path in ipairs(lines_of "find src -name '*.[ch]'") do
    local unit = path:match("([%w_]+)%.%a$"):gsub("^poller_.*", "poller")
    texts[unit] = (texts[unit] or "") .. "\n" .. helper.read(path):gsub("/%*.-%*/", "")
      :gsub("\n%a[^\n;{]-%b();", "\n") -- a function that is declared is not called
  end

  local function graph_of(pattern, owner_of)
    local graph, arrows = {}, 0
    for unit, text in pairs(texts) do
      graph[unit] = {}
      for word in text:gmatch(pattern) do
        local used = owner_of(word)
        if used and used ~= unit and not graph[unit][used] then
          graph[unit][used] = true
          arrows = arrows + 1
        end
      end
    end
    return graph, arrows
  end

  it("include each other in no circle", function()
    local graph, arrows = graph_of('#include "([%w_]+)%.h"', function(name) return name end)
    assert.is_true(arrows > 80, arrows .. " arrows")
    assert.is_nil(circle_in(graph))
  end)

  it("call each other in no circle", function()
    local defined = {}
    for unit, text in pairs(texts) do
      for name in text:gmatch("\n%a[^\n;]-%f[%w_](veo_[%w_]+)%b()%s*{") do defined[name] = unit end
    end
    local graph, arrows = graph_of("%f[%w_]veo_[%w_]+", function(name) return defined[name] end)
    assert.is_true(graph.client.engine and graph.pool.engine and graph.ends.connections)
    assert.is_true(arrows > 80, arrows .. " arrows")
    assert.is_nil(circle_in(graph))
  end)
end)
