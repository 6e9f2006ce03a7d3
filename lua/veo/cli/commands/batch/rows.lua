--- A batch's file as rows, each checked before anything is ordered: what it asks for, its key in the ledger, and where its
--- video goes.

local lazy = require("veo.util.lazy").room -- help needs no lua-cjson

local csv = require "veo.cli.commands.batch.csv"
local filenames = require "veo.util.filename"
local json = lazy "veo.cli.commands.batch.json"
local phrases = require "veo.cli.phrases"
local suggest = require "veo.util.suggest"
local texts = require "veo.util.text"
local visible = require "veo.util.visible"

local M = {}

---What a row may have: the fields of extend and generate as the service names them, and ours.
M.COLUMNS = { "taskId", "prompt", "seeds", "model", "watermark", "callBackUrl", "imageUrls", "generationType",
  "aspect_ratio", "resolution", "duration", "enableTranslation", "operation", "key", "output" }
local KNOWN = {}
for _, name in ipairs(M.COLUMNS) do KNOWN[name] = true end

---@class veo.cli.batch.Row
---@field line integer
---@field problem string|nil   why nothing can be ordered by it
---@field operation "extend"|"generate"
---@field params table         for the service
---@field own_key string|nil
---@field key string           its own, or one that follows from what it asks for
---@field output string        a file name or a pattern
---@field price number|nil     credits
---@field label string         what a person knows it by

-- Reading --------------------------------------------------------------------------------------------------------------

local function unknown(name)
  local meant = suggest.nearest(name, M.COLUMNS)
  return ("unknown column %s%s"):format(visible(tostring(name)), meant and " (did you mean " .. meant .. "?)"
    or "; there are " .. table.concat(M.COLUMNS, ", "))
end

local function whole(text) return text:match("^%s*%-?%d+%s*$") and tonumber(text) or text end

-- What a cell of a spreadsheet means that is no text. Whatever does not fit is refused as it stands.
local CELLS = {
  seeds = whole, duration = whole,
  enableTranslation = function(text)
    local word = text:lower()
    if word == "true" or word == "false" then return word == "true" end
    return text
  end,
  imageUrls = function(text)
    local urls = {}
    for url in text:gmatch("%S+") do urls[#urls + 1] = url end
    return urls
  end,
}

local function value_of(name, cell)
  local convert = CELLS[name]
  if not convert then return cell end
  return convert(cell)
end

-- The names of the first line; nil and what is wrong with them.
local function header_of(record)
  local seen = {}
  for i, name in ipairs(record) do
    name = name:match("^%s*(.-)%s*$")
    if record.problem then return nil, record.problem end
    if not KNOWN[name] then return nil, unknown(name) end
    if seen[name] then return nil, "the column " .. name .. " is there twice" end
    record[i], seen[name] = name, true
  end
  return record
end

local function from_csv(text)
  local records = csv.parse(text)
  local names, problem = header_of(table.remove(records, 1) or {})
  if not names then return nil, "line 1: " .. problem end
  for _, record in ipairs(records) do
    if not record.problem and #record ~= #names then
      record.problem = ("it has %s, and the first line has %d"):format(phrases.count(#record, "field"), #names)
    end
    record.fields = {}
    for i, name in ipairs(names) do
      if (record[i] or "") ~= "" then record.fields[name] = value_of(name, record[i]) end
    end
  end
  return records
end

---The rows of a text, in order: CSV, a JSON array, or a JSON object a line.
---@param text string
---@return { line: integer, fields: table|nil, problem: string|nil }[]|nil records
---@return string|nil problem  with all of it
function M.read(text)
  if text:find("^\255\254") or text:find("^\254\255") or text:find("%z") then
    return nil, "it is UTF-16 or no text: save it as UTF-8"
  end
  text = text:gsub("^\239\187\191", "")
  local first = text:match("%S")
  if not first then return nil, "it is empty" end
  local records, problem
  if first == "[" then
    records, problem = json.array(text)
  elseif first == "{" then
    records = json.lines(text)
  else
    records, problem = from_csv(text)
  end
  if problem then return nil, problem end
  if not records[1] then return nil, "it has no rows" end
  return records
end

-- Checking -------------------------------------------------------------------------------------------------------------

local OPERATIONS = { extend = true, generate = true }

-- Splits a record into what the service gets and what is ours; returns a problem.
local function split(row, fields)
  for name, value in pairs(fields) do
    if not KNOWN[name] then return unknown(name) end
    if name == "operation" or name == "key" or name == "output" then
      if not texts.is_line(value) then return name .. ": a text on one line expected" end
      row[name] = value
    else
      row.params[name] = value
    end
  end
  if not OPERATIONS[row.operation] then return 'operation: "extend" or "generate" expected' end
end

-- The pattern for what has no output of its own.
local function common_pattern(output)
  output = output or "{taskId}.mp4"
  return output:sub(-1) == "/" and output .. "{taskId}.mp4" or output
end

local function output_problem(output)
  if not output:find("{%w+}") then return texts.path_problem(output) end
  return (filenames.problem(output) or ""):match("^path: (.*)")
end

-- A file has many spellings: ./a.mp4, x/../a.mp4, a folder by a link.
local function file_of(client, path)
  local _, _, at = client:check_path(path, { overwrite = true, mkdir = true })
  return at or path
end

-- Says of two rows that cannot both be meant so.
local function clash(client, row, keys, outputs)
  local twin = keys[row.key]
  if twin and row.own_key then return ("the key %s is that of line %d too"):format(row.key, twin.line) end
  if twin then
    -- Were the other given a key too, and ordered already, it would be another order, and paid again.
    return ("it asks for the same as line %d: give this one alone a key of its own to order both"):format(twin.line)
  end
  local file = not row.output:find("{%w+}") and file_of(client, row.output)
  twin = file and outputs[file]
  if twin then return ("line %d has the output %s too"):format(twin.line, twin.output) end
  keys[row.key] = row
  if file then outputs[file] = row end
end

---@param client veo.Client
---@param record { line: integer, fields: table|nil, problem: string|nil }
---@param output string|nil  the argument -o
---@param keys table<string, veo.cli.batch.Row>
---@param outputs table<string, veo.cli.batch.Row>
---@return veo.cli.batch.Row
local function check(client, record, output, keys, outputs)
  local row = { line = record.line, operation = "extend", params = {}, label = "" }
  row.problem = record.problem or split(row, record.fields)
  local prompt = row.params.prompt
  row.label = visible(row.output or row.key or type(prompt) == "string" and prompt or "")
  if row.problem then return row end
  local order, err = client:check_order(row.operation, row.params)
  if not order then
    row.problem = phrases.message(err)
    return row
  end
  row.own_key = row.key
  row.key, row.output, row.price = row.key or "row-" .. order.name, row.output or common_pattern(output), order.price
  local wrong = output_problem(row.output)
  row.problem = wrong and "output: " .. wrong or clash(client, row, keys, outputs)
  return row
end

---@param client veo.Client
---@param records table[]    of `read`
---@param output string|nil  where videos go that have no output of their own
---@return veo.cli.batch.Row[]
function M.check(client, records, output)
  local rows, keys, outputs = {}, {}, {}
  for i, record in ipairs(records) do rows[i] = check(client, record, output, keys, outputs) end
  return rows
end

return M
