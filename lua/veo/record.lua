--- The paper trail of one billable call: budget, ledger and evidence, behind one object, so that submit tells it what
--- happens and need not know which of them there are. Everything is written before the call can return.

local earlier_orders = require "veo.earlier"
local errors = require "veo.errors"
local free = require "veo.free"
local gates = require "veo.gate"
local money = require "veo.money"

local M = {}

---@class veo.CallRecord
local Record = {}
Record.__index = Record

-- The service takes a repeated 4K order for the same one, so that is what it is here.
local ON_DUPLICATE = { get_4k = "join" }
-- Waiting for a slot is cut into pieces, so that the intent's lease is kept (seconds).
local LONGEST_WAIT = 15

-- Opening --------------------------------------------------------------------------------------------------------------

-- The reference goes into the query, before a fragment.
local function with_reference(url, ref)
  local base, fragment = url:match("^([^#]*)(.*)$")
  return base .. (base:find("?", 1, true) and "&" or "?") .. "veo_ref=" .. ref .. fragment
end

local function need_ledger(operation, name)
  return errors.new { code = "invalid", operation = operation, field = name, sent = "no",
    expected = "a client with a ledger", message = ("%s: %s needs a ledger: veo.new { ledger = \"renders.db\" }")
      :format(operation, name) }
end

-- Writes the intent. Nil, err; or nil, nil and the row of the earlier order that is to be joined.
local function write_intent(self, on_duplicate)
  local ctx, operation, given = self.ctx, self.operation, self.options.submit
  self.body.callBackUrl = self.callback -- what is compared has no reference in it
  local found, err = ctx.ledger:open { operation = operation, api = ctx.api.name, body = self.body, key = given.key,
    price = self.price, day_limit = ctx.money.day, on_duplicate = on_duplicate, timeout = given.timeout,
    source = operation == "extend" and self.source or nil, in_turn = gates.is_full(ctx.slots) }
  if not found then return nil, err end
  if found.kind == "new" then
    self.request, self.slot_at = found.request, found.wait and ctx.now() + found.wait
    self.slot = found.wait == 0
    if self.callback then self.body.callBackUrl = with_reference(self.callback, found.request.ref) end
    return true
  end
  if found.kind == "budget" then return nil, money.day_passed(ctx.money, operation, self.price, found.spent) end
  if found.kind == "upgraded" then return nil, earlier_orders.upgraded(operation, self.source, found.what) end
  if found.kind == "other_body" then return nil, earlier_orders.other_body(found.row, operation, given.key) end
  if not given.key and on_duplicate == "refuse" then return nil, earlier_orders.duplicate(found.row, operation) end
  return nil, nil, found.row
end

---Opens the record of a call: reserves its price, writes its intent. To be called before anything is sent.
---@param ctx table
---@param operation string
---@param body table         as it will be sent; the reference is put into its callBackUrl
---@param options { submit: table }
---@return veo.CallRecord|nil record
---@return veo.Error|nil err
---@return table|nil earlier  the order that was joined instead
function M.open(ctx, operation, body, options)
  local given = options.submit
  if not ctx.ledger then
    if given.key then return nil, need_ledger(operation, "key") end
    if given.on_duplicate then return nil, need_ledger(operation, "on_duplicate") end
  end
  local self = setmetatable({ ctx = ctx, operation = operation, body = body, options = options,
    callback = type(body.callBackUrl) == "string" and body.callBackUrl or nil,
    source = body.taskId or type(body.input) == "table" and body.input.task_id or nil }, Record)
  local err, opened, earlier
  self.price, err = money.reserve(ctx.money, operation, body)
  if err then return nil, err end
  if not ctx.ledger then return self end
  opened, err, earlier = write_intent(self, given.on_duplicate or ON_DUPLICATE[operation] or "refuse")
  if opened then return self end
  money.release(ctx.money, self.price)
  if not earlier then return nil, err end
  earlier, err = earlier_orders.join(ctx, earlier, operation, ctx.now() + given.deadline)
  return nil, err, earlier
end

-- On the way -----------------------------------------------------------------------------------------------------------

---Whether the intent's own commit took a slot for the first attempt.
---@return boolean
function Record:has_slot()
  local has = self.slot
  self.slot = false
  return has
end

---Seconds to wait before the next attempt may go; 0 when it may and its slot is taken.
---@return number|nil wait, veo.Error|nil
function Record:reserve()
  local ctx = self.ctx
  if not ctx.ledger then return ctx.window:reserve() end
  local wait = self.slot_at and self.slot_at - ctx.now() or 0 -- known from the intent's own commit
  self.slot_at = nil
  if wait <= 0 then
    local err
    wait, err = ctx.ledger:reserve(self.request)
    if not wait then return nil, err end
  end
  return math.min(wait, LONGEST_WAIT, ctx.ledger.lease / 3)
end

-- The balance, or nil: evidence is worth one look, not a failed call.
local function balance(self)
  local options = { free = { deadline = 10, timeout = 10 }, retry = self.options.retry }
  return (free.call(self.ctx, "credits", {}, options))
end

---Before the first attempt.
function Record:before()
  if self.ctx.evidence and not self.credits_before then self.credits_before = balance(self) end
end

---From here on bytes may leave.
function Record:sending()
  self.under_way = true
end

---An answer came; what names a task is kept at once, whatever happens before it is accepted.
---@param task { taskId: string }|nil
function Record:answered(task)
  self.task = task
end

---The attempt brought nothing, and may be repeated after a pause.
---@param err veo.Error
function Record:idle(err)
  local ctx = self.ctx
  self.under_way = false
  if ctx.ledger then
    ctx.ledger:idle(self.request, err)
  elseif err.code == "rate_limited" then
    ctx.window:refused(err.retry_after)
  end
end

---The attempt may have been charged and is repeated by the caller's explicit word: it stays in the ledger as what it is,
---and the next one is an order of its own, with its own price.
---@param err veo.Error
---@return true|nil, veo.Error|nil
---@return table|nil earlier  the order that another process made meanwhile, under the key that was free
function Record:reopen(err)
  local ctx = self.ctx
  self:uncertain(err, true)
  local price, refusal = money.reserve(ctx.money, self.operation, self.body)
  if refusal then return nil, refusal end
  self.closed, self.under_way = false, false
  if not ctx.ledger then return true end
  local opened, problem, row = write_intent(self, "allow")
  if opened then return true end
  self.closed = true
  money.release(ctx.money, price)
  if not row then return nil, problem end
  local earlier
  earlier, problem = earlier_orders.join(ctx, row, self.operation, ctx.now() + self.options.submit.deadline)
  return nil, problem, earlier
end

-- Answers --------------------------------------------------------------------------------------------------------------

---The service named the task.
---@param task { taskId: string }
function Record:accepted(task)
  local ctx = self.ctx
  if ctx.ledger then
    task.ref, task.key = self.request.ref, self.request.key
    local _, err = ctx.ledger:accepted(self.request, task.taskId)
    task.ledger_error = err -- the task is paid, so it is handed over all the same
  end
  self.closed = true -- not before: an error that comes meanwhile has `dropped` write it
end

---Nothing was ordered.
---@param err veo.Error
function Record:refused(err)
  local ctx = self.ctx
  self.closed = true
  money.release(ctx.money, self.price)
  if ctx.ledger then ctx.ledger:refused(self.request, err) end
end

local function gather(self, err)
  local before = self.credits_before
  if not self.ctx.evidence or err.cause == "closed" or self.ctx.scheduler:cancelling() then
    return before and { credits_before = before, price = self.price }
  end
  local after = balance(self)
  return { credits_before = before, credits_after = after, price = self.price,
    difference = before and after and before - after or nil }
end

---It may have been ordered; the price stays reserved.
---@param err veo.Error
---@param free_key boolean|nil
function Record:uncertain(err, free_key)
  self.closed = true
  local ctx = self.ctx
  -- The intent gets its word before the balance is asked for: that may take seconds.
  if ctx.ledger then
    err.ref = self.request.ref
    ctx.ledger:uncertain(self.request, err, nil, free_key)
  end
  if not ctx.evidence then return end
  err.evidence = gather(self, err)
  if ctx.ledger and err.evidence then ctx.ledger:uncertain(self.request, err, err.evidence, free_key) end
end

---What a job is told that ends although its order was accepted: the task goes on, and is paid.
---@param task { taskId: string, ref: string|nil }
---@return veo.Error
function Record:last_word(task)
  return errors.new { code = "uncertain", operation = self.operation, taskId = task.taskId, ref = task.ref,
    sent = "yes", charged = "yes", cause = "cancelled",
    message = ("%s was cancelled after it had been sent; the service accepted it as task %s"):format(self.operation,
      task.taskId) }
end

---The call ends in the middle, as when its client is closed or a function of the user's raises: it gets the word that
---what is known allows. Waits for nothing.
---@param how string
---@return veo.Error|nil err
function Record:dropped(how)
  if self.closed then return nil end
  if self.task then
    self:accepted(self.task)
    return self:last_word(self.task)
  end
  local ref = self.request and self.request.ref
  if not self.under_way then
    local err = errors.new { code = how == "closed" and "closed" or "cancelled", operation = self.operation,
      sent = "no", ref = ref, message = self.operation .. " ended before it was sent" }
    self:refused(err)
    return err
  end
  local err = errors.new { code = "uncertain", operation = self.operation, sent = "maybe", cause = how,
    ref = ref, message = self.operation .. " ended while its answer was under way" }
  self.closed = true
  if self.ctx.ledger then self.ctx.ledger:uncertain(self.request, err) end
  return err
end

return M
