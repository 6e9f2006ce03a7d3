--- errors.lua: the class table is complete, explanations say cause and next step, copies stay errors.

local errors = require "veo.errors"

-- Every code that design and interfaces name.
local CODES = {
  "invalid", "unauthorized", "insufficient_credits", "forbidden", "key_limit", "rejected", "not_found", "expired",
  "rate_limited", "unavailable", "disabled", "failed", "server", "malformed", "network", "timeout", "uncertain",
  "not_video", "exists", "io", "too_large", "cancelled", "closed", "busy", "no_result", "duplicate", "budget",
  "ledger", "unverified", "job_failed", "changed", "missing", "redirect", "internal",
}

describe("errors", function()
  for _, code in ipairs(CODES) do
    it("explains " .. code .. " with cause, next step and money", function()
      local class = assert(errors.codes[code])
      assert.is_truthy(class.summary:find("%.$"))
      assert.is_truthy(class.next:find("%.$"))
      assert.is_truthy(({ no = true, maybe = true, yes = true })[class.charged])
      local told = errors.new({ code = code, message = "something happened" }):explain()
      assert.is_truthy(told:find("something happened", 1, true))
      assert.is_truthy(told:find(class.summary, 1, true))
      assert.is_truthy(told:find(class.next, 1, true))
      local _, sentences = told:gsub("%.%f[%s%z]", "")
      assert.is_true(sentences >= 3, told)
    end)
  end

  it("has no class that nobody names", function()
    local named = {}
    for _, code in ipairs(CODES) do named[code] = true end
    for code in pairs(errors.codes) do assert.is_true(named[code], code) end
  end)

  it("prints as code and message, and joins texts", function()
    local err = errors.new { code = "network", message = "status: no route", excerpt = "hidden body" }
    assert.are.equal("network: status: no route", tostring(err))
    assert.are.equal("oh: network: status: no route", "oh: " .. err)
    assert.are.equal("network: status: no route!", err .. "!")
  end)

  it("takes the class's words when there is no message", function()
    assert.are.equal(errors.codes.busy.summary, errors.new({ code = "busy" }).message)
  end)

  it("refuses a code that is not in the table, at the caller's line", function()
    local ok, message = pcall(errors.new, { code = "odd", message = "x" })
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find("unknown error code: odd", 1, true))
  end)

  it("does not keep the table it was made from", function()
    local fields = { code = "io", message = "m", path = "a" }
    local err = errors.new(fields)
    fields.path = "b"
    assert.are.equal("a", err.path)
  end)

  it("survives copying without its metatable", function()
    local copy = {}
    for name, value in pairs(errors.new { code = "timeout", message = "m", taskId = "t" }) do copy[name] = value end
    assert.is_true(errors.is(copy))
    assert.is_truthy(errors.explain(copy):find("waiting again is free", 1, true))
    assert.is_truthy(errors.new(copy):explain():find("waiting again is free", 1, true))
  end)

  it("tells errors from other values", function()
    assert.is_true(errors.is(errors.new { code = "io", message = "m" }))
    for _, other in ipairs { "io: m", 5, true, {}, { code = 200, message = "ok" }, { code = "io" },
      { code = "strange", message = "m" }, { state = "failed", taskId = "t" } } do
      assert.is_false(errors.is(other))
    end
    assert.is_false(errors.is(nil))
  end)

  it("says that a timed-out task goes on and costs all the same", function()
    local told = errors.new({ code = "timeout", message = "wait: 1200 s are over", taskId = "t" }):explain()
    assert.is_truthy(told:find("goes on at the service", 1, true))
    assert.is_truthy(told:find("is charged", 1, true))
  end)

  it("says why an uncertain call was not repeated and how to find out", function()
    local err = errors.new { code = "uncertain", message = "extend: no answer" }
    local told = err:explain()
    for _, part in ipairs { "may have reached the service", "not repeated", "credits()", "may have been charged" } do
      assert.is_truthy(told:find(part, 1, true), part)
    end
    err.taskId = "t9"
    assert.is_truthy(err:explain():find("name the task t9", 1, true))
  end)

  it("adds what it knows: suggestion, Retry-After, attempts, an own word on money", function()
    local told = errors.new({
      code = "rate_limited", message = "m", field = "model", suggestion = "fast", retry_after = 130, attempts = 4,
      charged = "maybe",
    }):explain()
    for _, part in ipairs { "Did you mean fast?", "130 seconds", "tried 4 times", "may have been charged" } do
      assert.is_truthy(told:find(part, 1, true), part)
    end
  end)

  it("says that an order is paid that it came after, where it is not known otherwise", function()
    for code, class in pairs(errors.codes) do
      local err = errors.new { code = code }
      assert.equal(err, errors.paid(err))
      assert.equal(class.charged == "no" and "yes" or nil, err.charged)
    end
    assert.equal("maybe", errors.paid(errors.new { code = "network", charged = "maybe" }).charged)
  end)

  it("ends its message with a hint, which others may fill with their own words", function()
    local err = errors.new { code = "invalid", message = "a {ref}", hint = "settle it ({settle_lost})", ref = "r1" }
    assert.equal('a {ref}; settle it (client:settle("r1", "lost"))', err.message)
    assert.equal(err.message, errors.new(err).message)
    local words = { settle_lost = function(of) return "close " .. of.ref end }
    assert.equal("a {ref}; settle it (close r1)", errors.message(err, words))
    err.message = "hop 2: " .. err.message .. ", so it ended"
    assert.equal("hop 2: a {ref}; settle it (close r1), so it ended", errors.message(err, words))
    err.message = "another"
    assert.equal("another", errors.message(err, words))
  end)

  it("fills what a service says into no place", function()
    local err = errors.new { code = "uncertain", message = "{wait}", taskId = "{credits}" }
    assert.matches("{wait}", err:explain(), 1, true)
    assert.matches("the task {credits}:", err:explain(), 1, true)
  end)

  it("leaves no place of its table unfilled", function()
    for code, class in pairs(errors.codes) do
      assert.is_nil(class.next:find("[{}]"), code)
      assert.same({ class.summary, class.next }, { (errors.about(code)), (select(2, errors.about(code))) })
    end
    assert.is_nil(errors.about("odd"))
  end)

  it("names the task, or its order, in every text", function()
    local err = errors.new { code = "network", message = "status: no route", taskId = "t-1" }
    assert.equal("network: status: no route (taskId t-1)", tostring(err))
    err.message = "task t-1: no route"
    assert.equal("network: task t-1: no route", tostring(err))
    assert.equal("io: full (order r-1)", tostring(errors.new { code = "io", message = "full", ref = "r-1" }))
  end)

  describe("that nobody catches", function()
    local helper = require "spec.support.helper"
    local folder
    setup(function() folder = helper.folder() end)
    teardown(helper.sweep)

    local function uncaught(line)
      helper.write(folder .. "/x.lua", 'local veo = require "veo"\nlocal err = veo.errors.new { code = "uncertain", '
        .. 'message = "extend: no answer", taskId = "paid-1" }\nlocal function call() return nil, err end\n' .. line)
      return helper.output("cd " .. folder .. " && " .. helper.lua() .. " x.lua 2>&1")
    end
    local SHOWN = "x%.lua:4: uncertain: extend: no answer %(taskId paid%-1%)"
    -- The assert of Lua 5.1 takes no table; its stand-alone prints none.
    local plain = require("veo.errors.place").takes_tables

    it("is shown with file and line", function()
      assert.matches(SHOWN, uncaught "veo.assert(call())")
      assert.matches(SHOWN, uncaught 'veo.new({ api_key = "k", base_url = "http://127.0.0.1:9" }):wait(call())')
      if not plain then return end
      assert.matches(SHOWN, uncaught "assert(call())")
      assert.matches(SHOWN, uncaught "error(err)")
      assert.matches(SHOWN, uncaught "print(select(2, xpcall(function() assert(call()) end, tostring)))")
    end)

    it("has them in no other text", function()
      assert.matches("^uncertain: ", uncaught "print(err)")
      assert.matches("^uncertain: ", uncaught "print(select(2, pcall(veo.errors.raise, err)))"
        :gsub("^x%.lua:4: ", plain and "%0" or ""))
    end)
  end)

  it("has an assert that is Lua's", function()
    local function packed(...) return { n = select("#", ...), ... } end
    assert.same({ 1, "b", nil, 4, n = 4 }, packed(errors.assert(1, "b", nil, 4)))
    local err = errors.new { code = "io", message = "m" }
    for _, case in ipairs { { nil, "assertion failed!" }, { "text", "text" }, { 5, 5 } } do
      assert.same({ false, case[2] }, { pcall(errors.assert, nil, case[1]) })
    end
    local job = coroutine.wrap(function() return select(2, pcall(errors.assert, false, err)) end)
    assert.equal(err, job())
  end)
end)
