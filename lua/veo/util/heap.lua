--- A binary heap of deadlines. Entries know their place, so that one can be taken out before it is due: ten thousand
--- sleeping waits cost nothing until the first of them is.

local pairs, setmetatable, type = pairs, setmetatable, type

local M = {}
M.__index = M

function M.new()
  return setmetatable({ size = 0 }, M)
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

---Adds an entry; `entry.due` is its time, `entry.at` is the heap's.
---@param entry { due: number }
function M:add(entry)
  self.changing = true
  self.size = self.size + 1
  rise(self, entry, self.size)
  self.changing = false
end

---Takes an entry out; one that is not in the heap is left alone.
---@param entry { due: number, at: integer|nil }
function M:remove(entry)
  local at = entry.at
  if self[at or 0] ~= entry then return end
  self.changing = true
  local size = self.size
  local last = self[size]
  self[size], entry.at = nil, nil
  self.size = size - 1
  if last ~= entry then
    rise(self, last, at)
    if last.at == at then sink(self, last, at, size - 1) end
  end
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
  self.size = 0
  for at, entry in pairs(entries) do self[at], entry.at = nil, nil end
  for _, entry in pairs(entries) do
    if not entry.at then self:add(entry) end -- one that was being moved stands there twice
  end
  self.changing = false
  return true
end

---@return boolean
function M:has(entry)
  return entry.at ~= nil and self[entry.at] == entry
end

---The time of the earliest entry, or nil.
---@return number|nil
function M:due()
  local first = self[1]
  return first and first.due
end

---Takes out and returns the earliest entry if it is due.
---@param now number
function M:pop(now)
  local first = self[1]
  if first and first.due <= now then
    self:remove(first)
    return first
  end
end

return M
