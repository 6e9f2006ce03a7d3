--- Values by key, kept for at least a number of seconds, unless there are more than the cache may hold. Two tables take
--- turns, instead of a search for old entries, so that each step costs the same.

local setmetatable = setmetatable

local M = {}

---@class veo.TtlCache
local TtlCache = {}
TtlCache.__index = TtlCache

---@param now fun(): number
---@param seconds number
---@param most integer  from here on the older half goes early
---@return veo.TtlCache
function M.new(now, seconds, most)
  return setmetatable({ now = now, seconds = seconds, most = most / 2, since = now(), count = 0, young = {}, old = {} },
    TtlCache)
end

local function turn(self)
  local age = self.now() - self.since
  if age < self.seconds and self.count < self.most then return end
  self.old = age < 2 * self.seconds and self.young or {}
  self.young, self.count, self.since = {}, 0, self.now()
end

---@return any value  nil when there is none any more
function TtlCache:get(key)
  turn(self)
  local value = self.young[key]
  if value == nil then value = self.old[key] end
  return value
end

---@param key any
---@param value any  not nil
function TtlCache:set(key, value)
  turn(self)
  if self.young[key] == nil then self.count = self.count + 1 end
  self.young[key] = value
end

return M
