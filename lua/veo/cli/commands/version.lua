--- `veo version`: what `--version` prints.

local M = {}

function M.arguments(parser)
  parser:command("version", "Print the version.")
end

---@return string
function M.text()
  local veo = require "veo"
  local lua = rawget(_G, "jit") and jit.version or _VERSION
  return ("veo %s (libcurl %s, %s)"):format(veo._VERSION, veo.curl_version, lua)
end

---@return integer exit
function M.version()
  io.stdout:write(M.text(), "\n")
  return 0
end

return M
