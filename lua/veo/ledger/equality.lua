--- When two hops of chains, or two upgrades, are the same: by what is asked for, not by how. The callback's URL, the
--- API family and a default that is spelt out make no other video, and so no other order. A body that was pruned is
--- compared by hashes of its text and of what it asks for.

local next, pairs, type = next, pairs, type
local format, sub = string.format, string.sub

local cjson = require "cjson.safe"

local core = require "veo.core"

local canonical = require "veo.util.canonical_json"

local M = {}

-- What the service takes where a field is absent.
local DEFAULTS = { extend = { model = "fast" }, get_1080p = { index = 0 }, get_4k = { index = 0 } }
-- Nobody means a second upgrade of the same video, and each would be charged.
local ONCE = { get_1080p = true, get_4k = true }
local json = cjson.new() -- nothing of cjson's shared state is touched

---@param operation string
---@return boolean
function M.is_once(operation)
  return ONCE[operation] == true
end

---What an order asks for, whichever family its body is of.
---@param operation string
---@param body table
---@return table
function M.essence(operation, body)
  local inner, out = type(body.input) == "table" and body.input, {}
  for name, value in pairs(inner or body) do out[name] = value end
  if inner then out.taskId, out.task_id = out.task_id or out.taskId, nil end -- its model is the family's name, and no tier
  if type(out.extra) == "table" then -- of a call's own table, before it is a body
    for name, value in pairs(out.extra) do out[name] = value end
    out.extra = nil
  end
  out.callBackUrl = nil
  for name, default in pairs(DEFAULTS[operation] or {}) do
    if out[name] == default then out[name] = nil end
  end
  return out
end

-- As it is when it was read back: lua-cjson's numbers are doubles, whatever integers were written.
local function as_read(value)
  if type(value) == "number" then return value + 0.0 end
  if type(value) ~= "table" then return value end
  local out = {}
  for name, item in pairs(value) do out[name] = as_read(item) end
  return out
end

---The same as text, to be compared.
---@return string
function M.spelling(operation, body)
  return canonical.encode(as_read(M.essence(operation, body)))
end

---The same with each default spelt out.
---@return string
function M.spelt_out(operation, body)
  local out = M.essence(operation, body)
  for name, default in pairs(DEFAULTS[operation] or {}) do
    if out[name] == nil then out[name] = default end
  end
  return canonical.encode(as_read(out))
end

---The name of a 1080P version where it is no order but a question that is charged once.
---@param taskId string
---@param index integer|nil
---@return string
function M.question(taskId, index)
  return format("get_1080p %s %d", taskId, index or 0)
end

---The name of the question that asks for the same as an order; nil when none does.
---@return string|nil
function M.as_question(operation, body)
  if operation ~= "get_1080p" then return nil end
  local asked = M.essence(operation, body)
  local taskId, index = asked.taskId, asked.index
  asked.taskId, asked.index = nil, nil
  return next(asked) == nil and M.question(taskId, index) or nil
end

---What stands for a body after pruning: of no two bodies are these the same. It tells the text, and behind it what the
---order asks for.
---@param operation string
---@param text string  the body
---@return string
function M.stand_in(operation, text)
  local body = json.decode(canonical.raw(text)) or {}
  return "sha256:" .. core.digest(text) .. ":" .. core.digest(M.spelling(operation, body))
end

---@param text string  a body, or what stands for one
---@return boolean
function M.is_stand_in(text)
  return sub(text, 1, 7) == "sha256:"
end

---Whether an order of the ledger asks for that.
---@param record veo.Record
---@param wanted string  a spelling
---@return boolean
function M.asks(record, wanted)
  if record.pruned then return sub(record.pruned, -64) == core.digest(wanted) end
  return M.spelling(record.operation, record.params) == wanted
end

---Whether a row of the ledger is the same order.
---@param row { operation: string, body: string }
---@param request { operation: string, body: string }
---@return boolean
function M.is(row, request)
  local theirs, ours = json.decode(canonical.raw(row.body)), json.decode(canonical.raw(request.body))
  if row.operation ~= request.operation or type(ours) ~= "table" then return false end
  local wanted = M.spelling(request.operation, ours)
  if M.is_stand_in(row.body) then return sub(row.body, -64) == core.digest(wanted) end
  return type(theirs) == "table" and M.spelling(row.operation, theirs) == wanted
end

return M
