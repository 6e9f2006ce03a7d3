-- The heap of deadlines.

local heaps = require "veo.util.heap"

describe("timers", function()
  local function entries(list)
    local heap, made = heaps.new(), {}
    for i, due in ipairs(list) do
      made[i] = { due = due, name = i }
      heap:add(made[i])
    end
    return heap, made
  end

  local function drain(heap, now)
    local dues = {}
    local entry = heap:pop(now or math.huge)
    while entry do
      dues[#dues + 1] = entry.due
      entry = heap:pop(now or math.huge)
    end
    return dues
  end

  it("is empty at first", function()
    local heap = heaps.new()
    assert.is_nil(heap:due())
    assert.is_nil(heap:pop(math.huge))
  end)

  it("gives the earliest first", function()
    local heap = entries { 5, 3, 9, 1, 7, 3 }
    assert.equal(1, heap:due())
    assert.same({ 1, 3, 3, 5, 7, 9 }, drain(heap))
    assert.is_nil(heap:due())
  end)

  it("keeps what is not due", function()
    local heap = entries { 5, 3, 9 }
    assert.same({ 3, 5 }, drain(heap, 5))
    assert.equal(9, heap:due())
    assert.is_nil(heap:pop(8.9))
  end)

  it("lets any entry be taken out, once", function()
    for out = 1, 6 do
      local list = { 5, 3, 9, 1, 7, 4 }
      local heap, made = entries(list)
      heap:remove(made[out])
      heap:remove(made[out])
      assert.is_nil(made[out].at)
      table.remove(list, out)
      table.sort(list)
      assert.same(list, drain(heap))
    end
  end)

  it("takes an entry again that was popped", function()
    local heap, made = entries { 2, 1 }
    assert.equal(made[2], heap:pop(1))
    made[2].due = 3
    heap:add(made[2])
    assert.same({ 2, 3 }, drain(heap))
  end)

  it("keeps no place of a thousand that were there", function()
    local heap, made = heaps.new(), {}
    for round = 1, 3 do
      for i = 1, 5000 do
        made[i] = { due = round * 10000 + i }
        heap:add(made[i])
      end
      for i = 2, 4999 do heap:remove(made[i]) end
      assert.same({ round * 10000 + 1, round * 10000 + 5000 }, drain(heap))
      assert.is_true(#heap.line < 1000, #heap.line .. " places")
    end
  end)

  it("holds a few of many that come and go in their order", function()
    local heap = heaps.new()
    for i = 1, 10 do heap:add { due = i } end
    for i = 11, 20000 do
      heap:add { due = i }
      assert.equal(i - 10, heap:pop(math.huge).due)
    end
    assert.is_true(#heap.line < 3000, #heap.line .. " places")
  end)

  it("keeps no place of those that have left behind one that stays", function()
    local heap, before, stays = heaps.new(), nil, { due = 1 }
    heap:add(stays)
    for i = 2, 20000 do
      local entry = { due = i }
      heap:add(entry)
      if before then heap:remove(before) end
      before = entry
    end
    assert.is_true(#heap.line < 3000, #heap.line .. " places")
    assert.same({ 1, 20000 }, drain(heap))
    assert.is_nil(stays.at)
  end)

  local function interrupted(mends)
    local instructions, raised = 0, true
    while raised do
      instructions = instructions + 1
      local heap, made = entries { 1, 2, 3, 4, 9, 7, 5, 8 }
      local ok = pcall(function()
        debug.sethook(function()
          debug.sethook()
          error("interrupt", 0)
        end, "", instructions)
        heap:remove(made[2])
        heap:remove(made[5])
        heap:add(made[2])
        heap:pop(1)
        debug.sethook()
      end)
      raised = not ok
      mends(heap, made)
      for _, entry in ipairs(made) do
        if not heap:has(entry) then heap:add(entry) end
      end
      assert.same({ 1, 2, 3, 4, 5, 7, 8, 9 }, drain(heap))
    end
    assert.is_true(instructions > 50 or rawget(_G, "jit") ~= nil)
  end

  it("is put in order after an error at any instruction", function()
    interrupted(function(heap) heap:mend() end)
  end)

  it("is in order for changes that come before anybody has mended, and tells of the error all the same", function()
    local told = 0
    interrupted(function(heap, made)
      local other = { due = 6 }
      heap:add(other)
      heap:remove(made[6])
      made[2].due = 2
      heap:remove(made[2])
      heap:add(made[2])
      heap:remove(other)
      if heap:mend() then told = told + 1 end
      assert.is_false(heap:mend())
    end)
    assert.is_true(told > 20 or rawget(_G, "jit") ~= nil, told)
  end)

  it("stays in order through ten thousand adds, removals and pops", function()
    local heap, inside, seed = heaps.new(), {}, 42
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    for _ = 1, 10000 do
      local what = random(3)
      if what < 3 or #inside == 0 then
        local entry = { due = random(1000) }
        heap:add(entry)
        inside[#inside + 1] = entry
      else
        local gone = table.remove(inside, random(#inside))
        heap:remove(gone)
      end
      if random(5) == 1 then
        local first, at, least = heap:pop(math.huge), nil, math.huge
        for i, entry in ipairs(inside) do
          if entry == first then at = i end
          if entry.due < least then least = entry.due end
        end
        if first then
          assert.equal(least, first.due)
          table.remove(inside, at)
        end
      end
    end
    local dues = {}
    for i, entry in ipairs(inside) do dues[i] = entry.due end
    table.sort(dues)
    assert.same(dues, drain(heap))
  end)
end)
