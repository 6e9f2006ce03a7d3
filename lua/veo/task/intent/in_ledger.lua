--- An intent that is noted in the ledger. What the ledger finds against it, a key, a budget or an earlier order, ends the
--- call before anything is sent.

local setmetatable = setmetatable
local min = math.min
local find, match = string.find, string.match

local budgets = require "veo.policy.budget"
local core = require "veo.core"
local destinations = require "veo.task.download.destination"
local duplicates = require "veo.task.duplicate"
local equality = require "veo.ledger.equality"
local life = require "veo.task.intent.life"
local partials = require "veo.task.download.partial"
local semaphores = require "veo.async.semaphore"
local upgraded = require "veo.task.upgraded"

---@class veo.intent.InLedger: veo.Intent
---@field order table  what the ledger was asked to open last, with its `request`
local InLedger = setmetatable({}, life)
InLedger.__index = InLedger

-- Waiting for a slot is cut into pieces, so that the intent's lease is kept (seconds).
local LONGEST_WAIT = 15

-- Opening -------------------------------------------------------------------------------------------------------------

-- The reference goes into the query, before a fragment.
local function with_reference(url, ref)
  local base, fragment = match(url, "^([^#]*)(.*)$")
  return base .. (find(base, "?", 1, true) and "&" or "?") .. "veo_ref=" .. ref .. fragment
end

-- The errors for what the ledger finds against an order.
local REFUSALS = {
  budget = function(self, found) return budgets.day_passed(self.ctx.money, self.operation, self.price, found.spent) end,
  held = function(self, found) return destinations.held(self.operation, self.options.submit.path, found.row) end,
  upgraded = function(self, found) return upgraded.refusal(self.operation, self.source, found.what) end,
  other_body = function(self, found)
    return duplicates.other_body(found.row, self.operation, self.options.submit.key)
  end,
}

-- True; nil and an error; or nil, nil and the row of the earlier order that is to be joined.
local function write(self, on_duplicate)
  local ctx, operation, given = self.ctx, self.operation, self.options.submit
  self.body.callBackUrl = self.callback -- what is compared has no reference in it
  local order = { operation = operation, api = ctx.api.name, body = self.body, key = given.key,
    alike = given.alike, path = given.path and core.absolute(given.path), overwrite = given.overwrite,
    look = partials.look, price = self.price, day_limit = ctx.money.day, on_duplicate = on_duplicate,
    timeout = given.timeout, repeats = self.first, source = operation == "extend" and self.source or nil,
    in_turn = semaphores.is_full(ctx.slots) }
  self.order = order
  local found, err = ctx.ledger:open(order, ctx.scheduler)
  if not found then return nil, err end
  if found.kind == "new" then
    self.request, self.slot_at = found.request, found.wait and ctx.now() + found.wait
    self.slot = found.wait == 0
    if self.slot then self.taken = ctx.window:take() end
    if self.callback then self.body.callBackUrl = with_reference(self.callback, found.request.ref) end
    return true
  end
  if found.kind == "asked" then return nil, nil, found end
  local refusal = REFUSALS[found.kind]
  if refusal then return nil, refusal(self, found) end
  -- The same script again after a crash finds its order; once its video is saved, a second one may be meant.
  if not given.key and (on_duplicate == "refuse" or not on_duplicate and found.row.state == "saved") then
    return nil, duplicates.duplicate(found.row, operation)
  end
  return nil, nil, found.row
end

---Writes the intent.
---@return true|nil
---@return veo.Error|nil err
---@return table|nil earlier  for `join`
function InLedger:write()
  return write(self, self.options.submit.on_duplicate or equality.is_once(self.operation) and "join" or nil)
end

---Writes it once more, for another attempt that the caller allowed (retry.ambiguous).
function InLedger:write_again()
  return write(self, "allow")
end

---Joins the earlier order. One of the other family is a question, which costs nothing more: `asked`.
---@return table|nil task, veo.Error|nil err
function InLedger:join(earlier)
  if earlier.kind == "asked" then return { taskId = self.source, asked = true, joined = true } end
  return duplicates.join(self.ctx, earlier, self.operation, self.ctx.now() + self.options.submit.deadline)
end

-- On the way ----------------------------------------------------------------------------------------------------------

---Seconds to wait before the next attempt may go; 0 when it may and its slot is taken.
---@return number|nil wait, veo.Error|nil
---@return number|nil hold  seconds for which the service holds orders back
function InLedger:reserve()
  local ctx = self.ctx
  local wait = self.slot_at and self.slot_at - ctx.now() or 0 -- known from the intent's own commit
  self.slot_at = nil
  if wait <= 0 then
    local err
    wait, err = ctx.ledger:reserve(self.request)
    if not wait then return nil, err end
    if wait <= 0 then self.taken = ctx.window:take() end
  end
  return min(wait, LONGEST_WAIT, ctx.ledger.lease / 3), nil, self.request.held
end

function InLedger:exchange()
  local sent = life.exchange(self)
  self.ctx.ledger:sending(self.request, sent)
  return sent
end

---Whether an order that waited since its slot was taken is still to be sent; if not, `gone` says why.
---@return boolean
function InLedger:still_open()
  local open, err = self.ctx.ledger:confirm(self.request)
  self.gone = err
  return open == true
end

---Whether the ledger has the task as another order's.
---@return boolean
function InLedger:is_of_another(taskId)
  local found = self.ctx.ledger:find { taskId = taskId }
  return found and found.ref ~= self.request.ref or false
end

-- Notes ---------------------------------------------------------------------------------------------------------------

function InLedger:note_idle(err)
  if err.sent == "no" and self.taken then self.ctx.window:give_back(self.taken) end
  self.ctx.ledger:idle(self.request, err)
end

function InLedger:note_accepted(task, shared)
  task.ref, task.key = self.request.ref, self.request.key
  local _, err = self.ctx.ledger:accepted(self.request, task.taskId, shared and self.ctx.scheduler or nil)
  task.ledger_error = err -- the task is paid, so it is handed over all the same
end

function InLedger:note_refused(err)
  local request = self.order and self.order.request
  if request and request.written then self.ctx.ledger:refused(request, err) end
end

function InLedger:note_uncertain(err)
  err.ref = self.request.ref
  self.first = self.first or err.ref
  self.ctx.ledger:uncertain(self.request, err)
end

function InLedger:note_evidence(err)
  self.ctx.ledger:uncertain(self.request, err, err.evidence)
end

return InLedger
