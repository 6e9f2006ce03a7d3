-- Behaviours named <how>_<phase>: how an exchange ends, and what of the reply was said before. Each serving protocol
-- knows how to say it, this knows the names.
--   how    "reset" (RST), "close", "hang" (silence); "rst" and "goaway" over HTTP/2 only
--   phase  "request" (before the request's body is read), "head" (nothing was said), "headers", "body"
local M = {}

M.ways = { "reset", "close", "hang", "rst", "goaway" }
M.phases = { "request", "head", "headers", "body" }

---A behaviour's how and phase, or nothing when it is none of these.
function M.parse(behaviour)
  local how, phase = behaviour:match("^(%l+)_(%l+)$")
  for _, way in ipairs(M.ways) do
    for _, known in ipairs(M.phases) do
      if how == way and phase == known then
        return how, phase
      end
    end
  end
end

---What of a body is said in the phase "body".
function M.part(body)
  return body:sub(1, #body // 3)
end

return M
