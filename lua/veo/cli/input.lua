--- A file that somebody named, for reading. Opening a named pipe would wait for its writer, so none is opened; what the
--- shell has opened stands below /dev (/dev/stdin, /dev/fd/63) and is read.

local lazy = require("veo.util.lazy").room -- help needs no core

local veo = lazy "veo"

local M = {}

---@param path string
---@return file*|nil file
---@return string|nil why
---@return integer|nil errno
function M.open(path)
  if veo.console.kind(path) == "other" and not path:find("^/dev/") and not path:find("^/proc/") then
    return nil, path .. " is not a regular file"
  end
  return io.open(path, "rb")
end

return M
