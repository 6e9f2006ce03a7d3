--- retry.lua: checked policies, full jitter within its bounds, Retry-After, the budget.

local retry = require "veo.policy.retry"

local function always(value)
  return function() return value end
end

describe("retry.policy", function()
  it("has the documented defaults", function()
    local policy = assert(retry.policy())
    assert.are.same({ attempts = 4, base = 0.5, max = 8, ambiguous = false,
      budget = { tokens = 500, retry = 5, timeout = 10, success = 1 } }, policy)
  end)

  it("overlays options and leaves the defaults alone", function()
    local policy = assert(retry.policy { attempts = 2, budget = { tokens = 10 } })
    assert.are.equal(2, policy.attempts)
    assert.are.equal(0.5, policy.base)
    assert.are.same({ tokens = 10, retry = 5, timeout = 10, success = 1 }, policy.budget)
    assert.are.equal(500, retry.defaults.budget.tokens)
    assert.are.equal(4, retry.defaults.attempts)
    assert.is_false(assert(retry.policy { budget = false }).budget)
  end)

  for _, case in ipairs {
    { { attempts = 0 }, "attempts: given 0, expected" }, { { attempts = 1.5 }, "attempts: given 1.5, expected" },
    { { attempts = "3" }, "attempts: given a string, expected" }, { { attempts = 1e6 }, "attempts: given" },
    { { base = -1 }, "base: given -1, expected" }, { { base = 0 / 0 }, "base: given" },
    { { max = math.huge }, "max: given inf, expected" }, { { ambiguous = "yes" }, "ambiguous: given a string" },
    { { budget = true }, "budget: given true, expected" },
    { { budget = { tokens = -1 } }, "budget: tokens: given -1, expected" },
    { { budget = { coins = 1 } }, "budget: unknown option coins" },
    { { attemps = 3 }, "unknown option attemps (did you mean attempts?)" }, { "often", "options: given a string" },
  } do
    it("refuses " .. case[2], function()
      local policy, problem = retry.policy(case[1])
      assert.is_nil(policy)
      assert.equal(1, problem:find("retry: " .. case[2], 1, true), problem)
    end)
  end

  it("lays what a call says over what its client has", function()
    local client = assert(retry.policy { attempts = 2, base = 3, budget = false })
    local policy = assert(retry.policy({ base = 1 }, client))
    assert.same({ attempts = 2, base = 1, max = 8, ambiguous = false, budget = false }, policy)
    assert.same({ attempts = 2, base = 3, max = 8, ambiguous = false, budget = false }, client)
  end)
end)

describe("retry.delay", function()
  local policy = assert(retry.policy())

  it("doubles its bound from base up to max", function()
    for n, bound in ipairs { 0.5, 1, 2, 4, 8, 8, 8 } do
      assert.are.equal(0, retry.delay(policy, n, always(0)))
      assert.are.equal(bound / 2, retry.delay(policy, n, always(0.5)))
    end
    assert.are.equal(4, retry.delay(policy, 5000, always(0.5)))
  end)

  it("stays within the bound for real random numbers", function()
    for n = 1, 200 do
      local pause = retry.delay(policy, n % 7 + 1, math.random)
      assert.is_true(pause >= 0 and pause <= 8)
    end
  end)

  it("never comes earlier than Retry-After, and spreads a little behind it", function()
    assert.are.equal(30, retry.delay(policy, 1, always(0), 30))
    assert.are.equal(30.25, retry.delay(policy, 1, always(0.5), 30))
    assert.are.equal(120, retry.delay(policy, 1, always(0), 120))
  end)

  it("gives up on a Retry-After over 120 s", function()
    assert.is_nil(retry.delay(policy, 1, always(0), 120.5))
    assert.is_nil(retry.delay(policy, 1, always(0), 1e9))
  end)

  it("ignores a Retry-After that is no time", function()
    for _, value in ipairs { 0, -5, 0 / 0, math.huge, "7" } do
      assert.are.equal(0.25, retry.delay(policy, 1, always(0.5), value))
    end
  end)
end)

describe("retry.budget", function()
  it("pays 5 for a repeat, 10 for a time-out, earns 1 a success and never more than it began with", function()
    local bucket = retry.budget()
    bucket:success()
    assert.are.equal(500, bucket.tokens)
    assert.is_true(bucket:spend("retry"))
    assert.are.equal(495, bucket.tokens)
    assert.is_true(bucket:spend("timeout"))
    assert.are.equal(485, bucket.tokens)
    bucket:success()
    assert.are.equal(486, bucket.tokens)
  end)

  it("allows 100 repeats in a row and then no more until something succeeds", function()
    local bucket = retry.budget()
    for _ = 1, 100 do assert.is_true(bucket:spend("retry")) end
    assert.is_false(bucket:spend("retry"))
    for _ = 1, 5 do bucket:success() end
    assert.is_false(bucket:spend("timeout"))
    assert.is_true(bucket:spend("retry"))
  end)

  it("takes its own figures, and false for none", function()
    local bucket = retry.budget { tokens = 3, retry = 2, timeout = 3, success = 1 }
    assert.is_true(bucket:spend())
    assert.is_false(bucket:spend())
    local endless = retry.budget(false)
    for _ = 1, 1000 do assert.is_true(endless:spend("timeout")) end
    endless:success()
  end)
end)
