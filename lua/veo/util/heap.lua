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
  return setmetatable({ size = 0, line = {}, head = 1, tail = 0, count = 0, last = -huge, changing = false }, M)
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

local function put(heap, entry)
  local due = entry.due
  if due >= heap.last then
    local at = heap.tail + 1
    heap.line[at], entry.at = entry, -at
    heap.tail, heap.count, heap.last = at, heap.count + 1, due
  else
    heap.size = heap.size + 1
    rise(heap, entry, heap.size)
  end
end

-- Puts what is there in order. An entry that fell out has no place.
local function rebuild(heap)
  local entries = {}
  for at, entry in pairs(heap) do
    if type(at) == "number" then entries[at] = entry end
  end
  for at, entry in pairs(heap.line) do entries[-at] = entry or nil end
  heap.size, heap.line, heap.head, heap.tail, heap.count, heap.last = 0, {}, 1, 0, 0, -huge
  for at, entry in pairs(entries) do heap[at], entry.at = nil, nil end
  for _, entry in pairs(entries) do
    if not entry.at then put(heap, entry) end -- one that was being moved stands there twice
  end
end

-- While an entry is added or taken out `changing` is true. Where an error interrupted that, the next change puts all in
-- order, and it is FELL until somebody mends, who alone knows which entries may have fallen out.
local FELL = "fell"
local function interrupted(heap)
  if heap.changing == true then
    rebuild(heap)
    heap.changing = FELL
  end
  return FELL
end

local function take(heap, entry)
  local at = entry.at
  if not at then return end
  if at < 0 and heap.line[-at] == entry then
    leave_line(heap, entry, -at)
  elseif heap[at] == entry then
    leave_heap(heap, entry, at)
  end
end

---Adds an entry; `entry.due` is its time, `entry.at` its place: above 0 in the heap, below in the line.
---@param entry { due: number }
function M:add(entry)
  local before = self.changing
  if before then
    before = interrupted(self)
    take(self, entry) -- the error may have come while it was taken out
  end
  self.changing = true
  put(self, entry)
  self.changing = before
end

---@return boolean
function M:has(entry)
  local at = entry.at
  return at ~= nil and (at < 0 and self.line[-at] or self[at]) == entry
end

---Takes an entry out; one that is not in it is left alone.
---@param entry { due: number, at: integer|nil }
function M:remove(entry)
  local before = self.changing and interrupted(self)
  self.changing = true
  take(self, entry)
  self.changing = before
end

---After a change that an error interrupted half way: all is in order, but entries may have fallen out.
---@return boolean mended  there was such a change
function M:mend()
  if not self.changing then return false end
  if self.changing == true then rebuild(self) end
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
