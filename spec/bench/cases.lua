-- What is compared: each case does the same work with several programs, at one place: nginx with TLS + HTTP/2, or plain
-- HTTP/1.1. `base` is what the ratios are to, `target` what our own ratio must not exceed. A program that this machine
-- cannot run is left out and named in `missing`.
local CALLS, FILES = 5000, 50

local function lua(env, file, ...)
  return { env.lua, env.here .. "/" .. file, ... }
end

local function undici(env, ...)
  return { "node", env.here .. "/peers/undici.mjs", ... }
end

local function curl(...)
  return { "curl", "-sS", "--no-progress-meter", ... }
end

-- Keeps the programs that can run; `on` is false where a program has no place.
local function programs(case, list)
  case.programs, case.missing = {}, {}
  for _, program in ipairs(list) do
    if program.on ~= false then
      if program.when == false then
        table.insert(case.missing, program.name)
      else
        table.insert(case.programs, program)
      end
    end
  end
  return case
end

-- Debian's lua-http lacks a module for 5.3 and 5.4.
local function status(env, place, has, form, calls)
  local url = place.url .. "/" .. form
  local title = ("%d status calls, one after the other"):format(calls)
  return programs({ id = "status", title = title, by = "cpu", target = 1.5 }, {
    { name = "C, libcurl easy", base = true, command = { env.bin .. "/easy", url, calls } },
    { name = "veo.core", ours = true, when = has.core, command = lua(env, "status.lua", "core", url, calls) },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "status.lua", "veo", url, calls) },
    { name = "lua-http + cjson, Lua 5.1", on = place.tls, when = has.lua_http,
      command = { "lua5.1", env.here .. "/peers/lua_http.lua", url, calls } },
    { name = "node undici", on = place.tls, when = has.undici, command = undici(env, url, calls, 1) },
  })
end

-- The command takes at most 300 at a time; lua-http hangs between 5,000 and 8,000 streams of 100 at a time. h2load asks
-- for one task and looks at no body: the ceiling.
local function waits(env, place, has, in_flight, count)
  local url = place.slow
  local one = url .. "/api/v1/veo/record-info?taskId=bench"
  local title = ("%d waits, %d slow replies at a time"):format(count, in_flight)
  return programs({ id = "waits", title = title, by = "cpu", target = 1.45 }, {
    { name = "C, libcurl multi + epoll", base = true, command = { env.bin .. "/multi", url, count, in_flight } },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "waits.lua", url, count, in_flight) },
    { name = "lua-veo, wait_each", ours = true, when = has.veo,
      command = lua(env, "waits.lua", url, count, in_flight, "each") },
    { name = "node undici", on = place.tls, when = has.undici, command = undici(env, url, count, in_flight) },
    { name = "curl --parallel", on = place.tls and in_flight <= 300, when = has.curl, command = curl("--parallel",
      "--parallel-max", in_flight, "--compressed", ("%s[%d-%d]"):format(one, 1, count)) },
    { name = "h2load", on = place.tls, when = has.h2load, command = { "h2load", "-c", 1, "-m", in_flight, "-n", count,
      one } },
  })
end

-- As waits are: nine looks of ten find the task at work.
local function long_waits(env, place, has, in_flight, count)
  local url = place.ten
  return programs({}, {
    { name = "C, libcurl multi + epoll", base = true, command = { env.bin .. "/multi", url, count, in_flight, 10 } },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "waits.lua", url, count, in_flight) },
    { name = "lua-veo, wait_each", ours = true, when = has.veo,
      command = lua(env, "waits.lua", url, count, in_flight, "each") },
  })
end

local function download(env, place, has)
  local url, file = place.url .. "/files/big.mp4", env.dir .. "/saved.mp4"
  local title = ("%d MiB download"):format(env.mebibytes)
  return programs({ id = "download", title = title, by = "wall", target = 1.15, file = file }, {
    { name = "C, libcurl 512 KiB buffer", base = true, command = { env.bin .. "/download", url, file } },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "download.lua", url, file) },
    { name = "curl command", when = has.curl, command = curl("-o", file, url) },
    { name = "C, recv + write", on = not place.tls, command = { env.bin .. "/recv", place.port, "/files/big.mp4",
      file } },
  })
end

local function saving(env, place, has)
  local url, file = place.url .. "/files/small.mp4", env.dir .. "/saved-"
  local title = ("%d downloads of 20 MiB at once"):format(FILES)
  return programs({ id = "saving", title = title, by = "wall", target = 1.1, spread = true, file = file .. "*" }, {
    { name = "curl --parallel", base = true, when = has.curl, command = curl("--parallel", "--parallel-max", FILES,
      "-w", "%{time_total}\n", "-o", file .. "#1", ("%s?[1-%d]"):format(url, FILES)) },
    { name = "lua-veo", ours = true, when = has.veo, command = lua(env, "saving.lua", url, file, FILES) },
  })
end

-- With the system's authorities, as a user has them: reading those is most of a start.
local function start(env, place, has)
  local url = place.url .. "/usual"
  local setup = ("export CURL_CA_BUNDLE=%s;"):format(env.bundle)
  return programs({ id = "start", title = "one start", by = "wall", repeats = 10, setup = setup }, {
    { name = "C, libcurl, first status", base = true, command = { env.bin .. "/easy", url, 1 } },
    { name = "lua-veo, first status", ours = true, when = has.veo, command = lua(env, "status.lua", "veo", url, 1) },
    { name = "veo.core, first status", ours = true, when = has.core, command = lua(env, "status.lua", "core", url, 1) },
    { name = "C, libcurl loaded", command = { env.bin .. "/load" } },
    { name = "lua, require \"veo\"", ours = true, when = has.veo, command = lua(env, "require.lua") },
    { name = "lua, nothing loaded", command = { env.lua, "-e", "" } },
  })
end

local M = {}

---The cases of one place in the order they are run.
---@param place table { url, slow, tls, port }
---@param has table what this machine has: core, veo, lua_http, undici, curl, h2load
function M.list(env, place, has)
  return { status(env, place, has, "usual", CALLS), waits(env, place, has, 100, 3000),
    waits(env, place, has, 1000, 10000), download(env, place, has), saving(env, place, has), start(env, place, has) }
end

---What callgrind counts: `case(n)` does it n times; the short run takes what starting and ending cost off the long one.
---Figures are for a look, or a call.
function M.counted(env, place, has)
  local list = {}
  local function add(id, title, target, short, long, case, looks)
    list[#list + 1] = { id = id, title = title, target = target, short = short, long = long, case = case,
      calls = (long - short) * (looks or 1) }
  end
  for _, in_flight in ipairs { 100, 1000 } do
    add("waits", ("wait, %d in flight"):format(in_flight), 1.45, in_flight, in_flight + 1000, function(n)
      return waits(env, place, has, in_flight, n)
    end)
  end
  for _, in_flight in ipairs { 100, 1000 } do
    add("waits", ("wait of ten looks, %d in flight"):format(in_flight), 1.45, in_flight, 2 * in_flight, function(n)
      return long_waits(env, place, has, in_flight, n)
    end, 10)
  end
  for _, form in ipairs(place.tls and { "usual", "bare", "text", "failed" } or { "usual" }) do
    add("status", "status call, " .. form, form == "usual" and 1.5 or 1.75, 50, 450, function(n)
      return status(env, place, has, form, n)
    end)
  end
  return list
end

return M
