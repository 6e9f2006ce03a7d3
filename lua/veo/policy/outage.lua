--- No connection. A try of which nothing was sent does not count as an attempt and costs no retry budget: it is
--- repeated, with backoff, until the call's deadline. So an outage shorter than that ends nothing.

local setmetatable = setmetatable
local huge, max, min = math.huge, math.max, math.min
local format = string.format

local duration = require "veo.util.duration"
local retry = require "veo.policy.retry"
local wire = require "veo.wire"

local M = {}

---@class veo.Outage
---@field since number|nil  when the first of the tries in a row failed
---@field tries integer     how many did
local Outage = {}
Outage.__index = Outage

-- The least pause (seconds): with `base = 0` a refused port would be asked ten thousand times a second.
local LEAST = 0.02

---@param limit number|nil  seconds that one may take, beside the end of the call
---@return veo.Outage
function M.new(limit)
  return setmetatable({ since = nil, tries = 0, limit = limit or huge }, Outage)
end

---Whether a try met an outage: nothing was sent, or a proxy made no tunnel, and waiting can help.
---@param err veo.Error
---@return boolean
function M.met(err)
  return err.code == "network" and (err.sent == "no" or err.proxy_status ~= nil) and wire.repeatable(err)
end

---There was an answer.
function Outage:over()
  self.since, self.tries = nil, 0
end

---Seconds to pause after a try that met one; nil when no time is left. The last try is made at the end.
---@param ctx table
---@param policy veo.RetryPolicy
---@param err veo.Error     of the try; is told how long there has been no connection
---@param deadline number
---@return number|nil
function Outage:pause(ctx, policy, err, deadline)
  local now = ctx.now()
  self.since, self.tries = self.since or now, self.tries + 1
  err.offline = now - self.since
  local left = min(deadline, self.since + self.limit) - now
  if left > 0 then return min(max(retry.delay(policy, self.tries, ctx.random), LEAST), left) end
  err.message = format("%s; no connection for %s", err.message, duration(err.offline))
  return nil
end

---The progress message meanwhile.
---@param err veo.Error     of the last try
---@param offline number    seconds since the first of those that failed in a row
---@return string
function M.words(err, offline)
  return format("no %s for %s, trying again", err.code == "network" and "connection" or "answer", duration(offline))
end

return M
