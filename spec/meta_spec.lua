-- lua/veo/meta/ is what an editor reads: what it declares is there, and what is there it declares.

local core = require "veo.core"
local effects = require "veo.simulator.effects"
local errors = require "veo.errors"
local helper = require "spec.support.helper"
local options = require "veo.client.options"
local retry = require "veo.policy.retry"
local simulator = require "veo.simulator"
local sim_options = require "veo.simulator.options"
local veo = require "veo"
local wire = require "veo.wire"
local unpack = table.unpack or unpack

-- The classes of the files: fields by name, each with its type, what is said of it and its default; methods by name with
-- their parameters; parents. And the words of each alias.
local function read_all()
  local classes, aliases = {}, {}
  for path in helper.output("find lua/veo/meta -name '*.lua'"):gmatch("[^\n]+") do
    local text = helper.read(path)
    assert.matches("^%-%-%-@meta", text)
    local class, alias
    local locals = {}
    for line in text:gmatch("[^\n]*") do
      local name, parents = line:match("^%-%-%-@class ([%w_.]+):?%s*(.*)$")
      local field, optional, rest = line:match("^%-%-%-@field ([%w_]+)(%??) (.+)$")
      local owner, method, params = line:match("^function ([%w_]+)[.:]([%w_]+)(%b()) end$")
      if name then
        class = classes[name] or { fields = {}, methods = {}, parents = {} }
        classes[name] = class
        for parent in parents:gmatch("[%w_.]+") do class.parents[#class.parents + 1] = parent end
      elseif line:find("^%-%-%-@alias") then
        local called, words = line:match("^%-%-%-@alias ([%w_.]+)(.*)$")
        alias = {}
        aliases[called] = alias
        for word in words:gmatch('"([^"]+)"') do alias[word] = true end
      elseif line:find("^%-%-%-|") then
        local word, about = line:match('^%-%-%-| "([^"]+)" # (.+)$')
        alias[word] = about
      elseif field then
        assert.is_nil(class.fields[field], path .. ": twice: " .. field)
        class.fields[field] = { optional = optional == "?", text = rest, default = rest:match("%(default: (.-)%)") }
      elseif line:find("^local [%w_]+ = {}$") then
        locals[line:match("^local ([%w_]+)")] = class
      elseif owner then
        assert.is_nil(locals[owner].methods[method], path .. ": twice: " .. method)
        local names = {}
        for param in params:gmatch("[%w_.]+") do names[#names + 1] = param end
        locals[owner].methods[method] = names
      end
    end
  end
  return classes, aliases
end

local classes, aliases = read_all()

local function fields_of(name)
  local all = {}
  local class = assert(classes[name], "no class " .. name)
  for _, parent in ipairs(class.parents) do
    for field, about in pairs(classes[parent] and fields_of(parent) or {}) do all[field] = about end
  end
  for field, about in pairs(class.fields) do all[field] = about end
  return all
end

local function names_of(...)
  local list = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do list[#list + 1] = tostring(name) end
  end
  table.sort(list)
  for i = #list, 2, -1 do
    if list[i] == list[i - 1] then table.remove(list, i) end
  end
  return list
end

local function assert_names(class, ...) assert.same(names_of(...), names_of(fields_of(class)), class) end

describe("the types declare", function()
  local client, sim

  setup(function()
    sim = simulator.start { speed = 10000 }
    client = helper.client(sim)
  end)
  teardown(function()
    client:close()
    sim:stop()
    helper.sweep()
  end)

  it("every option, with the default that the code has", function()
    local GROUPS = options.GROUPS
    local WITH_RETRY = { retry = true }
    local GROUPED = { wait = true, download = true }
    local RETRY, BUDGET = retry.defaults, retry.defaults.budget
    for class, case in pairs {
      ["veo.Options"] = { { options.new, GROUPS, WITH_RETRY }, options.defaults },
      ["veo.RetryOptions"] = { { RETRY }, RETRY },
      ["veo.RetryBudget"] = { { BUDGET }, BUDGET },
      ["veo.RateOptions"] = { { GROUPS.rate }, options.defaults.rate },
      ["veo.WaitOptions"] = { { GROUPS.wait }, options.defaults.wait },
      ["veo.DownloadOptions"] = { { GROUPS.download }, options.defaults.download },
      ["veo.UpgradeOptions"] = { { GROUPS.upgrade }, options.defaults.upgrade },
      ["veo.UploadOptions"] = { { GROUPS.upload }, options.defaults.upload },
      ["veo.FreeOptions"] = { { options.free, WITH_RETRY } },
      ["veo.OrderOptions"] = { { options.submit, WITH_RETRY } },
      ["veo.SettleOptions"] = { { options.settle, options.free, WITH_RETRY } },
      ["veo.SaveOptions"] = { { options.wait, options.download, GROUPED } },
      ["veo.ExtendAndSaveOptions"] = { { options.save, options.wait, options.download, GROUPED, WITH_RETRY } },
      ["veo.ResumeOptions"] = { { options.resume, options.wait, options.download, GROUPED, WITH_RETRY } },
      ["veo.ChainParams"] = { { options.chain, options.wait, options.download, GROUPED, WITH_RETRY, { taskId = 1,
        prompts = 1, model = 1, seeds = 1, watermark = 1, callBackUrl = 1, extra = 1 } } },
      ["veo.CheckPathOptions"] = { { { overwrite = 1, mkdir = 1 } } },
      ["veo.UpgradeTaskOptions"] = { { options.submit, options.upgrade, WITH_RETRY, { upgrade = 1, index = 1,
        callBackUrl = 1, extra = 1 } } },
      ["veo.WaitEachOptions"] = { { options.wait, options.many, { wait = 1 } } },
      ["veo.MapOptions"] = { { options.many } },
      ["veo.PruneOptions"] = { { options.prune } },
      ["veo.SpentFilter"] = { { options.spent } },
      ["veo.CallbackOptions"] = { { options.callback } },
      ["veo.simulator.Options"] = { { sim_options.defaults }, sim_options.defaults },
    } do
      assert_names(class, unpack(case[1]))
      for name, about in pairs(classes[class].fields) do
        local default = case[2] and case[2][name]
        if type(default) == "table" then default = nil end
        if type(default) == "string" then default = '"' .. default .. '"' end
        assert.equal(default ~= nil and tostring(default) or nil, about.default, class .. "." .. name)
      end
    end
  end)

  it("what the code takes in tables of its own", function()
    local budget = require "veo.policy.budget"
    local function unknown(kind, class)
      for name in pairs(fields_of(class)) do assert.is_nil(kind.within { [name] = 1 }, class .. "." .. name) end
      assert.is_truthy(kind.within { other = 1 })
    end
    unknown(budget.prices_kind, "veo.Prices")
    unknown(budget.limit_kind, "veo.CreditLimits")
    for name in pairs(veo.prices) do assert.is_truthy(fields_of("veo.Prices")[name], name) end
    local problem = require("veo.ledger").filter_problem
    for name in pairs(fields_of "veo.TaskFilter") do
      assert.is_nil((problem { [name] = 1 } or ""):find("unknown", 1, true), name)
    end
    local receiver = helper.read("lua/veo/receiver.lua"):match("local OPTIONS = (%b{})")
    local taken = {}
    for name in receiver:gmatch("([%w_]+) = [a{]") do taken[name] = true end
    assert_names("veo.receiver.Options", taken)
    local uploaded = helper.read("lua/veo/client/media.lua"):match("local UPLOADED = (%b{})")
    taken = {}
    for name in uploaded:gmatch("([%w_]+) = true") do taken[name] = true end
    assert_names("veo.UploadSource", taken)
    taken = {}
    for name in helper.read("src/client.c"):match('"base_url", "api_key".-NULL'):gmatch('"([%w_]+)"') do
      taken[name] = true
    end
    assert_names("veo.core.Options", taken)
  end)

  it("what the service takes of an order", function()
    for operation, class in pairs { extend = "veo.ExtendParams", generate = "veo.GenerateParams" } do
      local fields = { extra = true }
      for _, field in ipairs(wire.veo.operations[operation].fields) do
        fields[field.name] = true
        assert.equal(not field.required, fields_of(class)[field.name].optional, field.name)
      end
      assert_names(class, fields)
    end
    assert.same(names_of(fields_of "veo.ExtendParams"), names_of(fields_of "veo.ExtendTaskParams"))
  end)

  it("every code of an error, and what it means", function()
    local summaries = {}
    for code, class in pairs(errors.codes) do summaries[code] = class.summary end
    assert.same(summaries, aliases["veo.ErrorCode"])
  end)

  -- Names that are given to errors.new, or set later, anywhere.
  it("every field of an error", function()
    local declared, given = fields_of "veo.Error", {}
    for path in helper.output("find lua/veo -name '*.lua' ! -path '*/simulator/*' ! -path '*/cli/*' ! -path '*/meta/*'")
      :gmatch("[^\n]+") do
      local text = helper.read(path)
      for fields in text:gmatch("errors%.new ?%(?(%b{})") do
        for name in fields:gsub('"[^"]*"', '""'):gsub("%b()", ""):gmatch("([%a_][%w_]*)%s*=[^=]") do
          given[name] = path
        end
      end
      for left in text:gmatch("\n%s*(err%.[%w_., ]*)=[^=]") do
        for name in left:gmatch("%f[%w_]err%.([%a_][%w_]*)") do given[name] = path end
      end
    end
    for name, path in pairs(given) do
      assert.is_truthy(declared[name] or classes["veo.Error"].methods[name], path .. ": err." .. name)
    end
    for name in pairs(declared) do
      assert.is_truthy(given[name] or name == "recordId" or name == "location", "nobody sets err." .. name)
    end
  end)

  it("every rule of the simulator", function()
    assert_names("veo.simulator.Rule", effects.known, effects.conditions, { on = 1 })
    assert.same(names_of(aliases["veo.simulator.Endpoint"]), (function()
      local list = { unpack(effects.endpoints) }
      table.sort(list)
      return list
    end)())
    for name, kind in pairs(effects.known) do
      local words = {}
      for word in fields_of("veo.simulator.Rule")[name].text:match("^%S+"):gmatch('"([^"]+)"') do words[word] = true end
      local wanted = {}
      for _, word in ipairs(kind.names or {}) do wanted[word] = true end
      assert.same(names_of(wanted), names_of(words), name)
    end
  end)

  -- The functions of a table, without what begins with an underscore and what `more` leaves out.
  local function functions_of(tab, more)
    local found = {}
    for name, value in pairs(tab) do
      if type(value) == "function" and type(name) == "string" and not name:find("^__") and not (more or {})[name] then
        found[name] = value
      end
    end
    return found
  end

  local getlocal = debug.getlocal
  local sees_parameters = _VERSION > "Lua 5.1" or jit

  local function assert_methods(class, tab, skipped, method)
    local found = functions_of(tab, skipped)
    local declared = classes[class].methods
    assert.same(names_of(found), names_of(declared), class)
    for name, fn in pairs(sees_parameters and found or {}) do
      if debug.getinfo(fn, "S").what == "Lua" then
        local count = 0
        for at = method and 2 or 1, 20 do
          local param = getlocal(fn, at)
          if not param or at > debug.getinfo(fn, "u").nparams then break end
          if param ~= "beside" then count = count + 1 end
        end
        local wanted = #declared[name]
        if declared[name][wanted] == "..." then wanted = wanted - 1 end
        assert.equal(count, wanted, class .. "." .. name .. " has another number of parameters")
      end
    end
  end

  it("every function of the modules", function()
    for _, name in ipairs { "errors", "prices", "webhook", "receiver", "simulator", "assert" } do
      assert.is_truthy(veo[name], name)
    end
    assert_methods("veo", veo)
    local fields = {}
    for name, value in pairs(veo) do fields[name] = type(value) ~= "function" or nil end
    assert_names("veo", fields)
    assert_names("veo.console", veo.console)
    assert_methods("veo.errors", errors)
    assert_methods("veo.webhook", veo.webhook)
    assert_methods("veo.receiver", veo.receiver)
    assert_methods("veo.simulator", simulator)
    assert_methods("veo.core", core)
    fields = {}
    for name, value in pairs(core) do fields[name] = type(value) ~= "function" or nil end
    assert_names("veo.core", fields)
  end)

  local function upvalue(fn, wanted)
    for at = 1, 20 do
      local name, value = debug.getupvalue(fn, at)
      if name == wanted then return value end
    end
  end

  it("every method of the objects", function()
    local gone = {}
    for name in helper.read("lua/veo/client/gone.lua"):match("local GONE = (%b{})"):gmatch("\n  ([%w_]+) = ") do
      gone[name] = true
    end
    assert_methods("veo.Client", getmetatable(client).__index, gone, true)
    assert_methods("veo.Loop", getmetatable(client.loop).__index, nil, true)
    local task = client:task "t"
    assert_methods("veo.Task", upvalue(getmetatable(task).__index, "Task"), nil, true)
    assert_methods("veo.Job", getmetatable(client:spawn(function() end)).__index, nil, true)
    assert_methods("veo.Simulator", getmetatable(sim).__index, nil, true)
    assert_methods("veo.webhook.Memory", getmetatable(veo.webhook.memory()).__index, nil, true)
    local receiver = assert(veo.receiver.new { client = client })
    assert_methods("veo.Receiver", getmetatable(receiver).__index, { drive = true, serve = true }, true)
    receiver:close()
    local handle = core.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:9" }
    assert_methods("veo.core.Client", debug.getmetatable(handle).__index)
    assert_methods("veo.core.Transfer", debug.getmetatable(handle:start("status", "t")).__index)
    local sink = assert(core.sink(helper.folder() .. "/x"))
    assert_methods("veo.core.Sink", debug.getmetatable(sink).__index)
    sink:close()
    handle:close()
    assert.same({}, functions_of(getmetatable(errors.new { code = "io" }).__index, classes["veo.Error"].methods))
  end)

  describe("every field of what a call returns:", function()
    -- Both ways: what is there is declared, and what is declared is named in the code that makes it.
    local function assert_declared(class, result, files)
      local declared = fields_of(class)
      local undeclared = {}
      for name in pairs(result) do
        if type(name) == "string" and not declared[name] then undeclared[#undeclared + 1] = name end
      end
      assert.same({}, undeclared, class)
      for name in pairs(classes[class].fields) do
        if result[name] == nil then
          assert.is_truthy(helper.output("grep -lwr " .. name .. " " .. files):find("%S"), class .. "." .. name)
        end
      end
    end

    it("a status, a task, a file, the figures", function()
      local task = assert(client:extend { taskId = sim.source, prompt = "x" })
      assert_declared("veo.Task", task, "lua/veo/task lua/veo/client lua/veo/wire lua/veo/wire.lua")
      local wait_info
      local status = assert(task:wait { on_progress = function(_, info) wait_info = info end })
      assert_declared("veo.Status", status, "lua/veo/wire src")
      assert_declared("veo.WaitInfo", wait_info, "lua/veo/task/watch.lua")
      local progress
      local file = assert(status:save(helper.folder() .. "/x.mp4", { download = { on_progress = function(_, _, info)
        progress = info
      end } }))
      assert_declared("veo.File", file, "lua/veo/task")
      assert_declared("veo.Progress", progress, "lua/veo/async/progress.lua lua/veo/task/download")
      assert.same(names_of(client:stats()), names_of(fields_of "veo.Stats"))
      for name in pairs(fields_of "veo.Simulator") do
        assert.is_truthy(sim[name] or name == "ca_file", "veo.Simulator." .. name)
      end
      local event = assert(veo.webhook.parse('{"code":200,"msg":"m","data":{"taskId":"t"}}'))
      assert_declared("veo.webhook.Event", event, "lua/veo/webhook.lua lua/veo/client/callbacks.lua")
    end)

    it("what comes of a ledger", function()
      local folder = helper.folder()
      local own = helper.client(sim, { ledger = folder .. "/l.db" })
      local chain = assert(own:chain { taskId = sim.source, prompts = { "a", "b" }, path = folder .. "/c.mp4",
        on_progress = function(info) assert_declared("veo.ChainInfo", info, "lua/veo/task/chain.lua") end })
      assert_declared("veo.Chain", chain, "lua/veo/task/chain lua/veo/task/chain.lua")
      assert_declared("veo.Hop", chain.hops[1], "lua/veo/task/chain lua/veo/task/chain.lua")
      for _, record in ipairs(assert(own:tasks())) do assert_declared("veo.Record", record, "lua/veo/ledger") end
      assert_declared("veo.Spent", assert(own:spent()), "lua/veo/ledger")
      assert_declared("veo.ResumeSummary", assert(own:resume()), "lua/veo/task")
      assert_declared("veo.Pruned", assert(own:prune { days = 0 }), "lua/veo/task lua/veo/ledger")
      own:close()
    end)
  end)

  it("nothing that the code says otherwise", function()
    for path in helper.output("find lua/veo -name '*.lua' ! -path '*/meta/*'"):gmatch("[^\n]+") do
      local class
      for line in helper.read(path):gmatch("[^\n]+") do
        class = line:match("^%s*%-%-%- ?@class ([%w_.]+)") or line:find("^%s*%-%-%-") and class or nil
        local field = class and class ~= "veo.Job" and classes[class] and line:match("^%s*%-%-%- ?@field ([%w_]+)")
        if field then assert.is_truthy(fields_of(class)[field], path .. ": " .. class .. "." .. field) end
      end
    end
  end)

  it("nothing that a program would load", function()
    for name in pairs(package.loaded) do assert.is_nil(tostring(name):find("^veo%.meta")) end
    assert.equal("", helper.output("grep -rn 'require.*veo%.meta' lua examples || true"))
  end)
end)
