-- What a user gives that cannot be sent: refused before anything is written, asked for or reserved. What can be is sent
-- to its last digit.

local core = require "veo.core"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"
local veo = require "veo"

local integers = rawget(math, "maxinteger") -- 5.3 and later
local loop = {}
loop.again = { loop }

describe("input", function()
  local sim, client, folder

  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    folder = helper.folder()
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    client = helper.client(sim, { ledger = folder .. "/orders.db", max_credits = 1000, prices = { generate = 60 },
      upload_url = sim.upload_url })
  end)
  after_each(function()
    client:close()
    os.remove(folder .. "/orders.db")
  end)

  -- What each call that has a body or a query asks for, with more in `extra`.
  local CALLS = {
    extend = function(extra) return { taskId = sim.source, prompt = "x", extra = extra } end,
    generate = function(extra) return { prompt = "x", extra = extra } end,
    get_4k = function(extra) return { taskId = sim.source, extra = extra } end,
    get_1080p = function(extra) return { taskId = sim.source, extra = extra } end,
  }

  local UPGRADES = { get_4k = "4k", get_1080p = "1080p" }
  local function ask(call, params, given)
    if not UPGRADES[call] then return client[call](client, params, given) end
    local options = { extra = params.extra }
    for name, value in pairs(given or {}) do options[name] = value end
    return client:task(params.taskId):upgrade(UPGRADES[call], options)
  end

  -- Nothing of it is left: no row, no reservation, no request, and the key goes to whoever is next.
  local function untouched()
    assert.same({}, client:tasks())
    assert.equal(0, client:spent().credits)
    assert.equal(0, #sim:requests())
    local _, charges = sim:charges()
    assert.equal(0, #charges)
    local task = assert(client:extend(CALLS.extend(), { key = "shot-12" }))
    assert.is_nil(task.joined)
    _, charges = sim:charges()
    assert.equal(1, #charges)
  end

  local function refused(field, given, result, err)
    assert.is_nil(result)
    assert.equal("invalid", err.code, err.message)
    assert.equal(field, err.field)
    assert.matches(given, err.message, 1, true)
  end

  describe("that JSON cannot carry is invalid, with its path:", function()
    local deep = {}
    for _ = 1, 30 do deep = { deep } end
    local wide = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }
    for _ = 1, 10 do wide = { wide, wide, wide, wide, wide, wide, wide, wide, wide, wide } end
    local cases = {
      ["NaN"] = { 0 / 0, "extra.v", "not finite" },
      ["an infinity in a list"] = { { a = { 1, { b = -math.huge } } }, "extra.v.a[2].b", "not finite" },
      ["a whole number in a double"] = { 2 ^ 53, "extra.v", "2^53 or more" },
      ["a huge number"] = { { -1e300 }, "extra.v[1]", "2^53 or more" },
      ["a function"] = { { print }, "extra.v[1]", "a function" },
      ["a file"] = { io.stdout, "extra.v", "a userdata" },
      ["a coroutine"] = { coroutine.create(function() end), "extra.v", "a thread" },
      ["a table in itself"] = { loop, "extra.v.again[1]", "holds itself" },
      ["depth"] = { deep, "extra.v" .. ("[1]"):rep(19), "more than 20 deep" },
      ["a table that stands everywhere"] = { wide, nil, "more than 100000 values" },
      ["text that is no UTF-8"] = { { s = "\255" }, "extra.v.s", "not UTF-8" },
      ["a name that is no UTF-8"] = { { ["\255"] = 1 }, "extra.v", "not UTF-8" },
      ["a list with a hole"] = { { 1, nil, 3 }, "extra.v", "" },
    }
    for name, case in pairs(cases) do
      it(name, function()
        for call, params in pairs(CALLS) do
          local given = call ~= "get_1080p" and { key = "shot-12" } or nil
          local result, err = ask(call, params { v = case[1] }, given)
          refused(case[2] or err.field, case[3], result, err)
        end
        untouched()
      end)
    end

    it("a file in place of a field", function()
      refused("watermark", "a userdata", client:extend({ taskId = sim.source, prompt = "x", watermark = io.stdout }))
      untouched()
    end)

    it("a table in the address of a call that has no body", function()
      refused("extra.v", "a table", client:task(sim.source):upgrade("1080p", { extra = { v = { 1 } } }))
      untouched()
    end)

    it("in a later hop of a chain", function()
      local result, err = client:chain { taskId = sim.source, key = "shot-12",
        prompts = { "a", { prompt = "b", extra = { v = { 2 ^ 60 } } } } }
      refused("extra.v[1]", "hop 2", result, err)
      untouched()
    end)
  end)

  it("is sent to its last digit", function()
    local numbers = { 12345, 1e14, -1e15, 2 ^ 53 - 1, 1 / 3, 0.1, 0.1 + 0.2, 1e-7, 5e-324, 1.5, -0.25 }
    local texts = { "12345", "100000000000000", "-1000000000000000", "9007199254740991", "0.3333333333333333", "0.1",
      "0.30000000000000004", "1e-07", "4.94065645841247e-324", "1.5", "-0.25" }
    if integers then
      numbers[#numbers + 1], texts[#texts + 1] = integers, "9223372036854775807"
      numbers[#numbers + 1], texts[#texts + 1] = math.mininteger, "-9223372036854775808"
      numbers[#numbers + 1], texts[#texts + 1] = math.tointeger(2 ^ 53) + 1, "9007199254740993"
    end
    assert(client:extend(CALLS.extend { v = { deep = numbers }, text = "a\0\1\"\\/\127\195\164" }))
    local body = sim:requests({ endpoint = "extend" })[1].body
    assert.matches('"v":{"deep":[' .. table.concat(texts, ",") .. "]}", body, 1, true)
    assert.matches([["text":"a\u0000\u0001\"\\/]] .. "\127\195\164\"", body, 1, true)
    assert(client:task(sim.source):upgrade("1080p", { extra = { n = 1e14, flag = true }, interval = 0.01 }))
    local query = sim:requests({ endpoint = "get_1080p" })[1].query
    assert.equal("100000000000000", query.n)
    assert.equal("true", query.flag)
  end)

  it("keeps apart what differs in its last digit only", function()
    if not integers then return end
    local first = assert(client:extend(CALLS.extend { v = integers }, { key = "k" }))
    local _, err = client:extend(CALLS.extend { v = integers - 1 }, { key = "k" })
    assert.equal("invalid", err.code)
    assert.equal(first.taskId, assert(client:extend(CALLS.extend { v = integers }, { key = "k" })).taskId)
    local chain = { taskId = sim.source, prompts = { { prompt = "c", extra = { v = integers } } } }
    local made = assert(client:chain(chain))
    assert.equal(made.taskId, assert(client:chain(chain)).taskId)
    local _, charges = sim:charges()
    assert.equal(2, #charges)
  end)

  describe("of options that the core cannot take is misuse before anything is written:", function()
    for _, name in ipairs { "timeout", "deadline" } do
      it(name, function()
        for call, params in pairs(CALLS) do
          if call ~= "get_1080p" then
            local given = { key = "shot-12", [name] = 1e16 }
            local _, _, message = helper.raised(ask, call, params(), given)
            assert.matches(name .. ": given 1e+16", message, 1, true)
          end
        end
        untouched()
      end)
    end
  end)

  describe("with blanks around it is refused with a hint:", function()
    it("a key, an address or a file's name given to veo.new, also by the environment", function()
      for name, value in pairs { api_key = "spec-key-0123456789", base_url = sim.url, upload_url = sim.url,
        proxy = "http://127.0.0.1:1", ca_file = "/x", ledger = folder .. "/y.db", webhook_key = "k",
        user_agent = "u" } do
        for _, around in ipairs { " %s", "%s ", "%s\n", "\t%s", "\239\187\191%s", "%s\194\160", "%s\226\128\139" } do
          local options = { api_key = "spec-key-0123456789", base_url = sim.url }
          options[name] = around:format(value)
          local _, _, message = helper.raised(function() veo.new(options) end)
          assert.matches(name .. ": given a string with blanks or a line break around it", message, 1, true)
        end
      end
      local script = "print(select(2, pcall(require('veo').new)))"
      assert.matches("api_key: given a string with blanks",
        helper.output(("KIE_API_KEY='k1234567 ' %s -e \"%s\""):format(helper.lua(), script)), 1, true)
      assert.is_nil(core.kind(folder .. "/y.db"))
    end)

    it("the key of an order, and the path of its video", function()
      for _, name in ipairs { "key", "path" } do
        local value = name == "path" and folder .. "/shot-12" or "shot-12"
        for _, around in ipairs { "%s ", " %s", "%s\n" } do
          local given = { [name] = around:format(value) }
          local _, _, message = helper.raised(client.extend, client, CALLS.extend(), given)
          assert.matches(name .. ": given a string with blanks or a line break around it", message, 1, true)
        end
      end
      untouched()
    end)

    it("every other file's name", function()
      local name = folder .. "/boat.mp4 "
      for _, call in ipairs {
        function() client:extend_and_save(CALLS.extend(), name) end,
        function() client:chain { taskId = sim.source, prompts = { "x" }, path = name } end,
        function() client:chain { taskId = sim.source, prompts = { "x" }, save_hops = " {hop}.mp4" } end,
        function() client:download(sim.url .. "/x", name) end,
        function() client:upload(name) end,
        function() client:resume { path = "{key}.mp4 " } end,
      } do
        assert.matches("blanks", select(3, helper.raised(call)), 1, true)
      end
      untouched()
    end)

    it("a URL or a taskId", function()
      local url = "http://127.0.0.1:9/hook"
      local function extend(name)
        return function(value)
          local params = CALLS.extend()
          params[name] = value
          return client:extend(params)
        end
      end
      local cases = {
        { "callBackUrl", url, extend "callBackUrl" },
        { "url", url, function(v) return client:download_url(v) end },
        { "fileUrl", url, function(v) return client:upload { url = v } end },
        { "imageUrls", url, function(v) return client:generate { prompt = "x", imageUrls = { v } } end },
        { "taskId", sim.source, extend "taskId" },
        { "model", "fast", extend "model" },
      }
      for _, case in ipairs(cases) do
        for _, around in ipairs { " %s", "%s\n" } do
          local result, err = case[3](around:format(case[2]))
          refused(case[1], "blanks or a line break around it", result, err)
          assert.equal(case[2], err.suggestion)
        end
      end
      untouched()
    end)
  end)

  it("is refused where the upload host would see the key in the clear", function()
    local other = helper.client(sim, { upload_url = "http://example.com" })
    finally(function() other:close() end)
    local file = folder .. "/image.png"
    helper.write(file, "image")
    local result, err = other:upload(file)
    assert.is_nil(result)
    assert.equal("invalid", err.code)
    assert.matches("would show the key", err.message, 1, true)
  end)
end)
