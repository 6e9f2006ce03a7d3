--- What came of the rows, in words: every row that failed is named, those with the same problem together.
local M = {}
local Report = {}
Report.__index = Report

function M.new() return setmetatable({ tried = 0, failed = {}, of = {} }, Report) end

-- Numbers and names that differ from row to row.
local function alike(text) return (text:gsub("%d+", "#"):gsub("%c", " ")) end

---Takes note of a row.
function Report:add(row, problem)
  self.tried = self.tried + 1
  local name = row.ending.name
  self.of[name] = self.of[name] or { tried = 0 }
  self.of[name].tried = self.of[name].tried + 1
  if not problem then return end
  local list = self.of[name]
  list[#list + 1] = { problem = alike(problem), row = ("%s → %s over %s, %s%s"):format(row.first.name,
    row.seconds[1].name, row.transport, row.beside and "beside others" or "alone",
    row.form and " (" .. row.form:sub(1, 40):gsub("[^\32-\126]", "?") .. ")" or "") }
end

---The failures behind one end as text; "" without one.
function Report:failures(name)
  local by, order = {}, {}
  for _, failure in ipairs(self.of[name] or {}) do
    local problem = failure.problem
    if not by[problem] then
      by[problem] = {}
      order[#order + 1] = problem
    end
    table.insert(by[problem], failure.row)
  end
  local lines = {}
  for _, problem in ipairs(order) do
    lines[#lines + 1] = ("%d × %s"):format(#by[problem], problem)
    for _, row in ipairs(by[problem]) do lines[#lines + 1] = "    " .. row end
  end
  return table.concat(lines, "\n")
end

---How many were tried behind one end.
function Report:count(name) return self.of[name] and self.of[name].tried or 0 end

return M
