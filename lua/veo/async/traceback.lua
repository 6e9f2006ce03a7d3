--- The text of a job's error, and where it was raised, as far as its object and the host let that be seen.

local pcall, setmetatable, tostring, type = pcall, setmetatable, tostring, type
local rawequal = rawequal or function(a, b) return a == b end
local running = coroutine.running
local traceback = debug and debug.traceback or function(_, message)
  return message .. "\n(no traceback: this Lua has no debug.traceback)"
end

local M = {}

-- Where the last error came from that a call passed on: once passed on it has no trace of its own.
local passed_on = setmetatable({}, { __mode = "v" })

---A message handler for an error that is passed on.
function M.remember(cause)
  local co = running()
  if passed_on.co ~= co or not rawequal(passed_on.cause, cause) then
    local ok, trace = pcall(traceback, co, "", 2)
    passed_on.co, passed_on.cause, passed_on.trace = co, cause, ok and trace or nil
  end
  return cause
end

---What was raised, as text; a __tostring of the user's may raise in its turn, and return anything.
---@return string
function M.text(cause)
  local ok, text = pcall(tostring, cause)
  return ok and type(text) == "string" and text or "an error without a text (" .. type(cause) .. ")"
end

---Where the coroutine raised it.
---@param text string  what stands in front
---@return string|nil
function M.of(co, cause, text)
  if passed_on.co == co and rawequal(passed_on.cause, cause) and passed_on.trace then return text .. passed_on.trace end
  local ok, trace = pcall(traceback, co, text)
  return ok and type(trace) == "string" and trace or nil
end

return M
