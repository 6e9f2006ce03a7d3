-- Numbers that a script hands over: each is used as it is, or refused like other misuse. What C does not define for one of
-- them shows under UBSAN.

local core = require "veo.core"
local helper = require "spec.support.helper"
local veo = require "veo"

local KEY = "spec-key-0123456789"
local NOBODY = "http://127.0.0.1:9"
local HUGE, MOST = math.huge, 2 ^ 53
local ODD = { 0 / 0, HUGE, -HUGE, MOST, 2 ^ 63, 2 ^ 64, -1, -1e308, 1e308, -2 ^ 63, 0.5, 1e-308, 0 }
local FINITE = 1.7e308

describe("a number", function()
  local client, handle, sink, folder

  setup(function()
    folder = helper.folder()
    client = veo.new { base_url = NOBODY, api_key = KEY, on_job_error = function() end }
    handle = core.new { base_url = NOBODY, api_key = KEY }
    sink = core.sink(folder .. "/file")
  end)
  teardown(function()
    client:close()
    handle:close()
    sink:close()
    helper.sweep()
  end)

  local function download(name)
    return function(value) handle:start("download", { url = NOBODY, sink = sink, [name] = value }):cancel() end
  end
  local function look(name)
    return function(value) handle:start("look", "t", { [name] = value }):cancel() end
  end
  local function option(name)
    return function(value) core.new({ base_url = NOBODY, api_key = KEY, [name] = value }):close() end
  end

  -- How it is given, and from where to where it may be.
  for name, case in pairs {
    ["core.random"] = { core.random, 0, 64 },
    ["core.exists"] = { core.exists, 1, 2147483647 },
    ["client:step"] = { function(value)
      handle:wake_at(0) -- so that it does not sleep
      handle:step(value)
    end, 0, HUGE },
    ["client:wake_at"] = { function(value)
      handle:wake_at(value)
      assert(handle:pollfd())
      handle:timeout()
    end, 0, HUGE },
    ["sink:read, where"] = { function(value) sink:read(value, 10) end, 0, MOST },
    ["sink:read"] = { function(value) sink:read(0, value) end, 0, 1024 },
    ["sink:truncate"] = { function(value) sink:truncate(value) end, 0, MOST },
    ["guard:arm"] = { function(value)
      local guard = core.guard()
      guard:arm(value)
      guard:close()
    end, 0.001, 1e6 },
    ["a download, offset"] = { download "offset", 0, FINITE },
    ["a download, max_bytes"] = { download "max_bytes", 0, FINITE },
    ["a download, stall"] = { download "stall", 1, FINITE },
    ["a download, read_size"] = { download "read_size", 1024, 8388608 },
    ["a call, timeout"] = { look "timeout", 0, FINITE },
    ["a call, connect_timeout"] = { look "connect_timeout", 0, FINITE },
    ["a client, timeout"] = { option "timeout", 0.001, FINITE },
    ["a client, connect_timeout"] = { option "connect_timeout", 0.001, FINITE },
    ["a client, max_in_flight"] = { option "max_in_flight", 1, 100000 },
  } do
    it("to the core is used, or raises: " .. name, function()
      for _, value in ipairs(ODD) do
        local used, problem = pcall(case[1], value)
        assert.equal(value >= case[2] and value <= case[3], used, tostring(value) .. ": " .. tostring(problem))
        if not used then assert.matches("expected", problem) end
      end
    end)
  end

  -- Refused by the core alone, one of them raised in the middle of a paid call.
  it("that an option takes is taken by what is below it too", function()
    for _, value in ipairs { 2 ^ 52, MOST } do
      for name, call in pairs {
        extend = function() return client:extend({ taskId = "t", prompt = "x" }, { timeout = value }) end,
        status = function() return client:status("t", { timeout = value }) end,
        download = function()
          return client:download(NOBODY .. "/x.mp4", folder .. "/x.mp4", { max_bytes = value })
        end,
      } do
        local job = client:spawn(call)
        client:step(5)
        job:cancel()
        local _, err = job:wait(60)
        assert.is_not.equal("job_failed", err and err.code, name .. ": " .. tostring(err))
      end
    end
  end)
end)
