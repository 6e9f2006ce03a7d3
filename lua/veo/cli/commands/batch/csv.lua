--- CSV as RFC 4180 has it and as spreadsheets write it: fields in quotes with anything in them, lines that end in CRLF, LF
--- or CR, and a semicolon or a tab where a comma stands elsewhere.

local M = {}

-- The mark that the header has most of, outside of quotes.
local function mark_of(text)
  local header, best, most = text:match("^[^\r\n]*"):gsub('"[^"]*"', ""), ",", 0
  for _, mark in ipairs { ",", ";", "\t" } do
    local _, count = header:gsub(mark, "")
    if count > most then best, most = mark, count end
  end
  return best
end

-- The field at a place, the place behind it, and what is wrong with it.
local function field(text, at, stops)
  if text:byte(at) ~= 34 then
    local stop = text:find(stops, at) or #text + 1
    return text:sub(at, stop - 1), stop
  end
  local last = at
  repeat
    last = text:find('"', last + 1, true)
    if not last then return "", #text + 1, "a quote is not closed" end
    local doubled = text:byte(last + 1) == 34
    if doubled then last = last + 1 end
  until not doubled
  local stop = text:find(stops, last + 1) or #text + 1
  return (text:sub(at + 1, last - 1):gsub('""', '"')), stop, stop > last + 1 and "text behind a closing quote" or nil
end

---@param text string
---@return { line: integer, problem: string|nil, [integer]: string }[] records  without blank lines; `line`: where each begins
function M.parse(text)
  local mark = mark_of(text)
  local stops = "[" .. mark .. "\r\n]"
  local records, at, line = {}, 1, 1
  while at <= #text do
    local record, began = { line = line }, at
    repeat
      local value, stop, problem = field(text, at, stops)
      record[#record + 1], record.problem = value, record.problem or problem
      local more = text:sub(stop, stop) == mark
      at = more and stop + 1 or stop
    until not more
    local _, inside = text:sub(began, at - 1):gsub("\r\n?", "\n"):gsub("\n", "")
    line = line + inside + 1
    at = at + #text:match("^\r?\n?", at)
    if #record > 1 or record[1] ~= "" or record.problem then records[#records + 1] = record end
  end
  return records
end

return M
