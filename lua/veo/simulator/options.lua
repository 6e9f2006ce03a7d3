--- The simulator's options, with their defaults; a misspelt one is refused.
local checks = require "veo.util.options"
local effects = require "veo.simulator.effects"
local script = require "veo.simulator.script"
local suggest = require "veo.util.suggest"

local M = {}

M.defaults = {
  port = 0,                   -- of the API; 0: any free one
  media_port = 0,             -- of the media host (another host to every client: another port)
  tls = false,                -- true: https on both, with a throw-away CA
  public_url = false,         -- where clients reach the API when a proxy stands in front
  public_media_url = false,   -- the same of the media host: links begin so
  speed = 1,                  -- how many seconds of the service pass in one
  render = 300,               -- seconds that a task takes (of the service)
  render_spread = 0,          -- 0.2: 20 % shorter or longer
  visible = 0,                -- seconds until a new task can be seen (of the service)
  credits = 10000,            -- the balance at the start
  rate = { count = 20, window = 10 },  -- new tasks in real seconds; false: no limit
  api_key = "sim-key-5b1e9f0c7a3d4862",
  source = "veo_task_abcdef123456",
  unknown = "404",            -- how an unknown task is told: 404, record, record_info, null, empty, absent
  link_life = false,          -- real seconds that a result's link lives; false: for ever
  deterministic = false,      -- true: taskIds are counted, not random
  seed = false,               -- a number: the same random numbers in each run
  own_bytes = false,          -- true: each task's files end with a box that holds its taskId, so that no two are alike
  webhook_key = false,        -- a string: callbacks are signed with it
  keep = 20000,               -- how many requests are kept for `requests`
  script = {},                -- rules, see script.lua
}

-- Nil, or what is wrong with what an option says.
local function problem_with(options)
  if options.speed <= 0 then return 'option "speed" must be above 0' end
  if not effects.known.unknown.test(options.unknown) then
    local meant = suggest.nearest(options.unknown, effects.known.unknown.names)
    return ('option "unknown"%s: expected %s'):format(meant and " (did you mean " .. meant .. "?)" or "",
      effects.known.unknown.expected)
  end
  local rate = options.rate or M.defaults.rate
  local unknown = checks.unknown("option", rate, M.defaults.rate)
  if unknown then return 'option "rate": ' .. unknown end
  for name in pairs(M.defaults.rate) do
    if type(rate[name]) ~= "number" or rate[name] <= 0 then
      return ('option "rate": %s must be a number above 0'):format(name)
    end
  end
  local _, why = script.rules(options.script or {})
  return why
end

--- Fills in the defaults.
--- @return table|nil options, string|nil why
function M.fill(given)
  given = given or {}
  local unknown = checks.unknown("option", given, M.defaults)
  if unknown then return nil, unknown end
  local options = {}
  for name, value in pairs(M.defaults) do options[name] = value end
  for name, value in pairs(given) do
    local default = M.defaults[name]
    if value ~= false and default ~= false and type(value) ~= type(default)
      and not (name == "rate" and value == true) then
      return nil, ("option %q must be a %s, got a %s"):format(name, type(default), type(value))
    end
    if not (name == "rate" and value == true) then options[name] = value end
  end
  local why = problem_with(options)
  if why then return nil, why end
  return options
end

return M
