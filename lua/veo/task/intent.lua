--- The paper trail of one billable call: budget, ledger and evidence, behind one object, so that submit tells it what
--- happens and need not know which of them there are. Everything is written before the call can return.

local setmetatable, type = setmetatable, type
local min = math.min
local find, format, match = string.find, string.format, string.match

local budgets = require "veo.policy.budget"
local core = require "veo.core"
local destinations = require "veo.task.download.destination"
local duplicates = require "veo.task.duplicate"
local equality = require "veo.ledger.equality"
local errors = require "veo.errors"
local memo = require "veo.task.memo"
local partials = require "veo.task.download.partial"
local query = require "veo.task.query"
local semaphores = require "veo.async.semaphore"
local upgraded = require "veo.task.upgraded"

local M = {}

---@class veo.Intent
local Record = {}
Record.__index = Record

-- Waiting for a slot is cut into pieces, so that the intent's lease is kept (seconds).
local LONGEST_WAIT = 15

-- Opening --------------------------------------------------------------------------------------------------------------

-- The reference goes into the query, before a fragment.
local function with_reference(url, ref)
  local base, fragment = match(url, "^([^#]*)(.*)$")
  return base .. (find(base, "?", 1, true) and "&" or "?") .. "veo_ref=" .. ref .. fragment
end

local function need_ledger(operation, name)
  return errors.new { code = "invalid", operation = operation, field = name, sent = "no",
    expected = "a client with a ledger", message = format("%s: %s needs a ledger: veo.new { ledger = \"renders.db\" }",
      operation, name) }
end

local function source_of(fields)
  return fields.taskId or fields.task_id
end

-- Writes the intent. Nil, err; or nil, nil and the row of the earlier order that is to be joined, or a task with `asked`:
-- the other family has it as a question, which costs nothing more.
local function write_intent(self, on_duplicate)
  local ctx, operation, given = self.ctx, self.operation, self.options.submit
  self.body.callBackUrl = self.callback -- what is compared has no reference in it
  local found, err = ctx.ledger:open { operation = operation, api = ctx.api.name, body = self.body, key = given.key,
    alike = given.alike, path = given.path and core.absolute(given.path), overwrite = given.overwrite,
    look = partials.look,
    price = self.price, day_limit = ctx.money.day, on_duplicate = on_duplicate, timeout = given.timeout,
    repeats = self.first,
    source = operation == "extend" and self.source or nil, in_turn = semaphores.is_full(ctx.slots) }
  if not found then return nil, err end
  if found.kind == "new" then
    self.request, self.slot_at = found.request, found.wait and ctx.now() + found.wait
    self.slot = found.wait == 0
    if self.callback then self.body.callBackUrl = with_reference(self.callback, found.request.ref) end
    return true
  end
  if found.kind == "asked" then return nil, nil, { taskId = self.source, asked = true, joined = true } end
  if found.kind == "budget" then return nil, budgets.day_passed(ctx.money, operation, self.price, found.spent) end
  if found.kind == "held" then return nil, destinations.held(operation, given.path, found.row) end
  if found.kind == "upgraded" then return nil, upgraded.refusal(operation, self.source, found.what) end
  if found.kind == "other_body" then return nil, duplicates.other_body(found.row, operation, given.key) end
  -- The same script again after a crash finds its order; once its video is saved, a second one may be meant.
  if not given.key and (on_duplicate == "refuse" or not on_duplicate and found.row.state == "saved") then
    return nil, duplicates.duplicate(found.row, operation)
  end
  return nil, nil, found.row
end

---Opens the record of a call: reserves its price, writes its intent. To be called before anything is sent.
---@param ctx table
---@param operation string
---@param body table         as it will be sent; the reference is put into its callBackUrl
---@param options { submit: table }
---@return veo.Intent|nil record
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
    source = source_of(body) or type(body.input) == "table" and source_of(body.input) or nil }, Record)
  local err, opened, earlier
  self.price, err = budgets.reserve(ctx.money, operation, body)
  if err then return nil, err end
  if not ctx.ledger then
    earlier, err = memo.take(ctx, self)
    if not earlier and not err then return self end
    budgets.release(ctx.money, self.price)
    return nil, err, earlier
  end
  opened, err, earlier = write_intent(self, given.on_duplicate or equality.is_once(operation) and "join" or nil)
  if opened then return self end
  budgets.release(ctx.money, self.price)
  if not earlier or earlier.asked then return nil, err, earlier end
  earlier, err = duplicates.join(ctx, earlier, operation, ctx.now() + given.deadline)
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
---@return number|nil hold  seconds for which the service holds orders back
function Record:reserve()
  local ctx = self.ctx
  if not ctx.ledger then
    local wait, hold, taken = ctx.window:reserve()
    self.taken = taken
    return wait, nil, hold
  end
  local wait = self.slot_at and self.slot_at - ctx.now() or 0 -- known from the intent's own commit
  self.slot_at = nil
  if wait <= 0 then
    local err
    wait, err = ctx.ledger:reserve(self.request)
    if not wait then return nil, err end
  end
  return min(wait, LONGEST_WAIT, ctx.ledger.lease / 3), nil, self.request.held
end

-- The balance, or nil: evidence is worth one look, not a failed call.
local function balance(self)
  local options = { free = { deadline = 10, timeout = 10 }, retry = self.options.retry }
  return (query.call(self.ctx, "credits", {}, options))
end

---Before the first attempt. An error when the order may not be sent any more: the look at the balance took its time.
---@return veo.Error|nil
function Record:before()
  if not self.ctx.evidence or self.credits_before then return nil end
  self.credits_before = balance(self)
  return self.slot and not self:still_open() and self:stale() or nil
end

---Whether an order that waited since its slot was taken is still to be sent; if not, `gone` says why.
---@return boolean
function Record:still_open()
  if not self.ctx.ledger then return true end
  local open, err = self.ctx.ledger:confirm(self.request)
  self.gone = err
  return open == true
end

---The order was not sent, because it may not be any more.
---@return veo.Error
function Record:stale()
  local err = self.gone
  self.under_way, self.err, self.gone = false, err, nil
  return err
end

---From here on bytes may leave.
function Record:sending()
  self.under_way, self.err, self.sent = true, nil, nil
end

---An answer came; what it says is kept at once, whatever happens before it is written.
---@param task { taskId: string }|nil
---@param err veo.Error|nil
---@param verdict string|nil  the wire's
function Record:answered(task, err, verdict)
  self.task, self.err, self.unclear = task, err, verdict == "uncertain" or err ~= nil and err.charged ~= nil
end

---Whether the task is one of another order, here or in the ledger.
---@param taskId string
---@return boolean
function Record:knows(taskId)
  local ctx = self.ctx
  if ctx.created[taskId] or not ctx.ledger then return ctx.created[taskId] ~= nil end
  local found = ctx.ledger:find { taskId = taskId }
  return found and found.ref ~= self.request.ref or false
end

-- A refusal for the rate holds the client's other orders back, also one that is not repeated.
local function hold_back(ctx, err)
  if err.code == "rate_limited" then ctx.window:refused(err.retry_after) end
end

---The attempt brought nothing, and may be repeated after a pause.
---@param err veo.Error
function Record:idle(err)
  local ctx = self.ctx
  self.under_way = false
  if ctx.ledger then return ctx.ledger:idle(self.request, err) end
  if err.sent == "no" then ctx.window:give_back(self.taken) end
  hold_back(ctx, err)
end

---The last attempt may have been charged and is repeated by the caller's explicit word: it stays in the ledger as what it
---is, with its key, and the next one is an order of its own, with its own price.
---@return true|nil, veo.Error|nil
---@return table|nil earlier  the order whose task became known meanwhile, or that somebody else made
function Record:reopen()
  local ctx = self.ctx
  local price, refusal = budgets.reserve(ctx.money, self.operation, self.body)
  if refusal then return nil, refusal end
  self.closed, self.under_way = false, false
  if not ctx.ledger then
    memo.note(self, { busy = true })
    return true
  end
  local opened, problem, row = write_intent(self, "allow")
  if opened then return true end
  self.closed = true
  budgets.release(ctx.money, price)
  if not row then return nil, problem end
  local earlier
  earlier, problem = duplicates.join(ctx, row, self.operation, ctx.now() + self.options.submit.deadline)
  return nil, problem, earlier
end

-- Answers --------------------------------------------------------------------------------------------------------------

---The service named the task.
---@param task { taskId: string }
function Record:accepted(task)
  local ctx = self.ctx
  if task.made_before then -- by an order that is not known here: this one ordered nothing, and has no task of its own
    task.made_before = nil
    return self:refused(errors.new { code = "duplicate", operation = self.operation, taskId = task.taskId })
  end
  if ctx.ledger then
    task.ref, task.key = self.request.ref, self.request.key
    local _, err = ctx.ledger:accepted(self.request, task.taskId)
    task.ledger_error = err -- the task is paid, so it is handed over all the same
  else
    memo.note(self, { taskId = task.taskId })
  end
  self.closed = true -- not before: an error that comes meanwhile has `dropped` write it
end

---Nothing was ordered.
---@param err veo.Error
function Record:refused(err)
  local ctx = self.ctx
  self.closed = true
  budgets.release(ctx.money, self.price)
  if ctx.ledger then ctx.ledger:refused(self.request, err) else memo.note(self, nil) end
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
function Record:uncertain(err)
  self.closed, self.standing = true, self.standing or err
  local ctx = self.ctx
  -- The intent gets its word before the balance is asked for: that may take seconds.
  if ctx.ledger then
    err.ref = self.request.ref
    self.first = self.first or err.ref
    ctx.ledger:uncertain(self.request, err)
  else
    hold_back(ctx, err)
    memo.note(self, { err = err })
  end
  if not ctx.evidence then return end
  err.evidence = gather(self, err)
  if ctx.ledger and err.evidence then ctx.ledger:uncertain(self.request, err, err.evidence) end
end

---What the call came to, over all its attempts.
---@param err veo.Error  what ended it
---@return veo.Error
function Record:sum(err)
  return budgets.overall(self.standing, err)
end

---What a job is told that ends although its order was accepted: the task goes on, and is paid.
---@param task { taskId: string, ref: string|nil }
---@return veo.Error
function Record:last_word(task)
  return errors.new { code = "uncertain", operation = self.operation, taskId = task.taskId, ref = task.ref,
    sent = "yes", charged = "yes", cause = "cancelled",
    message = format("%s was cancelled after it had been sent; the service accepted it as task %s", self.operation,
      task.taskId) }
end

---The call ends in the middle, as when its client is closed or a function of the user's raises: it gets the word that
---what is known allows. Waits for nothing.
---@param how string
---@return veo.Error|nil err
function Record:dropped(how)
  if self.closed and (self.task or not self.standing) then return nil end
  if self.task then
    self:accepted(self.task)
    return self:last_word(self.task)
  end
  local ref = self.request and self.request.ref
  -- Also between an attempt that may have been charged and the next.
  if not self.under_way or self.closed or self.sent and not self.sent.starting then
    local err = errors.new { code = how == "closed" and "closed" or "cancelled", operation = self.operation,
      sent = "no", ref = ref,
      message = format("%s ended before it was sent%s", self.operation, self.closed and " again" or "") }
    if not self.closed then self:refused(err) end
    return self:sum(err)
  end
  local err = self.err or errors.new { code = "uncertain", operation = self.operation, sent = "maybe", cause = how,
    message = self.operation .. " ended while its answer was under way" }
  err.ref = ref
  if self.err and not self.unclear then
    self:refused(err)
    return self:sum(err)
  end
  self.closed = true
  if self.ctx.ledger then self.ctx.ledger:uncertain(self.request, err) else memo.note(self, { err = err }) end
  return self:sum(err)
end

return M
