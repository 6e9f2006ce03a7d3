--- Brings the service up: listeners, the loop, and its end.
local cqueues = require "cqueues"
local json = require "veo.simulator.json"
local options_of = require "veo.simulator.options"
local server = require "veo.simulator.server"
local service = require "veo.simulator.service"

local M = {}

-- Who steers a simulator is told where: its address holds what nobody guesses, another user of the machine or a page
-- in a browser.
local function token()
  local random = assert(io.open("/dev/urandom", "rb"))
  local bytes = random:read(16)
  random:close()
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function start(options)
  local loop = cqueues.new()
  local world = service.new(options)
  world.loop = loop
  local tls, ca_file
  if options.tls then
    tls, ca_file = require("veo.simulator.tls").context()
  end
  local function listen(name, port, secure)
    return server.listen(loop, {
      name = name, port = port, tls = secure,
      answer = function(request) return world:answer(request) end,
      cut = function(request) world:cut(request) end,
      body_sink = function(request) return world:body_sink(request) end,
    })
  end
  local scheme = tls and "https" or "http"
  local api, why = listen("api", options.port, tls)
  if not api then return nil, ("cannot listen on port %d: %s"):format(options.port, why) end
  local media = assert(listen("media", options.media_port, tls))
  local steering = assert(listen("control", 0, nil))
  world.url = options.public_url or ("%s://127.0.0.1:%d"):format(scheme, api)
  world.media_url = options.public_media_url or ("%s://127.0.0.1:%d"):format(scheme, media)
  world.token = token()
  world.about = {
    url = world.url, media_url = world.media_url, upload_url = world.media_url,
    control_url = ("http://127.0.0.1:%d/%s"):format(steering, world.token), ca_file = ca_file,
    api_key = options.api_key, port = api, media_port = media, source = options.source, speed = options.speed,
  }
  return world
end

-- Runs for ever. An error in one connection ends that connection, is told, and nothing else; but Ctrl-C, which LuaJIT
-- raises in whatever coroutine runs (111 of 400 times in a connection's), ends it all. Other Lua raise it here, between
-- two steps: a signal that comes just before the sleep (1 of 400) would not end that, so it is short.
local function run(world)
  while true do
    local done, why = world.loop:step(0.5)
    if not done then
      if tostring(why):find("interrupted!$") then error(why, 0) end
      io.stderr:write("veo simulator: ", tostring(why), "\n")
    end
  end
end

local function leave(world)
  if world.about.ca_file then os.remove(world.about.ca_file) end
  os.exit(0)
end

--- As a child: options in one line of JSON, the answer in one line of JSON, until standard input ends.
function M.run_child(line)
  local options, why = options_of.fill(json.decode(line))
  local world
  if options then world, why = start(options) end
  io.stdout:write(json.encode(world and world.about or { error = why }), "\n")
  io.stdout:flush()
  if not world then return end
  world.loop:wrap(function()
    -- nothing more is ever written to it: readable means that the parent is gone
    cqueues.poll({ pollfd = 0, events = "r" })
    leave(world)
  end)
  run(world)
end

--- In the foreground, for as long as the process lives. Says where, as lines for a shell.
--- @param given table options
--- @param say fun(line: string)|nil where the URL is told; standard output when absent
function M.run(given, say)
  local options, why = options_of.fill(given)
  local world
  if options then world, why = start(options) end
  if not world then return nil, why end
  local about = world.about
  say = say or function(line)
    io.stdout:write(line, "\n")
    io.stdout:flush()
  end
  -- A shell may evaluate all of it.
  local function export(name, value)
    if value:find("[^%w_@%%+=:,./-]") then value = "'" .. value:gsub("'", "'\\''") .. "'" end
    say("export " .. name .. "=" .. value)
  end
  say("# veo simulator on " .. about.url)
  export("KIE_BASE_URL", about.url)
  export("KIE_UPLOAD_URL", about.upload_url)
  export("KIE_API_KEY", about.api_key)
  if about.ca_file then export("CURL_CA_BUNDLE", about.ca_file) end
  say("# taskId of a finished video: " .. about.source)
  say("# results on " .. about.media_url .. ", control on " .. about.control_url .. "/_simulator/")
  run(world)
  return true
end

--- `--port 8080 --speed 100 --tls --rate false`: every option of options.lua.
--- @return integer exit status
function M.run_command(arguments)
  local given, index = {}, 1
  while arguments[index] do
    local name = arguments[index]:match("^%-%-([%w-]+)$")
    if not name then
      io.stderr:write("veo simulator: cannot read ", arguments[index], "\n")
      return 2
    end
    name = name:gsub("-", "_")
    local value = arguments[index + 1]
    if value == nil or value:find("^%-%-") then
      given[name] = true
      index = index + 1
    else
      if value == "true" or value == "false" then
        value = value == "true"
      elseif type(options_of.defaults[name]) == "number" or name == "seed" or name == "link_life" then
        value = tonumber(value) or value
      end
      given[name] = value
      index = index + 2
    end
  end
  local done, why = M.run(given)
  if not done then io.stderr:write("veo simulator: ", why, "\n") end
  return done and 0 or 2
end

return M
