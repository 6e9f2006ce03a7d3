--- The user's functions that only hear of events (log, on_job_error, on_end) and cannot disturb what they hear of: what
--- they raise is dropped, a call of theirs that would wait is busy, and where they yield they end.

local visible = require "veo.util.visible"

local M = {}
M.__index = M

local pcall, setmetatable = pcall, setmetatable
local time = os and os.time
local create, resume, status = coroutine.create, coroutine.resume, coroutine.status

function M.new()
  return setmetatable({ co = false }, M)
end

---Whether one of them is being called. An interrupt may come before or after any line of `wrap`, so the coroutine is
---asked, and nothing has to be set back.
---@return boolean
function M:is_observing()
  local state = self.co and status(self.co)
  return state == "running" or state == "normal"
end

---@param fn function|nil
---@return fun(...)|nil
function M:wrap(fn)
  if fn == nil then return nil end
  return function(...)
    local outer = self.co
    local co = create(function(...) fn(...) end) -- `fn` may be a table that can be called
    self.co = co
    resume(co, ...)
    self.co = outer
  end
end

---A log whose events carry the time, and messages that can be printed.
---@param log fun(event: table)|nil
---@return fun(event: table)|nil
function M:wrap_log(log)
  return log and self:wrap(function(event)
    local ok, now = pcall(time)
    event.time = ok and now or nil
    if event.message then event.message = visible(event.message) end
    log(event)
  end)
end

return M
