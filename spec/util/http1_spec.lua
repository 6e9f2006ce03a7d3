-- Lines of a connection: the same ones however they are cut, at a cost that no sender can drive up.

local cqueues = require "cqueues"
local http1 = require "veo.util.http1"
local sockets = require "cqueues.socket"

-- What `fn` returns for a connection on which these pieces come one after the other.
local function reading(pieces, bounds, fn)
  local ours, theirs = sockets.pair()
  theirs:setmode("bn", "bn")
  local loop, result = cqueues.new(), nil
  loop:wrap(function()
    for _, piece in ipairs(pieces) do
      theirs:send(piece, 1, #piece)
      cqueues.sleep(0) -- the other one reads
    end
    theirs:shutdown "w"
  end)
  loop:wrap(function() result = fn(http1.connection(ours, bounds)) end)
  assert(loop:loop())
  ours:close()
  theirs:close()
  return result
end

local function lines(limit)
  return function(connection)
    local out = {}
    repeat
      local line, why = connection:line(limit)
      out[#out + 1] = line and "<" .. line .. ">" or why
    until not line
    return table.concat(out, " ")
  end
end

local CASES = {
  { "a\r\nbc\r\n\r\nd\r\n", "<a> <bc> <> <d> closed" },
  { "a\r\nb", "<a> closed" },
  { "a\nb\r\n", "bare" },
  { "a\r\n\nb\r\n", "<a> bare" },
  { "\n", "bare" },
  { "\r\n", "<> closed" },
  { "\r\r\n", "<\r> closed" },
  { "12345\r\n123456\r\n", "<12345> long" },
  { "123456789", "long" },
  { "\r", "closed" },
}

describe("a line", function()
  for n, case in ipairs(CASES) do
    it(("is the same however it comes: %d"):format(n), function()
      local text, expected = case[1], case[2]
      for cut = 0, #text do
        assert.equal(expected, reading({ text:sub(1, cut), text:sub(cut + 1) }, {}, lines(5)), cut)
      end
      local bytes = {}
      for i = 1, #text do bytes[i] = text:sub(i, i) end
      assert.equal(expected, reading(bytes, {}, lines(5)))
      assert.equal(expected, reading({ text }, { read = 1 }, lines(5)))
    end)
  end

  it("behind a body that ends with CR does not take that for its own", function()
    assert.equal("bare", reading({ "x\r\n" }, {}, function(connection)
      assert(connection:take(2, function() end))
      return select(2, connection:line(5))
    end))
  end)

  it("leaves nothing to the collector where a thousand are the same", function()
    local grown = reading({ ("0;\r\n"):rep(1000) }, {}, function(connection)
      assert(connection:line(10)) -- all of them are there
      collectgarbage()
      collectgarbage("stop")
      local before = collectgarbage("count")
      for _ = 1, 999 do assert(connection:line(10)) end
      local after = collectgarbage("count")
      collectgarbage("restart")
      return after - before
    end)
    assert.is_true(grown < 20, grown) -- a table and pieces for each line were 100 KiB and more
  end)

  it("is read in pieces no longer than its bounds allow", function()
    local most = 0
    reading({ ("a"):rep(20000) .. "\r\n" }, { read = 4096 }, function(connection)
      repeat
        most = math.max(most, #connection.buffer - connection.at + 1)
      until not connection:fill()
    end)
    assert.equal(4096, most)
  end)
end)
