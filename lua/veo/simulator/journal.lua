--- What the simulator was asked: every request counted, the last ones kept.
local M = {}
M.__index = M

--- @param keep integer how many requests are kept
function M.new(keep)
  return setmetatable({ keep = keep, first = 1, last = 0, list = {}, counts = {}, violations = {} }, M)
end

function M:reset()
  self.first, self.last, self.list, self.counts, self.violations = 1, 0, {}, {}, {}
end

--- Keeps a request; its number says how many came before it.
function M:add(entry)
  self.last = self.last + 1
  entry.number = self.last
  self.list[self.last] = entry
  local key = entry.method .. " " .. entry.path
  self.counts[key] = (self.counts[key] or 0) + 1
  if self.last - self.first >= self.keep then
    self.list[self.first] = nil
    self.first = self.first + 1
  end
end

--- Keeps what a good client never does.
function M:violation(entry, text)
  self.violations[#self.violations + 1] = {
    request = entry.number, what = text, method = entry.method, path = entry.path,
  }
end

local fields = { "method", "path", "endpoint", "listener", "connection", "task_id" }

--- The kept requests that fit: exact values of method, path, endpoint, listener, connection, task_id; after = number.
function M:find(filter)
  local found = {}
  for number = self.first, self.last do
    local entry, fits = self.list[number], number > (filter.after or 0)
    for _, field in ipairs(fields) do
      if filter[field] ~= nil and entry[field] ~= filter[field] then fits = false end
    end
    if fits then found[#found + 1] = entry end
  end
  return found
end

return M
