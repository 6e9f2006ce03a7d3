--- Random numbers that are the same under every Lua for one seed (Lehmer, exact in doubles).
local M = {}
M.__index = M

---@param seed integer
function M.new(seed)
  local self = setmetatable({ state = seed % 2147483646 + 1 }, M)
  for _ = 1, 8 do self:draw() end
  return self
end

---In [0, 1).
function M:draw()
  self.state = self.state * 48271 % 2147483647
  return (self.state - 1) / 2147483646
end

---From 1 to n.
function M:upto(n) return math.floor(self:draw() * n) + 1 end

function M:chance(share) return self:draw() < share end

function M:pick(list) return list[self:upto(#list)] end

---One of { weight, value } pairs.
function M:weighted(pairs_of)
  local total = 0
  for _, pair in ipairs(pairs_of) do total = total + pair[1] end
  local at = self:draw() * total
  for _, pair in ipairs(pairs_of) do
    at = at - pair[1]
    if at < 0 then return pair[2] end
  end
  return pairs_of[#pairs_of][2]
end

return M
