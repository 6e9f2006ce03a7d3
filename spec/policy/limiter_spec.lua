--- limiter.lua: never more orders than the window allows, looks spaced and shared, all on an injected clock.

local limiter = require "veo.policy.limiter"

local function clock()
  local self = { time = 1000 }
  function self.now() return self.time end
  return self
end

local function near(expected, actual)
  assert.is_true(math.abs(expected - actual) < 1e-6, ("expected %g, got %g"):format(expected, actual))
end

describe("limiter.window", function()
  it("lets 20 go at once and the 21st after the first is 10 s old", function()
    local c = clock()
    local w = limiter.window { now = c.now }
    for _ = 1, 20 do assert.are.equal(0, w:reserve()) end
    near(10, w:peek())
    near(10, w:reserve())
    c.time = 1009.5
    near(0.5, w:reserve())
    c.time = 1010
    for _ = 1, 20 do assert.are.equal(0, w:reserve()) end
    near(10, w:reserve())
  end)

  it("slides: slots come back one by one", function()
    local c = clock()
    local w = limiter.window { count = 2, window = 10, now = c.now }
    assert.are.equal(0, w:reserve())
    c.time = 1004
    assert.are.equal(0, w:reserve())
    near(6, w:reserve())
    c.time = 1010
    assert.are.equal(0, w:reserve())
    near(4, w:reserve())
  end)

  it("peeks without taking", function()
    local w = limiter.window { count = 1, window = 10, now = clock().now }
    for _ = 1, 5 do assert.are.equal(0, w:peek()) end
    assert.are.equal(0, w:reserve())
    near(10, w:peek())
  end)

  it("holds them back for two minutes at most", function()
    local w, p = limiter.window { now = clock().now }, limiter.polls { now = clock().now }
    w:refused(500000)
    near(120, w:reserve())
    near(120, select(2, w:reserve()))
    p:refused(500000)
    near(120, p:reserve())
  end)

  it("holds every order back after a refusal", function()
    local c = clock()
    local w = limiter.window { now = c.now }
    w:refused(7)
    near(7, w:reserve())
    w:refused(2) -- an earlier end does not shorten it
    near(7, w:reserve())
    c.time = 1007
    assert.are.equal(0, w:reserve())
    w:refused()
    near(1, w:reserve()) -- a tenth of the window when the service names no time
    for _, odd in ipairs { 0, -1, 0 / 0, "5" } do w:refused(odd) end
    near(1, w:reserve())
  end)

  it("never passes the rate, whatever the order of events", function()
    local c = clock()
    local w = limiter.window { count = 5, window = 10, now = c.now }
    local sent = {}
    for i = 1, 3000 do
      c.time = c.time + (i * 7919 % 100) / 60
      if i % 97 == 0 then w:refused() end
      if w:reserve() == 0 then sent[#sent + 1] = c.time end
    end
    for i = 6, #sent do assert.is_true(sent[i] - sent[i - 5] >= 10 - 1e-9) end
    assert.is_true(#sent > 500)
  end)

  it("refuses figures that are none", function()
    for _, options in ipairs { { count = 0 }, { count = 1.5 }, { count = "20" }, { window = 0 }, { window = 0 / 0 } } do
      options.now = clock().now
      assert.has_error(function() limiter.window(options) end)
    end
  end)

  it("gives a slot back, and no other one", function()
    local c = clock()
    local w = limiter.window { count = 3, window = 10, now = c.now }
    local taken = {}
    for i = 1, 3 do
      local _, _, at = w:reserve()
      taken[i] = at
      c.time = c.time + 1
    end
    near(7, w:peek())
    w:give_back(taken[2])
    assert.are.equal(0, (w:reserve())) -- at 1003
    near(7, w:peek()) -- of 1000 still
    c.time = 1010
    assert.are.equal(0, (w:reserve()))
    near(2, w:peek()) -- of 1002: that of 1001 is gone
    w:give_back(1) -- nobody's
    near(2, w:peek())
  end)
end)

describe("limiter.polls", function()
  it("spaces looks by a tenth of a second", function()
    local p = limiter.polls { rate = 10, now = clock().now }
    for i = 0, 9 do near(i / 10, p:reserve(100)) end
  end)

  it("does not make a lone look wait", function()
    local c = clock()
    local p = limiter.polls { rate = 10, now = c.now }
    assert.are.equal(0, p:reserve(1))
    c.time = 1000.1
    assert.are.equal(0, p:reserve(1))
    c.time = 1060
    assert.are.equal(0, p:reserve(1))
  end)

  it("saves nothing up while nobody looks", function()
    local c = clock()
    local p = limiter.polls { rate = 10, now = c.now }
    p:reserve(1)
    c.time = 2000
    assert.are.equal(0, p:reserve(2))
    near(0.1, p:reserve(2))
  end)

  it("forgets bookings of waits that have ended", function()
    local p = limiter.polls { rate = 10, now = clock().now }
    for _ = 1, 1000 do p:reserve(1000) end
    near(0.2, p:reserve(2))
  end)

  it("stretches intervals so that all waits together keep the rate", function()
    local p = limiter.polls { rate = 10, now = clock().now }
    local interval, stretched = p:stretch(10, 5)
    assert.are.equal(5, interval)
    assert.is_false(stretched)
    interval, stretched = p:stretch(200, 5)
    near(20, interval)
    assert.is_true(stretched)
  end)

  it("gives a thousand waits the same share, at ten looks a second", function()
    local c = clock()
    local p = limiter.polls { rate = 10, now = c.now }
    local due, looks, total = {}, {}, 0
    for i = 1, 100 do due[i], looks[i] = c.time, 0 end
    local finish = c.time + 100
    while true do
      local first = 1
      for i = 2, 100 do
        if due[i] < due[first] then first = i end
      end
      if due[first] > finish then break end
      c.time = math.max(c.time, due[first])
      local at = c.time + p:reserve(100)
      looks[first] = looks[first] + 1
      total = total + 1
      due[first] = at + p:stretch(100, 2)
    end
    assert.is_true(total <= 1001 + 100, total)
    for i = 1, 100 do assert.is_true(looks[i] >= 9 and looks[i] <= 12, looks[i]) end
  end)

  it("moves all looks after a refusal", function()
    local c = clock()
    local p = limiter.polls { rate = 10, now = c.now }
    p:refused(3)
    near(3, p:reserve(5))
    near(3.1, p:reserve(5))
    c.time = 1003
    p = limiter.polls { rate = 10, now = c.now }
    p:refused()
    near(1, p:reserve(50))
  end)

  it("can be switched off", function()
    for _, rate in ipairs { 0, false, math.huge } do
      local p = limiter.polls { rate = rate, now = clock().now }
      for _ = 1, 100 do assert.are.equal(0, p:reserve(10000)) end
      assert.are.equal(2, (p:stretch(10000, 2)))
      p:refused(4)
      near(4, p:reserve(1))
    end
  end)

  it("refuses a rate that is none", function()
    for _, rate in ipairs { -1, "10", 0 / 0 } do
      assert.has_error(function() limiter.polls { rate = rate, now = clock().now } end)
    end
  end)

  it("tells whoever booked before a refusal to book anew, behind what it holds back", function()
    local c = clock()
    local p = limiter.polls { rate = 10, now = c.now }
    for _ = 1, 50 do p:reserve(50) end
    local before = p.changes
    p:refused(3)
    assert.is_true(p.changes ~= before)
    near(3, p:reserve(50))
  end)

  describe("with an adaptive rate", function()
    local c, p

    before_each(function()
      c = clock()
      p = limiter.polls { now = c.now }
    end)

    -- How many looks may go within so many seconds from now, for waits that are always due.
    local function looks(seconds)
      local finish, count = c.time + seconds, 0
      while true do
        c.time = c.time + p:reserve(1)
        if c.time >= finish - 1e-9 then break end
        count = count + 1
        c.time = c.time + 1e-12
      end
      c.time = finish
      return count
    end

    it("begins with ten a second, and gains one with each second", function()
      for second = 0, 4 do
        local count = looks(1)
        assert.is_true(math.abs(count - (10 + second)) <= 1, second .. ": " .. count)
      end
    end)

    it("gains up to a hundred", function()
      c.time = c.time + 500
      assert.is_true(math.abs(looks(10) - 1000) <= 1)
    end)

    it("books ahead at the rates that are to come", function()
      local last
      for _ = 1, 10000 do last = p:reserve(10000) end
      -- 90 seconds for the first 4950, then a hundred a second.
      assert.is_true(math.abs(last - 140.5) < 2, last)
      assert.is_true(math.abs(p:stretch(10000, 5) - 140.5) < 2, (p:stretch(10000, 5)))
      assert.equal(5, (p:stretch(50, 5)))
    end)

    it("is halved by a refusal, at most once a second, and never under one", function()
      c.time = c.time + 500
      for _ = 1, 100 do p:refused() end
      assert.is_true(math.abs(looks(0.9) - 45) <= 1)
      c.time = c.time + 0.2
      p:refused()
      local count = looks(1)
      assert.is_true(math.abs(count - 25) <= 1, count)
      for _ = 1, 20 do
        p:refused()
        c.time = c.time + 1
      end
      p:refused()
      assert.is_true(looks(0.9) <= 1)
      assert.is_true(looks(10) >= 10) -- and grows again
    end)

    it("gains nothing while each second has a refusal", function()
      p:refused()
      for _ = 1, 10 do
        c.time = c.time + 0.9
        p:refused()
      end
      assert.is_true(looks(0.9) <= 5)
    end)

    it("pauses only where the service names a time", function()
      p:refused()
      near(1 / 5, p:reserve(1))
      p:refused(2)
      near(2, p:reserve(1))
    end)

    it("tells whoever booked to book anew, at the lower rate", function()
      for _ = 1, 1000 do p:reserve(1000) end
      local before = p.changes
      c.time = c.time + 1.5
      p:refused()
      assert.is_true(p.changes ~= before)
      near(1 / 5.5, p:reserve(1000)) -- not at once, or each refusal would let one go
      near(2 / 5.5, p:reserve(1000))
    end)
  end)
end)
