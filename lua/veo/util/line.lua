--- A line of values that its owner goes through: they stand from `head` to `tail`, and false where none does any more,
--- for nil would have the table rehashed over and over. An error may come at any instruction: nobody falls out by it.

local M = {}

-- A line with fewer places is not made anew.
local MANY = 1000

---@return { head: integer, tail: integer, [integer]: any }
function M.new()
  return { head = 1, tail = 0 }
end

---@param value any  neither nil nor false
function M.push(line, value)
  local tail = line.tail + 1
  line[tail] = value
  line.tail = tail
end

---Under a constant load a line is never empty: it is made anew when most of it is behind its head.
---@return table line  from here on
function M.close_up(line)
  local head, tail = line.head, line.tail
  while head <= tail and not line[head] do head = head + 1 end
  line.head = head
  if head > tail then
    line.head = 1 -- in this order: between the two, an error may come
    line.tail = 0
  elseif head > MANY and head * 2 > tail then
    local anew = M.new()
    for at = head, tail do M.push(anew, line[at]) end
    return anew
  end
  return line
end

return M
