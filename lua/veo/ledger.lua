--- The ledger: what was ordered, and what became of it, in a database that outlives the process. It is what makes a lost
--- answer, a crash or a second process cost nothing.
---
---   ledger/database.lua     LuaDBI, transactions          ledger/schema.lua    tables and their versions
---   ledger/driver.lua       loading, connecting           ledger/problem.lua   what goes wrong, and why
---   ledger/intents.lua      the life of an order          ledger/lease.lua     who holds it
---   ledger/claims.lua       heartbeat and claims          ledger/rows.lua      tasks as users see them
---   ledger/rate_window.lua  the shared rate window        ledger/queries.lua   what it answers
---   ledger/alike.lua        when two orders are equal     ledger/process.lua   whether a process lives
---   ledger/file_watch.lua   whether its files stand       ledger/account.lua   whose ledger it is
---   ledger/charges.lua      what costs without an order   ledger/clock.lua     when a lease is over
---   ledger/resends.lua      attempts after a lost answer  ledger/files.lua     where videos are saved
---   ledger/prune.lua        what may be forgotten       ledger/workers.lua   which clients hold tasks
---   ledger/orders.lua       what an order notes         ledger/together.lua  orders that share a commit
---
--- A commit takes 0.4 to 3 ms on the calling thread (the disk's), so a call makes as few as it can: two for a submit,
--- which those share that are ready together.

local ipairs, setmetatable = ipairs, setmetatable
local huge = math.huge
local byte, format, gsub = string.byte, string.format, string.gsub
local open, time, date = io and io.open, os and os.time, os and os.date
local lacks = not open and "io.open" or not time and "os.time" or not date and "os.date"

local core = require "veo.core"

local accounts = require "veo.ledger.account"
local canonical = require "veo.util.canonical_json"
local databases = require "veo.ledger.database"
local errors = require "veo.errors"
local intents = require "veo.ledger.intents"
local leases = require "veo.ledger.lease"
local processes = require "veo.ledger.process"
local rows = require "veo.ledger.rows"
local schema = require "veo.ledger.schema"
local stdlib = require "veo.util.stdlib"
local together = require "veo.ledger.together"

local M = {}

---@class veo.Ledger
local Ledger = {}
Ledger.__index = Ledger

-- A task is held for this long after a heartbeat, which is made three times in it (seconds).
local LEASE = 90
-- An intent is held for this much longer than its exchange may take (seconds).
local SLACK = 30
-- Failed writes wait for the database to come back; with more than this many it is taken for gone.
local MAX_PENDING = 100000
-- After these a commit may have arrived although its answer did not.
local UNSURE = { lost = true, slow = true, io = true, database = true, bug = true, within = true }
-- After these the write itself is impossible, now and later.
local UNWRITABLE = { value = true }

-- Hexadecimal from the core's random source.
local function nonce(bytes)
  return (gsub(core.random(bytes), ".", function(c) return format("%02x", byte(c)) end))
end
M.nonce = nonce

-- What opens a database: its tables, and whose they are.
local function opening(account, log)
  return function(db)
    local salt, warning
    schema.prepare(db, function() salt, warning = accounts.check(db, account, nonce(16)) end)
    account.salt = salt
    if warning and log then log { event = "warning", operation = "ledger", message = warning } end
  end
end

local function alone() end

---@param where string       a file name, or postgresql://…
---@param options { now: fun(): number, log: fun(event: table)|nil, timeout: number, rate: table, share: nil|fun(clients: integer), lease: number|nil, create: boolean|nil, base_url: string|nil, api_key: string|nil }
---@return veo.Ledger|nil, string|nil problem
function M.new(where, options)
  if lacks then return nil, stdlib.sentence("it", lacks) end
  local db, problem = databases.new(where, options)
  if not db then return nil, problem end
  local account = accounts.new(options.base_url, options.api_key)
  db.prepare = opening(account, options.log)
  local me = processes.name(nonce(6))
  return setmetatable({
    db = db, account = account, now = options.now, log = options.log, rate = options.rate, owner = me, client = me,
    share = options.share or alone, lease = options.lease or LEASE, intent_lease = options.timeout + SLACK,
    pending = {},     -- failed writes, to be made by the next commit
    line = together.line(), -- writes that are to share one
    sent = {},        -- ref → the exchange of an order that waits for its answer
    beat_at = huge,
    tended = {},      -- refs of the orders under way, which the heartbeat keeps for as long as the client steps
  }, Ledger)
end

local NEXT = {
  busy = "another process holds it", full = "the disk is full", readonly = "it is read-only",
  corrupt = "the file is damaged; restore a copy, or name another file", open = "it cannot be opened",
  lost = "the connection broke", gone = "it is not what was opened", account = "it is another service's",
  absent = "it is not there", newer = "this lua-veo is too old for it", driver = "the driver cannot be trusted",
}

---A database's problem as an error of ours.
---@return veo.Error
function Ledger:error(problem, operation)
  local reason = NEXT[problem.cause]
  return errors.new { code = "ledger", operation = operation, cause = problem.cause, sent = "no",
    message = format("%sthe ledger %s: %s%s", operation and operation .. ": " or "", self.db.shown,
      reason and reason .. ": " or "", problem.message) }
end

-- Writing --------------------------------------------------------------------------------------------------------------

-- Makes the writes that failed earlier, in order.
local function write_pending(self, db)
  for _, write in ipairs(self.pending) do write(db) end
end

-- One of them may be impossible, and must not stop all others: each gets a commit of its own, and that one is dropped.
local function write_each(self)
  local pending = self.pending
  self.pending = {}
  for _, write in ipairs(pending) do
    local value, problem = self.db:transaction(write)
    if value == nil and not UNWRITABLE[problem.cause] then
      self.pending[#self.pending + 1] = write
    elseif value == nil and self.log then
      self.log { event = "ledger", err = self:error(problem), dropped = true, pending = #self.pending }
    end
  end
end

-- What is made without the orders' lock; what waits to be made may need it.
local WITH_LOCK = { row = "begin", bulk_rows = "bulk" }

local function commit(self, operation, fn, kind)
  if self.pending[1] then kind = WITH_LOCK[kind] or kind end
  local value, problem = self.db:transaction(function(db)
    write_pending(self, db)
    return fn(db)
  end, kind)
  if value == nil and self.pending[1] and UNWRITABLE[problem.cause] then
    write_each(self)
    if self.pending[1] then return nil, self:error(problem, operation) end
    value, problem = self.db:transaction(fn, kind)
  end
  if value == nil then return nil, self:error(problem, operation) end
  self.pending = {}
  return value
end

---One commit. Nil and an error when it cannot be made. After `close` the database is opened once more for it: a call
---that was under way may still close its intent.
---@param operation string|nil
---@param fn fun(db: veo.Database): any
---@param kind "bulk"|"row"|"bulk_rows"|nil  one of many: orders of other processes go first; `row`: its rows need no more than their own locks (engines.lua)
function Ledger:commit(operation, fn, kind)
  local value, err = commit(self, operation, fn, kind)
  if self.closed then self.db:disconnect() end
  return value, err
end

---Has the next commit make it as well. Without an error nothing is logged.
---@param err veo.Error|nil
---@return nil, veo.Error|nil
function Ledger:later(fn, err)
  if #self.pending < MAX_PENDING then self.pending[#self.pending + 1] = fn end
  if err and self.log then self.log { event = "ledger", err = err, pending = #self.pending } end
  return nil, err
end

---One commit whose failure must not harm the call: it is logged, and the next commit makes it as well.
---@param kind "row"|"bulk_rows"|nil
---@return any|nil value
function Ledger:note(fn, kind)
  local value, err = self:commit(nil, fn, kind)
  if value ~= nil then return value end
  return self:later(fn, err)
end

-- Tasks ----------------------------------------------------------------------------------------------------------------

-- Errors of a wait that end the task itself; after any other one it can be waited for again.
local FINAL = { failed = true, expired = true }

---A wait saw the end of a task. Tasks the ledger does not know change nothing.
---@param taskId string
---@param status veo.Status|nil
---@param err veo.Error|nil
function Ledger:ended(taskId, status, err)
  if not status and not FINAL[err.code] then return end
  local seen = status or err.status or {}
  local kept = canonical.encode(rows.kept_status(seen))
  local why = err and canonical.encode(rows.kept_error(err)) or nil
  return self:note(function(db)
    return intents.ended(db, taskId, status and "done" or "failed", kept, why, seen.creditsConsumed)
  end, "row")
end

---Adopts a taskId that `status` has confirmed for an intent without an answer.
---@param beside boolean|nil  where the order is closed with another word, the task gets a row of its own
---@return { outcome: "adopted"|"known"|"closed"|"beside"|"taken"|"unknown", row: table|nil, by: string|nil }|nil, veo.Error|nil
function Ledger:adopt(ref, taskId, beside)
  return self:commit("settle", function(db) return intents.adopt(db, ref, taskId, beside) end)
end

---@param unknown boolean|nil  a task that the service does not know is lost
---@return integer|nil changed, veo.Error|nil
function Ledger:settle(ref, state, unknown)
  return self:commit("settle", function(db) return intents.close(db, ref, state, unknown) end)
end

---The record of a row.
M.record = rows.record
---@type fun(filter: table|nil): string|nil
M.filter_problem = rows.problem

require("veo.ledger.claims")(Ledger, nonce)
require("veo.ledger.queries")(Ledger)
require("veo.ledger.files").methods(Ledger)
require("veo.ledger.prune")(Ledger)
local function is_unsure(err) return UNSURE[err.cause] == true end
together.methods(Ledger)
require("veo.ledger.orders")(Ledger, nonce, is_unsure)
require("veo.ledger.charges")(Ledger, is_unsure)

---Lets everything go and closes the connection; in a forked child it is the parent's, with all that it holds.
function Ledger:close()
  if self.db:is_foreign() then
    self.closed = true
    return self.db:abandon()
  end
  if self.pending[1] or self.db.connection and self.beat_at < huge then
    self:note(function(db) return leases.release_all(db, self.owner) end, "row")
  end
  self.closed = true
  self.db:disconnect()
end

return M
