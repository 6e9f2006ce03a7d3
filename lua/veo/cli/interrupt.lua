--- Ctrl-C before a command has a client, and in commands that have none: the interpreter answers it by raising
--- "interrupted!" in the main program. Afterwards the session has its signals told (veo.console).

local M = {}

---Whether an error is a Ctrl-C.
---@param err any
---@return boolean
function M.is(err)
  return type(err) == "string" and err:find("interrupted!$") ~= nil
end

return M
