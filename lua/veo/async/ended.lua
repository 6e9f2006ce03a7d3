--- Calls that were ended from outside: their job was cancelled, or their client closed.

local M = {}

local ENDED = { cancelled = "cancelled", closed = "closed" }

---The code of an error for a wait that was ended.
---@param why string  what `await` returned
---@return "cancelled"|"closed" code
function M.code(why)
  return ENDED[why] or "cancelled"
end

---Whether a code, or a reason of the core's, says that a call was ended.
---@param code string|nil
---@return boolean
function M.is(code)
  return ENDED[code or ""] ~= nil
end

return M
