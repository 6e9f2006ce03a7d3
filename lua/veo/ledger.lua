--- The ledger: what was ordered, and what became of it, in a database that outlives the process. It is what makes a lost
--- answer, a crash or a second process cost nothing.
---
---   ledger/database.lua  LuaDBI, transactions        ledger/schema.lua     tables and their versions
---   ledger/intents.lua   the life of an order        ledger/lease.lua      who sees to it
---   ledger/claims.lua    heartbeat and claims        ledger/list.lua       tasks as users see them
---   ledger/window.lua    the shared rate window      ledger/answers.lua    what it says when it is asked
---   ledger/canonical.lua when two orders are equal   ledger/owner.lua      whether a process lives
---   ledger/charges.lua   what costs without an order
---
--- A commit takes 0.4 to 3 ms on the calling thread (the disk's), so a call makes as few as it can: two for a submit.

local core = require "veo.core"

local canonical = require "veo.ledger.canonical"
local databases = require "veo.ledger.database"
local errors = require "veo.errors"
local intents = require "veo.ledger.intents"
local leases = require "veo.ledger.lease"
local list = require "veo.ledger.list"
local owners = require "veo.ledger.owner"
local schema = require "veo.ledger.schema"
local window = require "veo.ledger.window"

local M = {}

---@class veo.Ledger
local Ledger = {}
Ledger.__index = Ledger

-- A task is held for this long without a heartbeat, and one comes at a third of it (seconds).
local LEASE = 90
-- An intent may be this much older than its exchange may take before others give it up (seconds).
local SLACK = 30
-- Writes that could not be made wait for the database to come back; more than this many mean that it will not.
local MAX_PENDING = 100000
-- After these a commit may have arrived although its answer did not.
local UNSURE = { lost = true, slow = true, io = true, database = true, bug = true }
-- After these it is the statement that cannot be written, now or ever.
local HOPELESS = { value = true }

-- Hexadecimal from the core's random source.
local function nonce(bytes)
  return (core.random(bytes):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end
M.nonce = nonce

---@param where string       a file name, or postgresql://…
---@param options { now: fun(): number, log: fun(event: table)|nil, timeout: number, rate: table, lease: number|nil }
---@return veo.Ledger|nil, string|nil problem
function M.new(where, options)
  local db, problem = databases.new(where)
  if not db then return nil, problem end
  db.prepare = schema.prepare
  local me = owners.name(nonce(6))
  return setmetatable({
    db = db, now = options.now, log = options.log, rate = options.rate, owner = me, client = me,
    lease = options.lease or LEASE, intent_lease = options.timeout + SLACK,
    pending = {},     -- writes that have to be made up for
    held = 0,         -- whether there may be anything to keep
    beat_at = math.huge,
    active = {},      -- taskId → until when this client itself sees to it
  }, Ledger)
end

local NEXT = {
  busy = "another process holds it", full = "the disk is full", readonly = "it is read-only",
  corrupt = "the file is damaged; restore a copy, or name another file", open = "it cannot be opened",
  lost = "the connection broke", newer = "this lua-veo is too old for it", driver = "the driver cannot be trusted",
}

---A database's problem as an error of ours.
---@return veo.Error
function Ledger:error(problem, operation)
  local reason = NEXT[problem.cause]
  return errors.new { code = "ledger", operation = operation, cause = problem.cause, sent = "no",
    message = ("%sthe ledger %s: %s%s"):format(operation and operation .. ": " or "", self.db.shown,
      reason and reason .. ": " or "", problem.message) }
end

-- Writing --------------------------------------------------------------------------------------------------------------

-- What could not be written earlier goes first, in order.
local function make_up(self, db)
  for _, write in ipairs(self.pending) do write(db) end
end

-- One of those may never go, and must not keep all others from it: each gets a commit of its own, or is let go.
local function sort_out(self)
  local pending = self.pending
  self.pending = {}
  for _, write in ipairs(pending) do
    local value, problem = self.db:transaction(write)
    if value == nil and not HOPELESS[problem.cause] then
      self.pending[#self.pending + 1] = write
    elseif value == nil and self.log then
      self.log { event = "ledger", err = self:error(problem), dropped = true, pending = #self.pending }
    end
  end
end

local function commit(self, operation, fn)
  local value, problem = self.db:transaction(function(db)
    make_up(self, db)
    return fn(db)
  end)
  if value == nil and self.pending[1] and HOPELESS[problem.cause] then
    sort_out(self)
    if self.pending[1] then return nil, self:error(problem, operation) end
    value, problem = self.db:transaction(fn)
  end
  if value == nil then return nil, self:error(problem, operation) end
  self.pending = {}
  return value
end

---One commit. Nil and an error when it cannot be made. After the end, for the last word of a call that was under way, the
---database is opened for that alone.
---@param operation string|nil
---@param fn fun(db: veo.Database): any
function Ledger:commit(operation, fn)
  local value, err = commit(self, operation, fn)
  if self.closed then self.db:disconnect() end
  return value, err
end

---One commit whose failure must not harm the call: it is logged, and made up for by the next one.
---@return any|nil value
function Ledger:note(fn)
  local value, err = self:commit(nil, fn)
  if value ~= nil then return value end
  if #self.pending < MAX_PENDING then self.pending[#self.pending + 1] = fn end
  if self.log then self.log { event = "ledger", err = err, pending = #self.pending } end
  return nil, err
end

-- Orders ---------------------------------------------------------------------------------------------------------------

---Opens an intent: committed when this returns, and with a slot of the rate window where `wait` is 0.
---@param order { operation: string, api: string, body: table, key: string|nil, price: number|nil, day_limit: number|nil, on_duplicate: string, timeout: number }
---@return { kind: string, wait: number|nil, row: table|nil, spent: number|nil, request: table }|nil
---@return veo.Error|nil
function Ledger:open(order)
  local text = canonical.encode(order.body)
  local request = {
    ref = nonce(12), operation = order.operation, api = order.api, body = text, hash = canonical.hash(text),
    source = order.source, in_turn = order.in_turn,
    key = order.key, price = order.price, day_limit = order.day_limit, on_duplicate = order.on_duplicate,
    client = self.client, owner = self.owner, lease = math.max(self.intent_lease, (order.timeout or 0) + SLACK),
    rate = self.rate,
  }
  local found, err = self:commit(order.operation, function(db) return intents.open(db, request) end)
  if not found then
    -- Whether the commit arrived is not known, but that nothing was sent is.
    if UNSURE[err.cause] and #self.pending < MAX_PENDING then
      self.pending[#self.pending + 1] = function(db)
        return intents.refused(db, request.ref, '{"message":"the ledger failed before anything was sent"}')
      end
    end
    return nil, err
  end
  found.request = request
  if found.kind == "new" then self:hold() end
  return found
end

---A slot for the next attempt: seconds to wait, 0 to go.
---@return number|nil wait, veo.Error|nil
function Ledger:reserve(request)
  local due = self.now() >= self.beat_at -- others may stand in line behind this one, and do nothing for their leases
  local wait, err = self:commit(request.operation, function(db)
    if due then leases.beat(db, self.owner, self.lease) end
    return intents.reserve(db, request) or -1
  end)
  if due and wait then self.beat_at = self.now() + self.lease / 3 end
  if wait ~= -1 then return wait, err end
  return nil, errors.new { code = "ledger", operation = request.operation, sent = "no", cause = "lost",
    message = request.operation .. ": another process closed this intent in the ledger while it waited" }
end

---@param err veo.Error
function Ledger:idle(request, err)
  return self:note(function(db)
    intents.idle(db, request, err.code == "rate_limited", err.retry_after)
    return true
  end)
end

---@return integer|nil changed, veo.Error|nil
function Ledger:accepted(request, taskId)
  self:hold()
  self.active[taskId] = self.now() + self.lease
  return self:note(function(db) return intents.accepted(db, request.ref, taskId, self.lease) end)
end

---@param err veo.Error
function Ledger:refused(request, err)
  local why = canonical.encode(list.kept_error(err))
  return self:note(function(db) return intents.refused(db, request.ref, why) end)
end

---@param err veo.Error
---@param evidence table|nil
---@param free_key boolean|nil
function Ledger:uncertain(request, err, evidence, free_key)
  local why = canonical.encode(list.kept_error(err))
  local seen = evidence and canonical.encode(evidence) or nil
  return self:note(function(db) return intents.uncertain(db, request.ref, why, err.taskId, seen, free_key) end)
end

-- Tasks ----------------------------------------------------------------------------------------------------------------

---A look at a task: this client sees to it until `till`.
function Ledger:watching(taskId, till)
  self.active[taskId] = till + self.lease
  self:beat()
end

---Whether this client itself sees to the task.
function Ledger:is_active(taskId)
  local till = self.active[taskId]
  return till ~= nil and till > self.now()
end

-- Errors of a wait that end the task itself; after any other one it can be waited for again.
local FINAL = { failed = true, expired = true }

---A wait saw the end of a task. Tasks the ledger does not know change nothing.
---@param taskId string
---@param status veo.Status|nil
---@param err veo.Error|nil
function Ledger:ended(taskId, status, err)
  self.active[taskId] = status and self.now() + self.lease or nil
  if not status and not FINAL[err.code] then return end
  local kept = canonical.encode(list.kept_status(status or err.status) or {})
  local why = err and canonical.encode(list.kept_error(err)) or nil
  return self:note(function(db) return intents.ended(db, taskId, status and "done" or "failed", kept, why) end)
end

---@param path string
function Ledger:saving(taskId, path)
  self.active[taskId] = self.now() + self.lease
  return self:note(function(db) return intents.saving(db, taskId, path) end)
end

---@param path string
function Ledger:saved(taskId, path)
  self.active[taskId] = nil
  return self:note(function(db) return intents.saved(db, taskId, path) end)
end

---Adopts a taskId that `status` has confirmed for an intent without an answer.
---@return { outcome: "adopted"|"known"|"closed"|"taken"|"unknown", row: table|nil, by: string|nil }|nil, veo.Error|nil
function Ledger:adopt(ref, taskId)
  return self:commit("settle", function(db) return intents.adopt(db, ref, taskId) end)
end

---@return integer|nil changed, veo.Error|nil
function Ledger:settle(ref, state)
  return self:commit("settle", function(db) return intents.close(db, ref, state) end)
end

---These videos are contained in another one: nothing is left to save of them.
---@param refs string[]
function Ledger:contained(refs)
  return self:note(function(db)
    for _, ref in ipairs(refs) do
      db:run("UPDATE veo_tasks SET state = 'saved', owner = NULL, lease = 0 WHERE ref = ? AND state = 'done'", ref)
    end
    return #refs
  end)
end

---The record of a row.
M.record = list.record
---@type fun(filter: table|nil): string|nil
M.filter_problem = list.problem

---Holds the orders of all processes back, after a refusal outside of an intent.
function Ledger:limited(retry_after)
  return self:note(function(db)
    window.refused(db, self.rate, db:time(), retry_after)
    return true
  end)
end

require("veo.ledger.claims")(Ledger, nonce)
require("veo.ledger.answers")(Ledger)
require("veo.ledger.charges")(Ledger, function(err) return UNSURE[err.cause] == true end)

---Lets everything go and closes the connection.
function Ledger:close()
  if self.pending[1] or self.db.connection and self.beat_at < math.huge then
    self:note(function(db) return leases.release_all(db, self.owner) end)
  end
  self.closed = true
  self.db:disconnect()
end

return M
