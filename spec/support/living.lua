--- Other processes at a ledger, from places where one cannot be seen by the next: another PID namespace, a /proc that
--- hides, a wall clock that is off.
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local needs = require "spec.support.needs"

local M = {}

local version = rawget(_G, "jit") and "jit" or _VERSION:match("%d+%.%d+")
local CLOCK = (os.getenv "VEO_BUILD" or "build/" .. version) .. "/wall_clock.so"

local function works(command)
  return helper.output(command .. " echo works"):find("works", 1, true) ~= nil
end

---Ways to run a command elsewhere: what goes before it.
M.places = {
  { name = "in another PID namespace", before = "unshare --pid --fork --mount-proc" },
  { name = "in another PID namespace with this one's /proc", before = "unshare --pid --fork" },
  { name = "in another time namespace", before = "unshare --time --boottime 100000" },
  { name = "where hidepid hides it", before = "unshare --mount sh -c 'mount -o remount,hidepid=2 /proc && "
    .. "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"' sh" },
  { name = "with a wall clock ten minutes ahead", before = "env LD_PRELOAD=" .. CLOCK .. " VEO_WALL=600",
    clock = true },
  { name = "with a wall clock ten minutes behind", before = "env LD_PRELOAD=" .. CLOCK .. " VEO_WALL=-600",
    clock = true },
}

---Nil, or why this machine cannot run a command there.
function M.obstacle(place)
  if place.clock and not helper.read(CLOCK) then return "needs " .. CLOCK end
  return not works("unset LD_PRELOAD; " .. place.before) and (needs.lacks "root" or "needs " .. place.before) or nil
end

local PRELUDE = [[
  local helper = require "spec.support.helper"
  local client = helper.client(arg[1], { api_key = arg[2], ledger = arg[3], lease = 3 })
  local source = arg[4]
  io.stdout:setvbuf "line"
]]

---A pipe from a piece of Lua that runs there with a `client` and a `source`.
function M.run(place, sim, ledger, text)
  local folder = helper.folder()
  helper.write(folder .. "/other.lua", PRELUDE .. text .. "\nclient:close()")
  os.execute(("chmod 777 %s; chmod 666 %s/* 2>/dev/null"):format(folder, folder))
  local inner = folder .. "/run.sh"
  helper.write(inner, "cd " .. helper.output("pwd"):match("[^\n]+") .. "\n"
    .. ledgers.script(helper.lua(), folder .. "/other.lua", sim.url, sim.api_key, ledger, sim.source))
  return io.popen("unset LD_PRELOAD; timeout -k 1 300 " .. place.before .. " sh " .. inner .. " 2>&1")
end

return M
