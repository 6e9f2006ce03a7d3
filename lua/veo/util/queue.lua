--- A queue: first in, first out. Putting in and taking out cost the same however long it is, and its memory follows what
--- stands in it. An error may come at any instruction: what was put in stays in until it is taken out, in its order.

local setmetatable = setmetatable

local M = {}
M.__index = M

-- Fewer holes than this are left.
local HOLES = 64

local function never() return false end

---@param is_gone nil|fun(value: any): boolean  whether one may be dropped before its turn; see `M:gone`
function M.new(is_gone)
  -- The values stand from `head` to `tail`, and false where none does any more: nil would have the table rehashed over
  -- and over.
  return setmetatable({ is_gone = is_gone or never, line = { head = 1, tail = 0, gone = 0 } }, M)
end

---@param value any  neither nil nor false
function M:push(value)
  local line = self.line
  local tail = line.tail + 1
  line[tail] = value
  line.tail = tail
end

---@return any|nil value  the first
function M:first()
  local line = self.line
  while line.head <= line.tail and not line[line.head] do line.head = line.head + 1 end
  return line[line.head] or nil
end

---Iterates over all, in their order: `for value in queue:each() do`.
---@return fun(): any|nil
function M:each()
  local line, at = self.line, self.line.head - 1
  return function()
    repeat
      at = at + 1
      if at > line.tail then return nil end
    until line[at] and not self.is_gone(line[at])
    return line[at]
  end
end

-- Goes through the queue once there are as many holes as values, so that each costs a share of it.
local function close_up(self, line)
  local holes = line.head - 1 + line.gone
  if holes < HOLES or holes * 2 < line.tail then return end
  local fresh, tail = { head = 1, tail = 0, gone = 0 }, 0
  for value in self:each() do
    tail = tail + 1
    fresh[tail] = value
  end
  fresh.tail = tail
  self.line = fresh
end

---Takes the first out.
function M:pop()
  local line = self.line
  if not self:first() then return end
  line[line.head] = false
  line.head = line.head + 1
  close_up(self, line)
end

---One of them may be dropped, wherever it stands: `is_gone` says so of it.
function M:gone()
  local line = self.line
  line.gone = line.gone + 1
  close_up(self, line)
end

return M
