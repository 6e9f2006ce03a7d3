-- What a program does wrong is raised, at the line of the call that does it.

local veo = require "veo"
local helper = require "spec.support.helper"

local KEY = "spec-key-0123456789"

local function here() return debug.getinfo(2, "l").currentline end

describe("misuse", function()
  local client

  setup(function() client = veo.new { api_key = KEY, base_url = "http://127.0.0.1:9" } end)
  teardown(function() client:close() end)

  -- `fn` raises on the line after the one it says.
  local function assert_raised(line, fn, pattern)
    local file, at, message = helper.raised(fn)
    assert.equal("misuse_spec.lua", file, message)
    assert.equal(line, at, message)
    assert.matches(pattern, message)
    assert.is_nil(message:find(KEY, 1, true))
    return message
  end

  describe("of veo.new is raised at the caller's line", function()
    local line
    for name, case in pairs {
      ["no table"] = { function() line = here() + 1
        local _ = veo.new("key")
      end, "a table of options expected, got string" },
      ["a misspelt option"] = { function() line = here() + 1
        local _ = veo.new { apikey = KEY, api_key = KEY }
      end, "unknown option apikey %(did you mean api_key%?%)" },
      ["a misspelt group"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, retrys = {} }
      end, "unknown option retrys %(did you mean retry%?%)" },
      ["an option nothing is like"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, zzzzqqqq = 1 }
      end, "unknown option zzzzqqqq" },
      ["a misspelt option in a group"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, wait = { intervall = 5 } }
      end, "wait: unknown option intervall %(did you mean interval%?%)" },
      ["a number as key"] = { function() line = here() + 1
        local _ = veo.new { api_key = 5 }
      end, "api_key: given 5, expected a non%-empty string" },
      ["an empty key"] = { function() line = here() + 1
        local _ = veo.new { api_key = "" }
      end, "api_key: given an empty string" },
      ["a key with a line break"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY .. "\r\nX: y" }
      end, "api_key: given a string, expected a non%-empty string on one line" },
      ["a key with a NUL"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY .. "\0" }
      end, "api_key: given a string" },
      ["a time-out of nothing"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, timeout = 0 }
      end, "timeout: given 0, expected seconds, more than 0" },
      ["NaN"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, deadline = 0 / 0 }
      end, "deadline: given %-?nan" },
      ["half an exchange"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, max_in_flight = 1.5 }
      end, "max_in_flight: given 1.5, expected a whole number" },
      ["an unknown API"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, api = "sora" }
      end, "api: given a string, expected" },
      ["an address without https"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, base_url = "http://example.com" }
      end, "base_url: plain http" },
      ["no address"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, base_url = "nonsense" }
      end, "base_url: given a string, expected an http or https address" },
      ["a group that is no table"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, wait = 5 }
      end, "wait: given 5, expected a table" },
      ["a bad retry"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, retry = { attempts = 0 } }
      end, "retry: attempts: given 0" },
      ["a log that cannot be called"] = { function() line = here() + 1
        local _ = veo.new { api_key = KEY, log = {} }
      end, "log: given a table, expected a function" },
    } do
      it(name, function()
        local fn, pattern = case[1], case[2]
        local file, at, message = helper.raised(fn)
        assert.equal("misuse_spec.lua", file, message)
        assert.equal(line, at, message)
        assert.matches("^veo.new: ", message)
        assert.matches(pattern, message)
        assert.is_nil(message:find(KEY, 1, true))
      end)
    end
  end)

  describe("from the environment is raised too", function()
    local function new_with(environment, options)
      local folder = helper.folder()
      helper.write(folder .. "/x.lua", "local veo = require 'veo'\n\nlocal c = veo.new" .. (options or "()")
        .. "\nprint(tostring(c))")
      local text = helper.output("env " .. environment .. " " .. helper.lua() .. " " .. folder .. "/x.lua")
      helper.sweep()
      return text
    end

    it("when no key is there", function()
      for _, environment in ipairs { "-u KIE_API_KEY", "KIE_API_KEY=" } do
        local text = new_with(environment)
        assert.matches("x.lua:3: veo.new: api_key: no key given", text)
        assert.matches("KIE_API_KEY", text)
      end
    end)

    it("when the address is bad", function()
      local text = new_with("KIE_API_KEY=" .. KEY .. " KIE_BASE_URL=http://example.com")
      assert.matches("x.lua:3: veo.new: base_url: plain http", text)
      assert.is_nil(text:find(KEY, 1, true))
    end)

    it("but a good one is used, and an option wins over it", function()
      local text = new_with("KIE_API_KEY=" .. KEY .. " KIE_BASE_URL=http://127.0.0.1:8")
      assert.matches("http://127.0.0.1:8", text)
      text = new_with("KIE_API_KEY=" .. KEY .. " KIE_BASE_URL=http://127.0.0.1:8",
        "{ base_url = 'http://127.0.0.1:7' }")
      assert.matches("http://127.0.0.1:7", text)
      assert.is_nil(text:find(KEY, 1, true))
    end)
  end)

  it("of a call is raised at the caller's line", function()
    local line
    assert_raised(here() + 2, function()
      -- the line below
      client:extend("task")
    end, "^extend: a table of parameters expected, got string")
    assert_raised(here() + 1, function()
      client:extend({ taskId = "a", prompt = "b" }, { deadlin = 5 }) end,
      "^extend: unknown option deadlin %(did you mean deadline%?%)")
    line = here() + 1
    assert_raised(line, function() client:extend({}, 5) end, "^extend: options: given 5, expected a table")
    line = here() + 1
    assert_raised(line, function() client:extend({}, { retry = { attempts = "x" } }) end, "^extend: retry: attempts")
    line = here() + 1
    assert_raised(line, function() client:extend_and_save("x", "x.mp4") end, "^extend_and_save: a table of parameters")
    line = here() + 1
    assert_raised(line, function() client:extend_and_save({}, "x.mp4", { growth = 0.5 }) end,
      "^extend_and_save: growth: given 0.5")
    line = here() + 1
    assert_raised(line, function() client:status("t", { timeout = -1 }) end, "^status: timeout: given %-1")
    line = here() + 1
    assert_raised(line, function() client:credits { timout = 1 } end,
      "^credits: unknown option timout %(did you mean timeout")
    line = here() + 1
    assert_raised(line, function() client:wait("t", { on_progress = true }) end, "^wait: on_progress: given true")
    line = here() + 1
    assert_raised(line, function() client:wait("t", { max_errors = 1.5 }) end, "^wait: max_errors: given 1.5")
    line = here() + 1
    assert_raised(line, function() client:download(nil, "x") end,
      "^download: a status, a task or a URL expected, got nil")
    line = here() + 1
    assert_raised(line, function() client:download("http://127.0.0.1/x") end, "^download: path")
    line = here() + 1
    assert_raised(line, function() client:download("http://127.0.0.1/x", "") end, "^download: path")
    line = here() + 1
    assert_raised(line, function() client:download("http://127.0.0.1/x", "a\0b") end, "^download: path")
    line = here() + 1
    assert_raised(line, function() client:download("http://127.0.0.1/x", "y", { overwrite = 1 }) end,
      "^download: overwrite: given 1, expected true or false")
    line = here() + 1
    assert_raised(line, function() client:sleep("1") end, "^sleep: seconds")
    line = here() + 1
    assert_raised(line, function() client:sleep(-1) end, "^sleep: seconds")
    line = here() + 1
    assert_raised(line, function() client:spawn("fn") end, "^spawn: a function expected, got string")
    line = here() + 1
    assert_raised(line, function() client:step(-1) end, "^step: milliseconds")
    line = here() + 1
    assert_raised(line, function() client.status("t") end, "^status: call it with a colon")
    line = here() + 1
    assert_raised(line, function() client:spawn(function() end):wait("x") end, "^timeout: seconds as a number")
  end)

  it("of a closed client is raised at the caller's line, by every method but close", function()
    local closed = veo.new { api_key = KEY, base_url = "http://127.0.0.1:9" }
    closed:close()
    closed:close()
    for _, method in ipairs { "extend", "status", "credits", "wait", "task", "download", "sleep", "spawn",
      "step", "run" } do
      local line = here() + 1
      local function call() local _ = closed[method](closed, {}, {}) end
      assert_raised(line, call, "^" .. method .. ": the client is closed")
    end
    for _, method in ipairs { "pollfd", "events", "timeout", "warm" } do
      local line = here() + 1
      local function call() local _ = closed.loop[method](closed.loop) end
      assert_raised(line, call, "^" .. method .. ": the client is closed")
    end
    assert.equal("veo.client (closed)", tostring(closed))
  end)

  -- One rule for misuse: what an argument must be is the caller's business, what a request says the service's.
  it("is told apart from what the world does: parameters come back as nil, err", function()
    local task, err = client:extend {}
    assert.is_nil(task)
    assert.equal("invalid", err.code)
    assert.equal("invalid", select(2, client:extend { taskId = 5, prompt = "x" }).code)
    assert.equal("invalid", select(2, client:status("")).code)
    assert.equal("invalid", select(2, client:wait("a\nb")).code)
    assert.equal("invalid", select(2, client:wait({ ref = "r1", state = "uncertain" })).code)
  end)

  local METHODS = { "wait", "status", "task", "download", "download_url", "settle", "upload" }

  it("is a nil, a number or a table without a taskId where a task is expected", function()
    for _, method in ipairs(METHODS) do
      for _, value in ipairs { false, 5, {}, true } do
        local line = here() + 1
        local function call() local _ = client[method](client, value or nil, "x") end
        assert_raised(line, call, "^" .. method .. ": .* expected, got " .. type(value or nil))
      end
    end
    for _, value in ipairs { 5, {}, true } do
      local line = here() + 1
      local function call() local _ = client:wait_each { "a", value } end
      assert_raised(line, call, "^wait_each: a taskId, or a table that has one, expected, got " .. type(value))
    end
  end)

  describe("that hands on what another call returned", function()
    local veo_errors = require "veo.errors"
    local paid = veo_errors.new { code = "timeout", message = "wait: 1200 s are over", taskId = "paid-1" }
    local function none() return nil, paid end
    -- Lua 5.1 has it as text in its main program, which would print no table.
    local function is_paid(err, method)
      if veo_errors.is(err) then return assert.equal(paid, err, method) end
      assert.matches("misuse_spec.lua:%d+: timeout: .*%(taskId paid%-1%)$", err)
    end

    it("raises that call's error, in an argument's place or beside a nil", function()
      METHODS = { "wait", "status", "task", "download", "wait_each", "map", "extend", "generate", "extend_and_save",
        "chain", "upload", "download_url" }
      for _, method in ipairs(METHODS) do
        local ok, err = pcall(function() local _ = client[method](client, none()) end)
        assert.is_false(ok)
        is_paid(err, method)
        if method ~= "extend" and method ~= "generate" and method ~= "chain" and method ~= "extend_and_save"
          and method ~= "upload" then
          ok, err = pcall(function() local _ = client[method](client, paid) end)
          assert.is_false(ok)
          is_paid(err, method)
        end
      end
    end)

    it("names that call's error where a nil is all that is left of it", function()
      local function fails() return client:wait("paid-2", { timeout = 0 }) end
      for _, method in ipairs { "download", "task", "status", "wait_each", "map" } do
        assert_raised(here(), function() local _ = client[method](client, (fails())) end,
          "got nil; the call before this one failed: .*paid%-2")
      end
    end)

    it("does so in each coroutine for itself, and once", function()
      local function said() return tostring(select(2, pcall(client.status, client, nil))) end
      local job = client:spawn(function()
        client:wait("paid-2", { timeout = 0 })
        client:sleep(0.05)
        client:wait("paid-2", { timeout = 0 })
        return said(), said()
      end)
      while not said():find("paid-2", 1, true) and job:status() == "pending" do client:step(5) end
      local first, second = job:result()
      assert.matches("paid%-2", first)
      assert.matches("got nil$", second)
      assert.matches("got nil$", said())
    end)
  end)
end)
