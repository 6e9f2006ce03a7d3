-- What is compared: each case does the same work with several programs; `base` is what the ratios are to, `target` what
-- our own ratio must not exceed. A program that this machine cannot run is left out and named in `missing`.
local harness = require "harness"

local CALLS, WAITS, IN_FLIGHT = 20000, 10000, 1000

local function lua(env, file, ...)
  return { env.lua, env.here .. "/" .. file, ... }
end

-- Debian's lua-http lacks a module for 5.3 and 5.4.
local LUA_HTTP = "lua-http + cjson, Lua 5.1"
local function lua_http(env, ...)
  return { "lua5.1", env.here .. "/peers/lua_http.lua", ... }
end

local function node(env, file, ...)
  return { "node", env.here .. "/peers/" .. file, ... }
end

-- Keeps the programs that can run.
local function programs(case, list)
  case.programs, case.missing = {}, {}
  for _, program in ipairs(list) do
    if program.when == false then
      table.insert(case.missing, program.name)
    else
      table.insert(case.programs, program)
    end
  end
  return case
end

local function status(env, url, has)
  local title = ("%d status calls, one connection"):format(CALLS)
  return programs({ id = "status", title = title, by = "cpu", target = 1.5 }, {
    { name = "C, libcurl easy", base = true, command = { env.bin .. "/easy", url, CALLS } },
    { name = "veo.core", ours = true, when = has.core, command = lua(env, "status.lua", "core", url, CALLS) },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "status.lua", "veo", url, CALLS) },
    { name = LUA_HTTP, when = has.lua_http, command = lua_http(env, url, CALLS, 1) },
    { name = "luasocket + cjson (reconnects)", when = has.luasocket,
      command = lua(env, "peers/luasocket.lua", url, CALLS) },
    { name = "node undici", when = has.undici, command = node(env, "undici.mjs", url, CALLS, 1) },
    { name = "node fetch", when = has.node, command = node(env, "fetch.mjs", url, CALLS) },
  })
end

local function waits(env, url, has)
  local title = ("%d waits, %d slow replies at a time"):format(WAITS, IN_FLIGHT)
  return programs({ id = "waits", title = title, by = "cpu", target = 1.3 }, {
    { name = "C, libcurl multi + epoll", base = true, command = { env.bin .. "/multi", url, WAITS, IN_FLIGHT } },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "waits.lua", url, WAITS, IN_FLIGHT) },
    { name = LUA_HTTP, when = has.lua_http, command = lua_http(env, url, WAITS, IN_FLIGHT) },
    { name = "node undici", when = has.undici, command = node(env, "undici.mjs", url, WAITS, IN_FLIGHT) },
  })
end

local function download(env, server, has)
  local url, file = server.url .. "/big.mp4", env.dir .. "/saved.mp4"
  local title = ("%d MiB download"):format(env.mebibytes)
  return programs({ id = "download", title = title, by = "wall", target = 1.15, file = file }, {
    { name = "C, recv + write", base = true, command = { env.bin .. "/recv", server.port, "/big.mp4", file } },
    { name = "C, libcurl 512 KiB buffer", command = { env.bin .. "/download", url, file } },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "download.lua", url, file) },
    { name = "curl command", when = has.curl, command = { "curl", "-sS", "-o", file, url } },
    { name = "node fetch", when = has.node, command = node(env, "download.mjs", url, file) },
  })
end

local function load(env, has)
  return programs({ id = "require", title = "loading, one start", by = "wall", repeats = 40 }, {
    { name = "C, libcurl loaded", base = true, command = { env.bin .. "/load" } },
    { name = "lua, nothing loaded", command = { env.lua, "-e", "" } },
    { name = "require \"veo\"", ours = true, when = has.veo, command = lua(env, "require.lua") },
  })
end

local M = {}

---The cases in the order they are run.
---@param has table what this machine has: core, veo, lua_http, luasocket, node, undici, curl
function M.list(env, server, has)
  return { status(env, server.url, has), waits(env, server.slow_url, has), download(env, server, has), load(env, has) }
end

---Instructions of `calls` status calls, start and end taken off by counting a short run too → name, per call.
function M.instructions(env, url, has, calls)
  local counted = {}
  for _, program in ipairs(status(env, url, has).programs) do
    if program.base or program.ours then
      local command = table.move(program.command, 1, #program.command, 1, {})
      command[#command] = 100
      local short = harness.instructions(env, command)
      command[#command] = 100 + calls
      local long = harness.instructions(env, command)
      local value = short and long and (long - short) / calls
      counted[#counted + 1] = { name = program.name, base = program.base, value = value }
    end
  end
  return counted
end

return M
