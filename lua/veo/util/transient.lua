--- Which errors are transient: waiting may mend what they met.

local M = {}

-- What curl says of a connection that waiting does not mend: a URL that is none, and certificates: the server's, one's
-- own, and those it is checked by.
local LASTING = { [3] = true, [51] = true, [58] = true, [59] = true, [60] = true, [77] = true, [82] = true, [83] = true,
  [90] = true, [91] = true }

local TRANSIENT = { network = true, server = true, unavailable = true, rate_limited = true, malformed = true }

---Whether waiting does not mend what it met: a certificate that does not hold, a proxy that refuses.
---@param failure veo.Error|table
---@return boolean
function M.is_lasting(failure)
  local proxy = failure.proxy_status
  return LASTING[failure.curl_code] == true
    or proxy ~= nil and proxy >= 400 and proxy < 500 and proxy ~= 408 and proxy ~= 429
end

---Whether a free call that ended so may simply be made again. Not one whose connection waiting does not mend.
---@param err veo.Error
---@return boolean
function M.is(err)
  return TRANSIENT[err.code] == true and not M.is_lasting(err)
end

return M
