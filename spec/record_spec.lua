-- The core reads the usual record by itself. Whatever it reads, it reads as the Lua half does; what is unusual it leaves.

local core = require "veo.core"
local wire = require "veo.wire"

local URL, OTHER = "https://tempfile.example/v/0b7d.mp4", "http://tempfile.example/v/77aa.mp4?sig=1,2"
local ABSENT = {}

local function succeeded()
  return { taskId = "4d1c_a-b", successFlag = 1, paramJson = '{"prompt":"the boat turns"}', createTime = 1781234500000,
    completeTime = 1781234873000, errorMessage = "", fallbackFlag = false,
    response = { taskId = "4d1c", resultUrls = { URL }, fullResultUrls = { OTHER }, resolution = "720p",
      hasAudioList = { true }, seeds = { 48213 } } }
end

local function generating()
  return { taskId = "4d1c_a-b", successFlag = 0, paramJson = '{"prompt":"the boat turns"}', createTime = 1781234500000 }
end

-- Every kind of value that a field has been seen with, and some that none has.
local VALUES = { ABSENT, false, true, 0, 1, 2, -1, 1.5, 2 ^ 53, 2 ^ 60, "", " ", "0", "1", "720p", "a b", "x'y", URL,
  OTHER, "HTTPS://tempfile.example/a", " " .. URL, URL .. '"', "https://", "https:///a", "https://?a", "https://a\nb",
  "ftp://a/b", "https://a/b c", "https://a/b\0c", "a\0b", "\0a",
  '["' .. URL .. '"]', {}, { 1 }, { true }, { 1.5 }, { "a" },
  { {} }, { URL }, { URL, OTHER }, { URL .. " " }, { "no" }, { 1, 2 }, { resultUrls = { URL } }, function() end }

local FIELDS = { "taskId", "successFlag", "paramJson", "createTime", "completeTime", "errorCode", "errorMessage",
  "response", "info", "resultUrls", "unknown" }
local INNER = { "resultUrls", "fullResultUrls", "originUrls", "resolution", "seeds", "hasAudioList", "mediaIds",
  "taskId" }

local function kind(value)
  return math.type and math.type(value) or type(value)
end

-- Reads it both ways; true when the core did.
local function compare(data, taskId, what)
  local envelope = { code = 200, data = data }
  local usual = core.record(data, envelope, taskId)
  if not usual then return false end
  local reply = { http_status = 200, code = 200, data = data, body = envelope }
  local status = assert(wire.status(wire.veo, reply, nil, taskId))
  assert.same(status, usual, what)
  assert.equal(envelope, usual.raw)
  for field, value in pairs(status) do
    assert.equal(kind(value), kind(usual[field]), what .. ": " .. field)
    if type(value) == "table" then assert.equal(kind(value[1]), kind(usual[field][1]), what .. ": " .. field) end
  end
  return true
end

describe("the usual record", function()
  for name, make in pairs { succeeded = succeeded, generating = generating } do
    it(name .. " is read by the core, as the Lua half reads it", function()
      assert.is_true(compare(make(), "4d1c_a-b", name))
      assert.is_true(compare(make(), "another", name))
      assert.is_true(compare(make(), nil, name))
    end)

    it(name .. " with any field of any kind is read alike or left", function()
      local left, read = 0, 0
      local function try(data, what)
        if compare(data, "4d1c_a-b", what) then read = read + 1 else left = left + 1 end
      end
      for i, value in ipairs(VALUES) do
        for _, field in ipairs(FIELDS) do
          local data = make()
          data[field] = value ~= ABSENT and value or nil
          try(data, field .. " " .. i)
        end
        for _, field in ipairs(name == "succeeded" and INNER or {}) do
          local data = make()
          data.response[field] = value ~= ABSENT and value or nil
          try(data, "response." .. field .. " " .. i)
        end
      end
      assert.is_true(left > 200 and read > 50, left .. " left, " .. read .. " read")
    end)
  end

  it("is nothing that is no table", function()
    for _, value in ipairs { false, true, 0, "", "{}", print } do assert.is_nil(core.record(value)) end
    assert.is_nil(core.record())
    assert.is_nil(core.record {})
  end)
end)
