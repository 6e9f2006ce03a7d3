--- Makes a history that fails shorter: leaves steps out for as long as it still fails, halves first. What it does depends
--- on instants too, so each candidate is played more than once.
local M = {}

-- How often a candidate is played before it counts as one that does not fail.
local PLAYS = 3

local function without(history, from, count)
  local copy = {}
  for field, value in pairs(history) do copy[field] = value end
  copy.steps = {}
  for i, step in ipairs(history.steps) do
    if i < from or i >= from + count then copy.steps[#copy.steps + 1] = step end
  end
  return copy
end

-- What kind of problem it is, so that one is not taken for another on the way.
local function kind_of(problem)
  return problem:gsub("^step [^:]*: ", ""):match("^[%a' ]+")
end

---@param history table
---@param problem string   what went wrong
---@param play fun(history: table): string|nil   plays it; what went wrong
---@param limit integer    how many plays may be spent
---@return table history, string problem     the shortest that was found
function M.shrink(history, problem, play, limit)
  local kind = kind_of(problem)
  local function fails(candidate)
    for _ = 1, PLAYS do
      if limit <= 0 then return false end
      limit = limit - 1
      local found = play(candidate)
      if found and kind_of(found) == kind then
        problem = found
        return true
      end
    end
    return false
  end
  local size = math.ceil(#history.steps / 2)
  while size >= 1 and limit > 0 do
    local from, left_out = 1, false
    while from <= #history.steps and limit > 0 do
      local candidate = without(history, from, size)
      if fails(candidate) then history, left_out = candidate, true else from = from + size end
    end
    if size == 1 and not left_out then break end
    size = size == 1 and 1 or math.ceil(size / 2)
  end
  return history, problem
end

---A value as Lua text.
local function text(value, indent)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local out, names = {}, {}
  for _, item in ipairs(value) do out[#out + 1] = text(item) end
  for name in pairs(value) do if type(name) == "string" then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do out[#out + 1] = name .. " = " .. text(value[name], name == "steps" and "\n  ") end
  if not indent then return "{ " .. table.concat(out, ", ") .. " }" end
  return "{" .. indent .. table.concat(out, "," .. indent) .. "\n}"
end

---A history as a file of Lua, for `make model MODEL_ARGS="--history FILE"`.
function M.source(history) return "return " .. text(history) .. "\n" end

return M
