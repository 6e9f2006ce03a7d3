--- Deadlines, of which the earliest is at hand. Entries know their place, so that one can be taken out before it is due:
--- ten thousand sleeping waits cost nothing until the first of them is.
---
--- Most come in the order in which they are due, and stand in a line; the others in a binary heap beside it. Of a heap of
--- 2,000 that are all due now, each costs 200 instructions of Lua to take out; of a line, 20.

local huge = math.huge
local pairs, setmetatable, type = pairs, setmetatable, type

local M = {}
M.__index = M

-- A line with fewer places is not made anew.
local MANY = 1000

function M.new()
  -- The heap is the table itself, up to `size`. The line goes from `head` to `tail`, and false stands where an entry was
  -- taken out, but neither first nor last; `count` is how many stand there, `last` when its last one is due.
  return setmetatable({ size = 0, line = {}, head = 1, tail = 0, count = 0, last = -huge }, M)
end

local function rise(heap, entry, at)
  while at > 1 do
    local up = (at - at % 2) / 2
    local parent = heap[up]
    if parent.due <= entry.due then break end
    heap[at], parent.at = parent, at
    at = up
  end
  heap[at], entry.at = entry, at
end

local function sink(heap, entry, at, size)
  while true do
    local down = at * 2
    if down > size then break end
    if down < size and heap[down + 1].due < heap[down].due then down = down + 1 end
    local child = heap[down]
    if entry.due <= child.due then break end
    heap[at], child.at = child, at
    at = down
  end
  heap[at], entry.at = entry, at
end

-- Under a constant load a line is never empty, and its first one may stay for a day while others come and go: it is made
-- anew when most of its places are left.
local function close_up(heap)
  local line, count = {}, 0
  for at = heap.head, heap.tail do
    local entry = heap.line[at]
    if entry then
      count = count + 1
      line[count], entry.at = entry, -count
    end
  end
  heap.line, heap.head, heap.tail = line, 1, count
end

-- Takes an entry out of the line.
local function leave_line(heap, entry, at)
  local line, head, tail, count = heap.line, heap.head, heap.tail, heap.count - 1
  line[at], entry.at, heap.count = false, nil, count
  if count == 0 then
    if tail > MANY then heap.line = {} end
    heap.head, heap.tail, heap.last = 1, 0, -huge
    return
  end
  if at == head then
    repeat head = head + 1 until line[head]
    heap.head = head
  elseif at == tail then
    repeat tail = tail - 1 until line[tail]
    heap.tail, heap.last = tail, line[tail].due
  end
  if tail > MANY and count * 2 < tail then close_up(heap) end
end

-- Takes an entry out of the heap.
local function leave_heap(heap, entry, at)
  local size = heap.size
  local last = heap[size]
  heap[size], entry.at = nil, nil
  heap.size = size - 1
  if last ~= entry then
    rise(heap, last, at)
    if last.at == at then sink(heap, last, at, size - 1) end
  end
end

---Adds an entry; `entry.due` is its time, `entry.at` its place: above 0 in the heap, below in the line.
---@param entry { due: number }
function M:add(entry)
  local due = entry.due
  self.changing = true
  if due >= self.last then
    local at = self.tail + 1
    self.line[at], entry.at = entry, -at
    self.tail, self.count, self.last = at, self.count + 1, due
  else
    self.size = self.size + 1
    rise(self, entry, self.size)
  end
  self.changing = false
end

---@return boolean
function M:has(entry)
  local at = entry.at
  return at ~= nil and (at < 0 and self.line[-at] or self[at]) == entry
end

---Takes an entry out; one that is not in it is left alone.
---@param entry { due: number, at: integer|nil }
function M:remove(entry)
  local at = entry.at
  if not at or (at < 0 and self.line[-at] or self[at]) ~= entry then return end
  self.changing = true
  if at < 0 then leave_line(self, entry, -at) else leave_heap(self, entry, at) end
  self.changing = false
end

---After a change that an error interrupted half way: puts what is there in order. An entry that fell out has no place.
---@return boolean mended  there was such a change
function M:mend()
  if not self.changing then return false end
  local entries = {}
  for at, entry in pairs(self) do
    if type(at) == "number" then entries[at] = entry end
  end
  for at, entry in pairs(self.line) do entries[-at] = entry or nil end
  self.size, self.line, self.head, self.tail, self.count, self.last = 0, {}, 1, 0, 0, -huge
  for at, entry in pairs(entries) do self[at], entry.at = nil, nil end
  for _, entry in pairs(entries) do
    if not entry.at then self:add(entry) end -- one that was being moved stands there twice
  end
  self.changing = false
  return true
end

---The earliest entry, or nil.
---@return table|nil
function M:first()
  local first = self.line[self.head] or nil
  if self.size == 0 then return first end
  local top = self[1]
  return first and first.due <= top.due and first or top
end

---The time of the earliest entry, or nil.
---@return number|nil
function M:due()
  local first = self:first()
  return first and first.due
end

---Takes out and returns the earliest entry if it is due.
---@param now number
function M:pop(now)
  local first = self:first()
  if first and first.due <= now then
    self:remove(first)
    return first
  end
end

return M
