--- The progress of a transfer, reported at most ten times a second, with its rate and the time that is left.

local setmetatable = setmetatable
local exp = math.exp

local M = {}
M.__index = M

-- Seconds between two reports.
local EVERY = 0.1
-- The rate is an average over about this many seconds, so that it follows a change and does not flicker.
local SMOOTH = 3

---@class veo.Progress
---@field rate number|nil   bytes a second
---@field left number|nil   seconds until the end, at this rate
---@field elapsed number    seconds
---@field resumed integer   bytes that were there at the start
---@field offline number|nil  seconds without a connection, of a download that waits for one; `message` says so
---@field message string|nil

---@param ctx table
---@param on_progress nil|fun(bytes: integer, total: integer|nil, info: veo.Progress)
---@param resumed integer|nil
---@param taskId string|nil  whose lease in the ledger is kept meanwhile
function M.new(ctx, on_progress, resumed, taskId)
  local now = ctx.now()
  return setmetatable({ ctx = ctx, fn = on_progress, began = now, at = now, bytes = resumed or 0,
    resumed = resumed or 0, pulse = ctx.ledger and taskId and ctx.ledger.lease / 3 }, M)
end

---The heartbeat, when it is due. To be called at least every `pulse` seconds.
function M:keep()
  if self.pulse then self.ctx.ledger:beat() end
end

-- A file that started over has fewer bytes than before; that is no rate.
local function measure(self, bytes)
  local now = self.ctx.now()
  local passed, came = now - self.at, bytes - self.bytes
  self.at, self.bytes = now, bytes
  if came < 0 or passed <= 0 then return end
  local rate = came / passed
  local share = 1 - exp(-passed / SMOOTH)
  self.rate = self.rate and self.rate + (rate - self.rate) * share or rate
end

---Reports, unless nothing is new. The last report is made all the same.
---@param bytes integer
---@param total integer|nil
---@param last boolean|nil
function M:tell(bytes, total, last)
  if not self.fn or bytes == self.told and not last then return end
  measure(self, bytes)
  self.told, self.whole = bytes, total
  local left = total and self.rate and self.rate > 0 and (total - bytes) / self.rate or nil
  self.fn(bytes, total, { rate = self.rate, left = last and 0 or left, elapsed = self.at - self.began,
    resumed = self.resumed })
end

---Reports why nothing comes.
---@param message string
---@param offline number  seconds without a connection
function M:say(message, offline)
  if not self.fn then return end
  self.fn(self.told or self.bytes, self.whole, { elapsed = self.ctx.now() - self.began, resumed = self.resumed,
    message = message, offline = offline })
end

-- Until when to wait before the next report, or the next heartbeat; nil: for as long as it takes.
local function next_news(self, due)
  local every = self.fn and EVERY or self.pulse
  local at = every and self.ctx.now() + every
  if due and (not at or due < at) then return due end
  return at or nil
end

-- The transfer has news: what it answered, when that was all of it.
local function read(self, transfer, glance)
  self.last, self.total = transfer:progress() -- gone once the result is read
  if glance then glance() end
  return transfer:result()
end

---Waits for a transfer's end, and reports on the way.
---@param transfer userdata
---@param due number|nil        the wait ends then
---@param glance nil|fun()      called whenever the transfer has news
---@return "done"|"timeout"|"cancelled"|"closed"|"stuck" why
---@return table|nil reply, table|nil failure  of the core, when done
function M:follow(transfer, due, glance)
  local ctx = self.ctx
  while true do
    local why = ctx.scheduler:await(transfer, next_news(self, due))
    if why == "done" then
      local reply, failure = read(self, transfer, glance)
      if reply ~= false then return why, reply, failure end
    elseif why ~= "timeout" or due and ctx.now() >= due then
      return why
    end
    self:keep()
    if self.fn then
      local bytes, total = transfer:progress()
      if bytes then self:tell(bytes, total) end
    end
  end
end

return M
