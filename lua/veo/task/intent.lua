--- The note of one billable call, as submit sees it: opened before anything is sent, told of each step, closed with the
--- end. Everything is written before the call can return.
---
---   intent/life.lua       what happens to it, and what a call that ends in the middle leaves
---   intent/in_ledger.lua  it is noted in the ledger      intent/in_memory.lua  in the client, where there is no ledger

local setmetatable, type = setmetatable, type
local format = string.format

local errors = require "veo.errors"
local in_ledger = require "veo.task.intent.in_ledger"
local in_memory = require "veo.task.intent.in_memory"

local M = {}

local function source_of(fields)
  return fields.taskId or fields.task_id
end

-- An option that only a ledger can keep.
local function need_ledger(operation, given)
  local name = given.key and "key" or given.on_duplicate and "on_duplicate"
  return name and errors.new { code = "invalid", operation = operation, field = name, sent = "no",
    expected = "a client with a ledger", message = format("%s: %s needs a ledger", operation, name),
    hint = "name one: {ledger}" }
end

---The intent of a call, which is to be opened before anything is sent.
---@param ctx table
---@param operation string
---@param body table         as it will be sent; a ledger puts its reference into the callBackUrl
---@param options { submit: table, retry: veo.RetryPolicy }
---@return veo.Intent|nil intent
---@return veo.Error|nil err
function M.new(ctx, operation, body, options)
  local err = not ctx.ledger and need_ledger(operation, options.submit)
  if err then return nil, err end
  return setmetatable({ ctx = ctx, operation = operation, body = body, options = options, closed = true,
    callback = type(body.callBackUrl) == "string" and body.callBackUrl or nil,
    source = source_of(body) or type(body.input) == "table" and source_of(body.input) or nil },
    ctx.ledger and in_ledger or in_memory)
end

return M
