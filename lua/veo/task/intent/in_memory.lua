--- An intent without a ledger: it is kept by its call alone. Only upgrades that are tasks of their own cost again with each
--- order, and nobody means a second one: the client remembers those as long as it lives, and joins them as a ledger does.

local setmetatable = setmetatable

local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"
local ended = require "veo.async.ended"
local errors = require "veo.errors"
local life = require "veo.task.intent.life"
local query = require "veo.task.query"
local semaphores = require "veo.async.semaphore"

---@class veo.intent.InMemory: veo.Intent
---@field name string|nil  of an upgrade: what is remembered under it is told by `remember`
local InMemory = setmetatable({}, life)
InMemory.__index = InMemory

-- How often to look what became of another job's order that is under way (seconds).
local LOOK_EVERY = 0.25

local function problem(operation, code, message)
  return errors.new { code = code, operation = operation, sent = "no",
    charged = code == "uncertain" and "maybe" or "no", message = operation .. ": " .. message }
end

-- Remembers what became of it: `busy`, a `taskId` or an `err`; nil: nothing was ordered.
local function remember(self, what)
  if self.name then self.ctx.once[self.name] = what end
end

-- What another job of this client has made of it by now.
local function settled(self, name)
  local ctx, operation = self.ctx, self.operation
  local deadline = ctx.now() + self.options.submit.deadline
  while ctx.once[name] and ctx.once[name].busy do
    local why = ctx.now() < deadline and ctx.scheduler:sleep_until(ctx.now() + LOOK_EVERY) or "busy"
    if why == "busy" then return nil, problem(operation, "busy", "the same order is under way") end
    if why ~= "timeout" then
      return nil, problem(operation, ended.code(why), "it was " .. why)
    end
  end
  return ctx.once[name]
end

-- Whether the service says that it failed: then another one may be ordered.
local function has_failed(self, taskId)
  local ctx = self.ctx
  local status = query.status(ctx, taskId, { free = ctx.defaults.free, retry = self.options.retry })
  return status and status.state == "failed"
end

-- Takes an upgrade for this call. An error, or the task, when this client has ordered it before.
local function take(self)
  local ctx, operation = self.ctx, self.operation
  local name = operation .. " " .. canonical.encode(equality.essence(operation, self.body))
  repeat
    local found, err = settled(self, name)
    if err then return err end
    if found and found.err and not self.options.retry.ambiguous then
      err = problem(operation, "uncertain", "an earlier order of it has no answer, and may be charged")
      err.taskId, err.cause = found.err.taskId, found.err
      return err
    end
    if found and found.taskId and not has_failed(self, found.taskId) then
      return nil, { taskId = found.taskId, joined = true }
    end
  until ctx.once[name] == found -- nobody took it while the record was looked at
  ctx.once[name] = { busy = true }
  self.name = name -- from here on its end is remembered
end

-- A slot for the next attempt, as the ledger takes one with an intent: when nobody waits for one, and no look at the
-- balance comes in between.
local function take_slot(self)
  local ctx = self.ctx
  self.slot = not ctx.evidence and not semaphores.is_full(ctx.slots) and self:reserve() <= 0
  return true
end

---Takes the order for this call.
---@return true|nil
---@return veo.Error|nil err
---@return { taskId: string, joined: boolean }|nil earlier
function InMemory:write()
  if self.ctx.api.operations[self.operation].once then
    local err, earlier = take(self)
    if err or earlier then return nil, err, earlier end
  end
  return take_slot(self)
end

function InMemory:write_again()
  remember(self, { busy = true })
  return take_slot(self)
end

function InMemory:join(earlier) return earlier end

---Seconds to wait before the next attempt may go; 0 when it may and its slot is taken.
---@return number wait, nil
---@return number|nil hold  seconds for which the service holds orders back
function InMemory:reserve()
  local wait, hold, taken = self.ctx.window:reserve()
  self.taken = taken
  return wait, nil, hold
end

function InMemory:still_open() return true end

function InMemory:is_of_another() return false end

-- A refusal for the rate holds the client's other orders back, also one that is not repeated.
local function hold_back(ctx, err)
  if err.code == "rate_limited" then ctx.window:refused(err.retry_after) end
end

function InMemory:note_idle(err)
  local window = self.ctx.window
  if err.sent == "no" then window:give_back(self.taken) end
  hold_back(self.ctx, err)
end

function InMemory:note_accepted(task)
  remember(self, { taskId = task.taskId })
end

function InMemory:note_refused()
  remember(self, self.standing and { err = self.standing }) -- an earlier attempt may have been charged
end

function InMemory:note_uncertain(err)
  hold_back(self.ctx, err)
  remember(self, { err = err })
end

function InMemory:note_evidence() end

return InMemory
