--- Which errors are transient, so that a repeat may succeed.

local M = {}

-- curl's codes for failures that stay: a malformed URL, and certificates (the server's, the client's, and the bundle).
local LASTING = { [3] = true, [51] = true, [58] = true, [59] = true, [60] = true, [77] = true, [82] = true, [83] = true,
  [90] = true, [91] = true }

local TRANSIENT = { network = true, server = true, unavailable = true, rate_limited = true, malformed = true }

---Whether a failure stays until somebody changes something: a certificate that is not valid, a proxy that refuses.
---@param failure veo.Error|table
---@return boolean
function M.is_lasting(failure)
  local proxy = failure.proxy_status
  return LASTING[failure.curl_code] == true
    or proxy ~= nil and proxy >= 400 and proxy < 500 and proxy ~= 408 and proxy ~= 429
end

---Whether a free call that ended with this error may be repeated.
---@param err veo.Error
---@return boolean
function M.is(err)
  return TRANSIENT[err.code] == true and not M.is_lasting(err)
end

return M
