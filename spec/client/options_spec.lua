-- Options as data: kinds, defaults, groups. Nothing in here raises; the client does.

local options = require "veo.client.options"
local retry = require "veo.policy.retry"
local unpack = table.unpack or unpack

describe("options", function()
  local function of(given)
    given.api_key = given.api_key or "spec-key-0123456789"
    return options.of_client(given)
  end

  it("have the documented defaults", function()
    local all = of {}
    assert.same({ "veo", 60, 10, 300, 100, false },
      { all.api, all.timeout, all.connect_timeout, all.deadline, all.max_in_flight, all.allow_http })
    assert.same({ count = 20, window = 10 }, all.rate) -- looks: adaptive
    assert.same({ timeout = 1200, first = 10, interval = 5, growth = 1.5, max_interval = 20, jitter = 0.15,
      grace = 90 }, all.wait)
    assert.is_false(all.download.overwrite)
    assert.same({ 4, 0.5, 8, false }, { all.retry.attempts, all.retry.base, all.retry.max, all.retry.ambiguous })
    assert.same({ tokens = 500, retry = 5, timeout = 10, success = 1 }, all.retry.budget)
  end)

  it("lay what is given over them, group by group", function()
    local all = of { timeout = 5, wait = { interval = 1 }, retry = { attempts = 2 }, rate = { polls = false } }
    assert.same({ 5, 1, 1200, 2, 0.5, false, 20 }, { all.timeout, all.wait.interval, all.wait.timeout,
      all.retry.attempts, all.retry.base, all.rate.polls, all.rate.count })
  end)

  -- The README lists them; `upgrade` and `upload` were unknown options.
  it("take every group that a call has defaults of", function()
    local given = { upgrade = { interval = 1 }, upload = { timeout = 5 } }
    local all = assert(of(given))
    assert.same({ 1, 600, 5, 3600 }, { all.upgrade.interval, all.upgrade.timeout, all.upload.timeout,
      all.upload.deadline })
    assert.matches("^upload: unknown option stall", select(2, of { upload = { stall = 5 } }))
  end)

  it("leave the caller's tables and the defaults alone", function()
    local given = { api_key = "spec-key-0123456789", wait = { interval = 1 } }
    local all = options.of_client(given)
    all.wait.timeout, all.rate.count, all.retry.budget.tokens = 1, 1, 1
    assert.same({ interval = 1 }, given.wait)
    assert.equal(1200, of({}).wait.timeout)
    assert.equal(20, of({}).rate.count)
    assert.equal(500, of({}).retry.budget.tokens)
    assert.equal(500, retry.defaults.budget.tokens)
  end)

  describe("that are bad are named with what was given and what is expected", function()
    local bad = {
      timeout = { 0, -1, 0 / 0, math.huge, "5", true, {} }, connect_timeout = { 0, "x" }, deadline = { -1, "x" },
      max_in_flight = { 0, 1.5, -1, "9" }, allow_http = { 1, "true" }, log = { 5, {}, "x" }, pause = { true },
      user_agent = { "", 5, "a\nb" }, ca_file = { "", 5 }, proxy = { "", true }, base_url = { "", 5, "a\0b" },
      api = { "other", 5 },
    }
    for name, values in pairs(bad) do
      it(name, function()
        for _, value in ipairs(values) do
          local all, problem = of { [name] = value }
          assert.is_nil(all)
          assert.matches("^" .. name .. ": given .+, expected .+", problem)
        end
      end)
    end

    local groups = {
      wait = { timeout = { -1, "x" }, first = { -1 }, interval = { -1, "x" }, growth = { 0.9 }, jitter = { -0.1, 1.5 },
        grace = { -1 }, max_errors = { -1, 1.5 }, on_progress = { 5 } },
      rate = { count = { 0, 1.5 }, window = { 0, -1 }, polls = { 0, -1, true } },
      download = { overwrite = { 1 }, max_bytes = { 0, 1.5 }, attempts = { 0 }, on_progress = { "x" } },
      retry = { attempts = { 0, 1.5, 101 }, base = { -1 }, max = { "x" }, ambiguous = { 1 }, budget = { 5, true } },
    }
    for group, names in pairs(groups) do
      for name, values in pairs(names) do
        it(group .. "." .. name, function()
          for _, value in ipairs(values) do
            local all, problem = of { [group] = { [name] = value } }
            assert.is_nil(all)
            assert.matches(group .. "[.:] ?" .. name .. ": given .+, expected .+", problem)
          end
        end)
      end
    end
  end)

  it("that are unknown bring the nearest known name", function()
    for given, meant in pairs { time_out = "timeout", basurl = "base_url", Retry = "retry", waits = "wait",
      maxinflight = "max_in_flight" } do
      local all, problem = of { [given] = 1 }
      assert.is_nil(all)
      assert.equal(("unknown option %s (did you mean %s?)"):format(given, meant), problem)
    end
    local _, problem = of { [1] = "x" }
    assert.matches("unknown option", problem)
  end)

  it("bring it in every table within a table too", function()
    for expected, given in pairs {
      ["retry: unknown option atempts (did you mean attempts?)"] = { retry = { atempts = 3 } },
      ["retry: budget: unknown option tokns (did you mean tokens?)"] = { retry = { budget = { tokns = 3 } } },
      ["rate: unknown option conut (did you mean count?)"] = { rate = { conut = 3 } },
      ["max_credits: unknown limit dya (did you mean day?)"] = { max_credits = { dya = 3 } },
      ["prices: unknown operation extnd (did you mean extend?)"] = { prices = { extnd = 3 } },
    } do
      assert.equal(expected, select(2, of(given)))
    end
    local webhook = require "veo.webhook"
    for _, case in ipairs { { webhook.verify, {}, "{}", "key", { widnow = 1 } }, { webhook.memory, { widnow = 1 } } } do
      local fn = table.remove(case, 1)
      assert.matches("unknown option widnow %(did you mean window%?%)", select(2, pcall(fn, unpack(case))))
    end
  end)

  it("are never shown when they are text, which may be a key", function()
    for _, given in ipairs { { api_key = "secret\nsecret" }, { proxy = 5, api_key = "secret" }, { log = "secret" },
      { wait = "secret" }, { wait = { interval = "secret" } } } do
      local _, problem = of(given)
      if problem then assert.is_nil(problem:find("secret", 1, true), problem) end
    end
  end)

  describe("of a call", function()
    local groups = { submit = options.submit, wait = options.wait }
    local defaults = { submit = { timeout = 60, deadline = 300 }, wait = { timeout = 1200 }, retry = retry.policy() }

    it("go to the call's own group first, and else to the one that knows them", function()
      local out = assert(options.split(groups, defaults, { timeout = 5, interval = 1, retry = { attempts = 2 } }))
      assert.same({ 5, 1200, 1, 300, 2 }, { out.submit.timeout, out.wait.timeout, out.wait.interval,
        out.submit.deadline, out.retry.attempts })
    end)

    it("may be given as the groups that veo.new takes, and flat ones count before these", function()
      local out = assert(options.split(groups, defaults, { wait = { timeout = 7, interval = 2 }, interval = 1 }))
      assert.same({ 60, 7, 1 }, { out.submit.timeout, out.wait.timeout, out.wait.interval })
      local _, problem = options.split(groups, defaults, { wait = { every = 2 } })
      assert.equal("wait: unknown option every", problem)
      _, problem = options.split(groups, defaults, { wait = 5 })
      assert.equal("wait: options: given 5, expected a table", problem)
      _, problem = options.split(groups, defaults, { submit = {} })
      assert.matches("unknown option submit", problem)
    end)

    it("are refused where two shared groups know them and neither is named", function()
      local both = { wait = options.wait, download = options.download }
      local _, problem = options.split(both, { wait = {}, download = {} }, { on_progress = print })
      assert.matches("on_progress: say whose it is", problem)
      assert(options.split(both, { wait = {}, download = {} }, { wait = { on_progress = print }, attempts = 3 }))
    end)

    it("are refused when no group knows them", function()
      local out, problem = options.split(groups, defaults, { columns = 3 })
      assert.is_nil(out)
      assert.matches("unknown option columns", problem)
      out, problem = options.split({ wait = options.wait }, { wait = {} }, { retry = {} })
      assert.is_nil(out)
      assert.matches("unknown option retry", problem)
    end)

    it("keep the client's retry policy where none is given", function()
      assert.equal(defaults.retry, options.split(groups, defaults, {}).retry)
      local own = retry.policy { attempts = 9 }
      local out = options.split(groups, { submit = {}, wait = {}, retry = own }, { retry = { base = 1 } })
      assert.same({ 9, 1 }, { out.retry.attempts, out.retry.base })
    end)
  end)
end)
