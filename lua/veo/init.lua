--- lua-veo: extends Veo 3.1 videos, waits for them and saves them, without paying twice, losing a paid video or stalling
--- its host. Documentation of the service: docs.kie.ai, "Extend Veo 3.1 AI Video".

local core = require "veo.core"

---@class veo
---@field _VERSION string
---@field errors table  every code, what it means and what to do next
local M = { _VERSION = core.version }

-- The rooms are compiled when the first client is made, so that a host which may never need one starts without (4 ms).
setmetatable(M, {
  __index = function(self, name)
    if name ~= "errors" then return nil end
    local errors = require "veo.errors"
    rawset(self, name, errors)
    return errors
  end,
})

-- An environment variable; one that is set but empty is as good as unset.
local function from_environment(name)
  local value = os.getenv(name)
  if value == "" then return nil end
  return value
end

---A client. What is not given comes from the environment: KIE_API_KEY, KIE_BASE_URL, KIE_UPLOAD_URL, KIE_WEBHOOK_KEY.
---Misuse raises at the caller's line.
---@param options table|nil  see the README for all of them and their defaults
---@return veo.Client
function M.new(options)
  if options ~= nil and type(options) ~= "table" then
    error("veo.new: a table of options expected, got " .. type(options), 2)
  end
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  if given.api_key == nil then given.api_key = from_environment("KIE_API_KEY") end
  if given.base_url == nil then given.base_url = from_environment("KIE_BASE_URL") end
  if given.upload_url == nil then given.upload_url = from_environment("KIE_UPLOAD_URL") end
  if given.webhook_key == nil then given.webhook_key = from_environment("KIE_WEBHOOK_KEY") end
  if given.api_key == nil then
    error("veo.new: api_key: no key given; pass api_key or set KIE_API_KEY", 2)
  end
  local made, problem = require("veo.client").new(given)
  if not made then error("veo.new: " .. problem, 2) end
  return made
end

return M
