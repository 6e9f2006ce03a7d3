--- What happens to the intent of a billable call. Where it is noted, its class knows: in_ledger.lua or in_memory.lua.
---
--- An error may come at any instruction, and `dropped` then closes the intent by what its fields say: so the order in
--- which they are set matters in this file. An end is noted before the intent counts as closed; noted twice, it is the
--- same.

local format = string.format

local budgets = require "veo.policy.budget"
local ended = require "veo.async.ended"
local errors = require "veo.errors"
local query = require "veo.task.query"

---@class veo.Intent
---@field ctx table
---@field operation string
---@field body table
---@field options { submit: table, retry: veo.RetryPolicy }
---@field callback string|nil   the caller's callBackUrl
---@field source string|nil     the task that the order starts from
---@field price number|nil
---@field request table|nil     as the ledger has it
---@field slot boolean|nil      a slot for the next attempt was taken with the intent
---@field sent table|nil        the exchange of the last attempt: `starting`, `transfer`, `answer`
---@field under_way boolean|nil an attempt has begun, and its answer does not allow another
---@field task table|nil        what its answer was: a task…
---@field err veo.Error|nil     …or an error…
---@field unclear boolean|nil   …that leaves open whether there is a task
---@field gone veo.Error|nil    why the order may not be sent any more
---@field standing veo.Error|nil  the first attempt's that may have been charged
---@field closed boolean        there is nothing of it to be noted: not yet, or its end is
---@field counted boolean|nil   and in `client:stats()`
local Intent = {}
Intent.__index = Intent

-- Opening ------------------------------------------------------------------------------------------------------------

-- Reserves the price and writes the intent.
local function open(self, write)
  local money = self.ctx.money
  local price, refusal = budgets.reserve(money, self.operation, self.body)
  if refusal then return nil, refusal end
  self.price, self.order, self.under_way, self.counted = price, nil, false, false
  self.closed = false
  local opened, problem, earlier = write(self)
  if opened then return true end
  self.closed = true -- before the price is free, which it becomes once
  budgets.release(money, price)
  if earlier then earlier, problem = self:join(earlier) end
  return nil, problem, earlier
end

---Opens it. To be called before anything is sent; a call that ends meanwhile has sent nothing.
---@return true|nil, veo.Error|nil
---@return table|nil earlier  the order that was joined instead
function Intent:open() return open(self, self.write) end

---The last attempt may have been charged, and the caller allows another (retry.ambiguous): the last one stays in the
---ledger as it is, with its key, and the next one is an order of its own, with its own price.
---@return true|nil, veo.Error|nil
---@return table|nil earlier  the order whose task became known meanwhile, or that somebody else made
function Intent:reopen() return open(self, self.write_again) end

-- On the way ----------------------------------------------------------------------------------------------------------

-- The balance, or nil: evidence is worth one look, not a failed call.
local function balance(self)
  local options = { free = { deadline = 10, timeout = 10 }, retry = self.options.retry }
  return (query.call(self.ctx, "credits", {}, options))
end

---Notes the balance before the first attempt, as evidence. An error when the order may not be sent any more: the look took
---its time.
---@return veo.Error|nil
function Intent:note_balance()
  self.credits_before = balance(self)
  return self.slot and not self:still_open() and self:stale() or nil
end

---From here on bytes may leave.
function Intent:sending()
  self.under_way, self.err, self.sent, self.slot = true, nil, nil, nil
end

---What the attempt's exchange is to be told, and tells, so that the end of the call knows how far it came.
---@return table sent
function Intent:exchange()
  self.sent = { still = function() return self:still_open() end }
  return self.sent
end

---The order was not sent, because it may not be any more.
---@return veo.Error
function Intent:stale()
  local err = self.gone
  self.under_way, self.err, self.gone = false, err, nil
  return err
end

---An answer came; what it says is kept at once, whatever happens before it is written.
---@param task { taskId: string }|nil
---@param err veo.Error|nil
---@param verdict string|nil  the wire's
function Intent:answered(task, err, verdict)
  self.task, self.err, self.unclear = task, err, verdict == "uncertain" or err ~= nil and err.charged ~= nil
end

---Whether the task is one of another order, here or in the ledger.
---@param taskId string
---@return boolean
function Intent:knows(taskId)
  return self.ctx.created[taskId] ~= nil or self:is_of_another(taskId)
end

---The attempt brought nothing, and may be repeated after a pause.
---@param err veo.Error
function Intent:idle(err)
  self.under_way = false
  self:note_idle(err)
end

-- Ends ----------------------------------------------------------------------------------------------------------------

-- Counts an end for `client:stats()`, once for each order: an error on the way may have it noted twice.
local function count(self, how)
  if self.counted then return end
  self.counted = true
  self.ctx.tally:ordered(how)
  if how == "accepted" then self.ctx.tally:charged(self.price) end
end

---The service named the task.
---@param task { taskId: string }
---@param shared boolean|nil  it may be noted together with others that are here; `dropped` notes it at once
function Intent:accepted(task, shared)
  if task.made_before then -- by an order that is not known here: this one ordered nothing, and has no task of its own
    task.made_before = nil
    return self:refused(errors.new { code = "duplicate", operation = self.operation, taskId = task.taskId })
  end
  self:note_accepted(task, shared)
  count(self, "accepted")
  self.closed = true
end

---Nothing was ordered.
---@param err veo.Error
function Intent:refused(err)
  self:note_refused(err)
  count(self, "refused")
  self.closed = true -- before the price is free, which it becomes once
  budgets.release(self.ctx.money, self.price)
end

local function gather(self, err)
  local before = self.credits_before
  if err.cause == "closed" or self.ctx.scheduler:cancelling() then
    return before and { credits_before = before, price = self.price }
  end
  local after = balance(self)
  return { credits_before = before, credits_after = after, price = self.price,
    difference = before and after and before - after or nil }
end

---It may have been ordered; the price stays reserved.
---@param err veo.Error
function Intent:uncertain(err)
  self.standing = self.standing or err
  self:note_uncertain(err) -- before the balance is asked for: that may take seconds
  count(self, "uncertain")
  self.closed = true
  if not self.ctx.evidence then return end
  err.evidence = gather(self, err)
  if err.evidence then self:note_evidence(err) end
end

---What the call came to, over all its attempts.
---@param err veo.Error  what ended it
---@return veo.Error
function Intent:sum(err)
  return budgets.overall(self.standing, err)
end

-- Ends in the middle --------------------------------------------------------------------------------------------------

---What a job is told that ends although its order was accepted: the task goes on, and is paid.
---@param task { taskId: string, ref: string|nil }
---@return veo.Error
function Intent:accepted_too_late(task)
  return errors.new { code = "uncertain", operation = self.operation, taskId = task.taskId, ref = task.ref,
    sent = "yes", charged = "yes", cause = "cancelled",
    message = format("%s was cancelled after it had been sent; the service accepted it as task %s", self.operation,
      task.taskId) }
end

-- Nothing is on its way; also between an attempt that may have been charged and the next.
local function is_unsent(self)
  return not self.under_way or self.closed or self.sent and not self.sent.starting
end

local function drop_unsent(self, how, ref)
  local err = errors.new { code = ended.code(how), operation = self.operation,
    sent = "no", ref = ref,
    message = format("%s ended before it was sent%s", self.operation, self.closed and " again" or "") }
  if not self.closed then self:refused(err) end
  return err
end

local function drop_sent(self, how, ref)
  local err = self.err or errors.new { code = "uncertain", operation = self.operation, sent = "maybe", cause = how,
    message = self.operation .. " ended while its answer was under way" }
  err.ref = ref
  if self.err and not self.unclear then
    self:refused(err)
  else
    self.closed = true
    count(self, "uncertain")
    self:note_uncertain(err)
  end
  return err
end

---The call ends in the middle, as when its client is closed or a function of the user's raises: the intent is closed as
---what is known allows. Waits for nothing.
---@param how string
---@return veo.Error|nil err
function Intent:dropped(how)
  if self.closed and (self.task or not self.standing) then return nil end
  if self.task then
    self:accepted(self.task)
    return self:accepted_too_late(self.task)
  end
  local drop = is_unsent(self) and drop_unsent or drop_sent
  return self:sum(drop(self, how, self.request and self.request.ref))
end

return Intent
