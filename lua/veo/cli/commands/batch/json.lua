--- A list of orders as JSON: an array of objects, or one object a line. Each object is decoded by itself, so that one that
--- is broken stops no other, and its line is known.

local cjson = require "cjson.safe"

local M = {}

-- Nothing of cjson's shared state is touched.
local json = cjson.new()

-- JSON's null is nothing.
local function decoded(text)
  local value, why = json.decode(text)
  if type(value) ~= "table" then return nil, why and "not JSON: " .. why or "an object expected" end
  for name, inner in pairs(value) do
    if type(name) ~= "string" then return nil, "an object expected" end
    if inner == cjson.null then value[name] = nil end
  end
  return value
end

local function record(text, line)
  local fields, problem = decoded(text)
  return { line = line, fields = fields, problem = problem }
end

---@param text string
---@return { line: integer, fields: table|nil, problem: string|nil }[]
function M.lines(text)
  local whole = decoded(text)
  if whole then return { { line = 1, fields = whole } } end
  local records, number = {}, 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    if line:find("%S") then records[#records + 1] = record(line, number) end
  end
  return records
end

-- Where a text in quotes ends.
local function behind_quotes(text, at)
  repeat
    at = text:find('["\\]', at + 1)
    if not at then return #text + 1 end
    local escape = text:byte(at) == 92
    if escape then at = at + 1 end
  until not escape
  return at
end

---@param text string  begins with a bracket
---@return { line: integer, fields: table|nil, problem: string|nil }[]|nil records
---@return string|nil problem
function M.array(text)
  local records, depth, line, from = {}, 0, 1, nil
  local counted, at = 1, 1
  local function take(last)
    local item = text:sub(from, last)
    if not item:find("%S") then return end
    local start = from + #item:match("^%s*")
    local _, lines = text:sub(counted, start - 1):gsub("\n", "")
    line, counted = line + lines, start
    records[#records + 1] = record(item, line)
  end
  while true do
    at = text:find('["%[%]{},]', at)
    if not at then return nil, "the list is not closed: it ends without ]" end
    local char = text:sub(at, at)
    if char == '"' then
      at = behind_quotes(text, at)
    elseif char == "," then
      if depth == 1 then
        take(at - 1)
        from = at + 1
      end
    elseif char == "[" or char == "{" then
      depth = depth + 1
      if depth == 1 then from = at + 1 end
    else
      depth = depth - 1
      if depth == 0 then
        take(at - 1)
        return records, text:find("%S", at + 1) and "there is more behind the list's end" or nil
      end
    end
    at = at + 1
  end
end

return M
