-- Socket options that cqueues cannot set. Luasocket can, on a descriptor that is only lent to it.
local M = {}

local function set(con, name, value)
  local lent = require("socket").tcp4()
  lent:close()
  lent:setfd(con:pollfd())
  lent:setoption(name, value)
  lent:setfd(-1)
end

---Makes close send RST.
function M.linger(con)
  set(con, "linger", { on = true, timeout = 0 })
end

---Makes small writes leave at once.
function M.prompt(con)
  set(con, "tcp-nodelay", true)
end

return M
