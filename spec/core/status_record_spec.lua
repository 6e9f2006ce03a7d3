-- The core reads the usual record by itself. Whatever it reads, it reads as lua-cjson and the Lua half do; what is unusual
-- in any way it leaves to them.

local core = require "veo.core"
local simulator = require "veo.simulator"
local wire = require "veo.wire"

local URL, OTHER = '"https://tempfile.example/v/0b7d.mp4"', '"http://tempfile.example/v/77aa.mp4?sig=1,2"'

-- Fields as JSON text, in order; a field that is false is left out.
local function object(fields, change)
  local out, seen = {}, {}
  for _, field in ipairs(fields) do
    local name, value = field[1], field[2]
    seen[name] = true
    if change and change[name] ~= nil then value = change[name] end
    if value then out[#out + 1] = '"' .. name .. '":' .. value end
  end
  for name, value in pairs(change or {}) do
    if not seen[name] and value then out[#out + 1] = '"' .. name .. '":' .. value end
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local RESPONSE = { { "taskId", '"4d1c"' }, { "resultUrls", "[" .. URL .. "]" },
  { "fullResultUrls", "[" .. OTHER .. "]" },
  { "originUrls", "null" }, { "resolution", '"720p"' }, { "hasAudioList", "[true]" }, { "seeds", "[48213]" },
  { "mediaIds", '["CAUSJDkxMjM0"]' } }

local function succeeded(change, inner)
  return object({ { "taskId", '"4d1c_a-b"' }, { "paramJson", [["{\"prompt\":\"the boat\\n turns\"}"]] },
    { "completeTime", "1781234873000" }, { "response", object(RESPONSE, inner) }, { "successFlag", "1" },
    { "errorCode", "null" }, { "errorMessage", '""' }, { "createTime", "1781234500000" },
    { "fallbackFlag", "false" } }, change)
end

local function generating(change)
  return object({ { "taskId", '"4d1c_a-b"' }, { "paramJson", '"{}"' }, { "completeTime", "null" },
    { "response", "null" }, { "successFlag", "0" }, { "createTime", "1781234500000" } }, change)
end

local function envelope(data, change)
  return object({ { "code", "200" }, { "msg", '"success"' }, { "data", data } }, change)
end

-- Every kind of value that a field has been seen with, and some that none has.
local VALUES = { false, "null", "true", "false", "0", "1", "2", "3", "-1", "1.0", "1e0", "01", "00", "1.5", "-0", "0x1",
  "nan", "1a", "9007199254740992", "9007199254740993", "123456789012345", "1234567890123456", "1e400", '""', '" "',
  '"0"', '"1"', '"720p"', '"a b"', [["x'y"]], [["a\"b"]], [["a\\b"]], [["a\/b\t"]], [["\u0041"]], [["\x"]], '"a\tb"',
  '"\255\254"', '"é"', URL, OTHER, '"HTTPS://tempfile.example/a"', '" https://a.example/b"', '"https://"',
  '"https:///a"', '"https://?a"', [["https:\/\/a.example\/b"]], [["https://a.example/b\n"]], '"ftp://a/b"',
  '"https://a/b c"', [["https://a/b'"]], '"https://a/b\127"', "[]", "[1]", "[true]", "[false]", "[null]", "[1.5]",
  '["a"]', "[[]]", "[" .. URL .. "]", "[ " .. URL .. " ]", "[" .. URL .. "," .. OTHER .. "]", "[" .. URL .. ",]",
  '["no"]', "[1,2]", "{}", '{"a":1,}', "{,}", "{1:2}", '{"a":[1,{"b":null,"c":[true,-2.5,"x"]}]}', "tru", "nul", "[",
  '{"resultUrls":[' .. URL .. "]}", "+1", "1.", "[9007199254740993]", "9999999999999999", "[9999999999999999]",
  "1234567890123456789", "12345678901234567890", "[12345678901234567890]",
  [["\b\f\n\r\t\/\"\\ "]], '"a\vb"', "\v1", "1\f" }
-- Strings that are no URL, for lists; each fails one rule.
for _, text in ipairs { "https://", "https://#a", "https://?a", "https:///a", "http://", "http:///a", "https://a b/",
  "https://a.example/\127", "https://a\127b/",
  "https://a.example/'", "https://'a", "https:// ", "https://a'", "https",
  "ttps://a.example/b", "https://a", "http://a", "https://a\194\160b" } do
  VALUES[#VALUES + 1] = '["' .. text .. '"]'
end
-- URLs with backslashes, and what is no URL once they are gone.
for _, text in ipairs { [[https:\/\/a.example\/b]], [[https:\/\/]], [[https:\/\/\/a]], [[https:\/\/a\nb]],
  [[https:\/\/a\"]], [[https:\/\/a\"b]], [[\"https:\/\/a\"]], [[https:\/\/a\\b]], [[\thttps:\/\/a]],
  [[https:\/\/a\b]], [[\/]], [[\u0068]],
  [[https:\/\/a\/]] .. ("x"):rep(1000), [[https:\/\/a]] .. ([[\/]]):rep(502), [[https:\/\/a]] .. ([[\/]]):rep(506),
  [[https:\/\/a]] .. ([[\/]]):rep(507), [[https:\/\/a\/]] .. ("x"):rep(2000) } do
  VALUES[#VALUES + 1] = '["' .. text .. '"]'
end
-- Lists that were encoded once more.
for _, text in ipairs { [=[[\"https://a.example/b\"]]=], [=[[\"https:\/\/a.example\/b\"]]=],
  [=[[\"https:\\/\\/a.example\\/b\"]]=], [=[ [\"https://a.example/b\"]]=], [=[[\"https://a.example/b\"] ]=],
  [=[[\"https://a.example/b\",\"https://a.example/c\"]]=], [=[[\"https://a.example/b]]=], [=[[https://a.example/b]]=],
  [=[\"https://a.example/b\"]=], [=[[\"\"]]=], [=[[\"]=], [=[\"]]=], [=[[\"https://a\nb\"]]=],
  [=[[\"https://a.example/\u0041\"]]=], [=[[\"https://a.example/]=] .. ("x"):rep(1005) .. [=[\"]]=],
  [=[[\"https://a.example/]=] .. ("x"):rep(995) .. [=[\"]]=] } do
  VALUES[#VALUES + 1] = '"' .. text .. '"'
end
for _, depth in ipairs { 10, 20, 21, 30, 97, 98, 99, 100, 101, 130 } do
  VALUES[#VALUES + 1] = ("["):rep(depth) .. ("]"):rep(depth)
  VALUES[#VALUES + 1] = ('{"a":'):rep(depth) .. "1" .. ("}"):rep(depth)
end

local FIELDS = { "taskId", "successFlag", "paramJson", "createTime", "completeTime", "errorCode", "errorMessage",
  "response", "info", "resultUrls", "fullResultUrls", "seeds", "creditsConsumed", "unknown" }
local INNER = { "resultUrls", "fullResultUrls", "originUrls", "resolution", "seeds", "hasAudioList", "mediaIds",
  "taskId" }
local OUTER = { "code", "msg", "data", "unknown" }

local function kind(value)
  return math.type and math.type(value) or type(value)
end

describe("the usual record", function()
  local sim, client

  setup(function()
    sim = assert(simulator.start())
    client = core.new { base_url = sim.url, api_key = sim.api_key }
  end)
  teardown(function()
    client:close()
    sim:stop()
  end)

  -- Reads a body both ways, and says whether the core read it.
  local function compare(id, what)
    local usual, why = client:look(id)
    local reply, failure = client:status(id)
    if not (usual and usual.state) then
      assert.same(reply or failure, usual or why, what)
      return false
    end
    local status = assert(wire.status(wire.veo, reply, failure, id))
    assert.same(status.raw, usual.raw, what)
    assert.equal(usual.raw, usual.raw)
    status.raw, status.json = nil, usual.json
    assert.same(status, usual, what)
    for field, value in pairs(status) do
      assert.equal(kind(value), kind(usual[field]), what .. ": " .. field)
      if type(value) == "table" then assert.equal(kind(value[1]), kind(usual[field][1]), what .. ": " .. field) end
    end
    return true
  end

  -- Has the service answer with each body, and compares. → how many the core read, and how many it left.
  local function compare_all(bodies)
    local read, left = 0, 0
    for from = 1, #bodies, 100 do
      local rules = {}
      for i = from, math.min(from + 99, #bodies) do
        rules[#rules + 1] = { on = "status", match = "taskId=n" .. i .. "$", body = bodies[i] }
      end
      sim:script(rules)
      for i = from, math.min(from + 99, #bodies) do
        if compare("n" .. i, bodies[i]) then read = read + 1 else left = left + 1 end
      end
    end
    return read, left
  end

  it("is read by the core, as the Lua half reads it", function()
    local bodies = { envelope(succeeded()), envelope(generating()), "\239\187\191" .. envelope(succeeded()),
      (envelope(succeeded()):gsub("[,:{}]", " %0\r\n\t")), envelope(succeeded { fallbackFlag = false }) .. " \n",
      envelope(succeeded { more = '{"a":[1,-2.5,null,{"b":"\\\\"}]}' }, { traceId = '"x"' }) }
    -- The fourth has blanks within its URLs too, which are then none.
    assert.same({ 5, 1 }, { compare_all(bodies) })
  end)

  it("is read by the core without a whole video, and with lists that were encoded once more", function()
    local text = [=["[\"https://tempfile.example/v/0b7d.mp4\"]"]=]
    local bodies = { envelope(succeeded(nil, { fullResultUrls = false })),
      envelope(succeeded(nil, { fullResultUrls = "null" })), envelope(succeeded(nil, { resultUrls = text })),
      envelope(succeeded(nil, { resultUrls = text, fullResultUrls = text })) }
    assert.same({ 4, 0 }, { compare_all(bodies) })
  end)

  it("with any field of any kind is read alike or left", function()
    local bodies = {}
    for _, field in ipairs(FIELDS) do
      for _, value in ipairs(VALUES) do
        bodies[#bodies + 1] = envelope(succeeded({ [field] = value }, { fullResultUrls = false }))
      end
    end
    for _, value in ipairs(VALUES) do
      for _, field in ipairs(FIELDS) do
        bodies[#bodies + 1] = envelope(succeeded { [field] = value })
        bodies[#bodies + 1] = envelope(generating { [field] = value })
      end
      for _, field in ipairs(INNER) do bodies[#bodies + 1] = envelope(succeeded(nil, { [field] = value })) end
      for _, field in ipairs(OUTER) do bodies[#bodies + 1] = envelope(succeeded(), { [field] = value }) end
    end
    local read, left = compare_all(bodies)
    assert.is_true(left > 1000 and read > 400, left .. " left, " .. read .. " read")
  end)

  it("cut anywhere, or with a byte too many or another, is read alike or left", function()
    local whole, bodies = envelope(succeeded { unknown = "[1,{}]" }), {}
    for i = 1, #whole do
      bodies[#bodies + 1] = whole:sub(1, i - 1)
      bodies[#bodies + 1] = whole:sub(1, i - 1) .. whole:sub(i + 1)
      local byte = ('x"\\{}[],:0\1'):sub(i % 11 + 1, i % 11 + 1)
      bodies[#bodies + 1] = whole:sub(1, i - 1) .. byte .. whole:sub(i + 1)
      bodies[#bodies + 1] = whole:sub(1, i) .. byte .. whole:sub(i + 1)
    end
    bodies[#bodies + 1] = whole .. "{}"
    bodies[#bodies + 1] = whole .. "\0"
    local read, left = compare_all(bodies)
    assert.is_true(left > 800 and read > 200, left .. " left, " .. read .. " read")
  end)

  it("is left when a field comes twice, or under a name that is written otherwise", function()
    local usual = envelope(succeeded())
    local bodies = { (usual:gsub('"data"', [["d\u0061ta"]])), (usual:gsub('"taskId"', [["task\/Id":0,%0]])) }
    for _, twice in ipairs { '"successFlag":0', '"successFlag":1', '"code":500', '"code":200', '"resolution":null',
      '"seeds":null', '"seeds":[1]', '"response":null', '"data":null', '"errorCode":null', '"taskId":"x"' } do
      local name = twice:match('^"%a+":')
      bodies[#bodies + 1] = usual:gsub(name, twice .. ",%0", 1) -- before it, and the last one counts
      local after, found = usual:gsub("(" .. name .. '%[?[%w"]+%]?)', "%1," .. twice, 1)
      if found == 1 then bodies[#bodies + 1] = after end
    end
    assert.same({ 0, 22 }, { compare_all(bodies) })
  end)

  it("with a long paramJson is read alike or left", function()
    local bodies = {}
    for _, count in ipairs { 31, 32, 33, 2040, 2047, 2048, 2049, 4095, 4096, 4097, 8192 } do
      bodies[#bodies + 1] = envelope(succeeded { paramJson = '"' .. ([[\"]]):rep(count) .. '"' })
      bodies[#bodies + 1] = envelope(succeeded { paramJson = '"' .. ("x"):rep(count) .. '"' })
    end
    assert.same({ 17, 5 }, { compare_all(bodies) })
  end)

  it("is left with any HTTP status but 200", function()
    sim:script { { on = "status", match = "taskId=a$", http = 500, body = envelope(succeeded()) } }
    assert.equal(500, client:look("a").http_status)
  end)

  it("decodes `raw` when it is asked for, once, and not into the status", function()
    sim:script { { on = "status", body = envelope(succeeded { extra = '{"deep":[null,7]}' }) } }
    local status = assert(client:look("a"))
    assert.is_nil(rawget(status, "raw"))
    local fields = 0
    for _ in pairs(status) do -- as in a host that prints everything; nothing may be added meanwhile
      assert.equal(7, status.raw.data.extra.deep[2])
      fields = fields + 1
    end
    assert.equal(15, fields)
    assert.is_nil(rawget(status, "raw"))
    assert.equal(status.raw, status.raw)
    assert.is_nil(status.nothing)
    assert.is_nil(status[1])
    status.json = nil
    assert.is_not_nil(status.raw)
    local again = assert(client:look("a"))
    again.json = 5
    assert.is_nil(again.raw)
    again.raw = "mine"
    assert.equal("mine", again.raw)
    -- Whatever else a script does with what it finds there.
    local index = getmetatable(status).__index
    for _, value in ipairs { 5, "raw", true, print, sim, client } do assert.is_nil(index(value, "raw")) end
    assert.is_nil(index(nil, "raw"))
    assert.is_nil(index())
    assert.is_nil(index(setmetatable({}, { __index = function() error("asked") end }), "raw"))
    assert.is_nil(setmetatable(again, nil).nothing)
  end)

  it("keeps what it decoded no longer than the status", function()
    sim:script { { on = "status", body = envelope(succeeded { extra = '"' .. ("x"):rep(20000) .. '"' }) } }
    assert.is_table(client:look("a").raw)
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 50 do assert.is_table(client:look("a").raw) end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 200)
  end)

  it("is read by a transfer too", function()
    sim:script { { on = "status", body = envelope(generating()) } }
    local transfer = assert(client:start("look", "a"))
    local status = transfer:result()
    while status == false do
      client:step(100)
      status = transfer:result()
    end
    assert.equal("generating", status.state)
    assert.equal(200, status.raw.code)
  end)
end)
