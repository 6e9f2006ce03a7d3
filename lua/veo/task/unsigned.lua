--- Callbacks to an account without a webhook key. Anybody can send one, so it is a reason to look only where it names a
--- task or an order that is known here, and looks are counted.

local setmetatable = setmetatable
local format = string.format
local max = math.max

local errors = require "veo.errors"
local limiter = require "veo.policy.limiter"
local settle = require "veo.task.settle"
local text = require "veo.util.text"
local ttl_cache = require "veo.util.ttl_cache"
local waits = require "veo.task.wait"

local M = {}

-- Looks that are allowed within WINDOW seconds: for one task, because the service calls back three times, 15 s apart;
-- and for all of them, five times as fast as the service takes orders.
local EACH, ALL, WINDOW = 5, 100, 10
-- Ends that are remembered, and for how long: another callback is answered from there.
local ENDS, KEPT = 10000, 300
-- Unknown tasks of which `log` is told in an hour, each once.
local TOLD, HOUR = 100, 3600

---@class veo.Unsigned
local Unsigned = {}
Unsigned.__index = Unsigned

---@param ctx table
---@return veo.Unsigned
function M.new(ctx)
  local now = ctx.now
  return setmetatable({
    ctx = ctx, all = limiter.window { count = ALL, window = WINDOW, now = now },
    told = limiter.window { count = TOLD, window = HOUR, now = now },
    each = ttl_cache.new(now, WINDOW, ENDS), ends = ttl_cache.new(now, KEPT, ENDS),
    unknown = ttl_cache.new(now, HOUR, 2 * TOLD),
  }, Unsigned)
end

-- Whether this client or its ledger has to do with the task.
local function known(ctx, taskId)
  if ctx.created[taskId] or waits.is_watched(ctx, taskId) or ctx.resuming[taskId] then return true end
  if not ctx.ledger then return false end
  return ctx.ledger:find { taskId = taskId }
end

-- The order's reference, which went out in its callback URL alone; nil when the ledger has no such order.
local function reference(ctx, target)
  local ref = ctx.ledger and settle.reference(target)
  if not ref then return nil end
  local found, err = ctx.ledger:find { ref = ref }
  return found and ref or nil, err
end

local function refusal(code, taskId, message, more)
  return errors.new { code = code, operation = "callback", taskId = taskId, retry_after = more,
    message = format("callback: task %s: %s", text.printable(taskId), message) }
end

-- Nobody here knows the task; `quiet` when `log` was told of it before.
local function stranger(self, taskId)
  local quiet = self.unknown:get(taskId) or self.told:reserve() > 0
  if not quiet then self.unknown:set(taskId, true) end
  return refusal("unverified", taskId, "neither this client nor its ledger knows it, and without a webhook key nothing "
    .. "else speaks for the callback"), quiet
end

---Whether a callback is worth a look.
---@param taskId string
---@param target string|nil
---@return string|nil subject     what to remember its end under
---@return veo.Error|nil err      unverified, rate_limited, ledger
---@return boolean|nil quiet      nothing of it needs to be told again
function Unsigned:admit(taskId, target)
  local ctx = self.ctx
  local ref, err = reference(ctx, target)
  if not ref then
    local yes, problem = known(ctx, taskId)
    err = err or problem
    if not yes and err then return nil, err end
    if not yes then return nil, stranger(self, taskId) end
  end
  local subject = taskId .. "\n" .. (ref or "")
  if self.ends:get(subject) then return subject end
  local window = self.each:get(subject) or limiter.window { count = EACH, window = WINDOW, now = ctx.now }
  local wait = max(window:peek(), ref and 0 or self.all:peek())
  if wait > 0 then return nil, refusal("rate_limited", taskId, "it or others were looked at often enough", wait) end
  window:reserve()
  self.each:set(subject, window)
  if not ref then self.all:reserve() end
  return subject
end

return M
