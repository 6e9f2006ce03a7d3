--- lua-veo: extends Veo 3.1 videos, waits for them and saves them, without paying twice, losing a paid video or stalling
--- its host. Documentation of the service: docs.kie.ai, "Extend Veo 3.1 AI Video".

local error, ipairs, pairs, pcall, require = error, ipairs, pairs, pcall, require
local rawget, setmetatable, tostring, type = rawget, setmetatable, tostring, type
local getenv = os and os.getenv

local core = require "veo.core"
local stdlib = require "veo.util.stdlib"

-- Lua loads a core once from each path: a newer lua-veo, loaded where another was, meets the core of that one.
if core.interface ~= 8 then
  error("veo: the core that is loaded here belongs to another lua-veo (" .. core.version
    .. "): start the program anew, or install this one under another path")
end

---@type veo
local M = { _VERSION = core.version, curl_version = core.curl_version, now = core.now,
  console = { take_signals = core.take_signals, signal = core.signal, columns = core.columns,
    kind = core.kind } }

local lacks = stdlib.missing()
if lacks then -- nothing can be ordered without a client
  function M.new() error("veo.new: " .. stdlib.sentence("lua-veo", lacks), 2) end
  M.preload = M.new
  return M
end

local lazy = require("veo.util.lazy")
local clients = lazy.room "veo.client"

-- What is loaded at first use: a host that may never need it starts without (4 ms).
local ROOMS = { errors = "veo.errors", webhook = "veo.webhook", receiver = "veo.receiver", simulator = "veo.simulator" }

setmetatable(M, {
  __index = function(self, name)
    if name == "prices" then
      self.prices = require("veo.policy.budget").prices
    elseif name == "assert" then
      self.assert = require("veo.errors").assert
    elseif ROOMS[name] then
      self[name] = require(ROOMS[name])
    end
    return rawget(self, name)
  end,
})

-- An environment variable; one that is set but empty is as good as unset.
local function from_environment(name)
  local value = getenv and getenv(name)
  if value == "" then return nil end
  return value
end

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
  local made, problem = clients.new(given)
  if not made then error("veo.new: " .. tostring(problem), 2) end
  return made
end

-- What is loaded at first use beside our own rooms; the last are optional.
local OTHERS = { "cjson.safe", "DBI", "dbd.sqlite3", "dbd.postgresql", "openssl.hmac" }

function M.preload()
  local problem = lazy.all()
  if problem then error("veo.preload: " .. problem, 2) end
  M.errors, M.prices = require "veo.errors", require("veo.policy.budget").prices
  for _, name in ipairs(OTHERS) do pcall(require, name) end
end

return M
