--- What an order notes: its intent before anything is sent, and its answer before its caller is told. Methods of the
--- ledger.

local max = math.max
local pairs = pairs

local accounts = require "veo.ledger.account"
local alike = require "veo.ledger.alike"
local canonical = require "veo.util.canonical_json"
local errors = require "veo.errors"
local intents = require "veo.ledger.intents"
local rows = require "veo.ledger.rows"

-- An intent is held for this much longer than its exchange may take (seconds).
local SLACK = 30
-- An answer waits for others that are here already for this long, and the first of them no longer than all (seconds): a
-- frame gives jobs a millisecond, and what comes with it is not to be noted in a later one.
local LONGEST = 0.0005

-- Whether the answer of another order is here, and its job has not gone on yet.
local function has_answer(sent)
  for _, other in pairs(sent) do
    if other.transfer and not other.answer and not other.transfer:running() then return true end
  end
  return false
end

-- A lock that was not to be had for as long as a call waits for it: each would wait as long again.
local function busy(err, operation)
  if not err or err.cause ~= "busy" then return nil end
  return errors.new { code = "ledger", operation = operation, cause = "busy", sent = "no",
    message = (operation and operation .. ": " or "") .. err.message }
end

---@param Ledger veo.Ledger   the class
---@param nonce fun(bytes: integer): string
---@param is_unsure fun(err: veo.Error): boolean  whether a commit that failed so may have arrived
return function(Ledger, nonce, is_unsure)
  ---Opens an intent: committed when this returns, and with a slot of the rate window where `wait` is 0.
  ---@param order { operation: string, api: string, body: table, key: string|nil, price: number|nil, day_limit: number|nil, on_duplicate: string, timeout: number, repeats: string|nil, path: string|nil, overwrite: boolean|nil, look: function|nil }  `repeats`: the first try's ref; `path`: where the video is to be saved, absolute
  ---@param scheduler veo.Scheduler|nil  it may share its commit with others that are ready; for a call that ends meanwhile the order has its `request` at once, whose `written` says that it may stand in the ledger
  ---@return { kind: string, wait: number|nil, row: table|nil, spent: number|nil, request: table }|nil
  ---@return veo.Error|nil
  function Ledger:open(order, scheduler)
    local known = alike.order(order.operation, order.api, order.body)
    local request = {
      ref = nonce(12), operation = order.operation, api = order.api, body = known.body, hash = known.hash,
      older = known.older, question = known.question,
      source = order.source, in_turn = order.in_turn, repeats = order.repeats,
      key = order.key, alike = order.alike,
      path = order.path, overwrite = order.overwrite, look = order.look,
      price = order.price, day_limit = order.day_limit, on_duplicate = order.on_duplicate,
      client = self.client, owner = self.owner, lease = max(self.intent_lease, (order.timeout or 0) + SLACK),
      rate = self.rate, written = nil,
    }
    order.request = request
    local function write(db)
      request.written = true
      return accounts.order(db, self.account, function() return intents.open(db, request) end)
    end
    local found, shared = self:together(scheduler, write, function() return scheduler:has_ready() end)
    local err = busy(shared, request.operation)
    if not found and not err then found, err = self:commit(request.operation, write) end
    if not found then
      -- Whether the commit arrived is not known, but that nothing was sent is.
      if is_unsure(err) or shared and is_unsure(shared) then
        self:later(function(db)
          return intents.refused(db, request.ref, '{"message":"the ledger failed before anything was sent"}')
        end)
      end
      return nil, err
    end
    found.request = request
    if found.kind == "new" then
      self.account.last = request.ref
      self:tend(request.ref)
    end
    return found
  end

  ---An attempt is about to be sent.
  ---@param sent table  its exchange
  function Ledger:sending(request, sent)
    self.sent[request.ref] = sent
  end

  -- Its end is about to be noted.
  local function answered(self, request)
    self.sent[request.ref], self.tended[request.ref] = nil, nil
  end

  ---@param err veo.Error
  function Ledger:idle(request, err)
    return self:note(function(db)
      intents.idle(db, request, err)
      return true
    end)
  end

  ---@param scheduler veo.Scheduler|nil  it may share its commit with answers that are here as well
  ---@return integer|nil changed, veo.Error|nil
  function Ledger:accepted(request, taskId, scheduler)
    self:hold()
    answered(self, request)
    local function write(db) return intents.accepted(db, request.ref, taskId, self.lease) end
    local changed, shared = self:together(scheduler, write, function()
      local first = self.line:first()
      return has_answer(self.sent) and not (first and self.now() - first.since > LONGEST)
    end)
    if changed then return changed end
    local err = busy(shared)
    if err then return self:later(write, err) end
    return self:note(write)
  end

  ---@param err veo.Error
  function Ledger:refused(request, err)
    answered(self, request)
    local why = canonical.encode(rows.kept_error(err))
    return self:note(function(db) return intents.refused(db, request.ref, why) end)
  end

  ---@param err veo.Error
  ---@param evidence table|nil
  function Ledger:uncertain(request, err, evidence)
    answered(self, request)
    local why = canonical.encode(rows.kept_error(err))
    local seen = evidence and canonical.encode(evidence) or nil
    return self:note(function(db)
      if not evidence then intents.hold_back(db, request, err) end
      return intents.uncertain(db, request.ref, why, err.taskId, seen)
    end)
  end
end
