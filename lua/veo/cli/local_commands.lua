--- The commands that need no service: simulate, explain.

local errors = require "veo.errors"
local interrupt = require "veo.cli.interrupt"
local packages = require "veo.cli.packages"
local phrases = require "veo.cli.phrases"
local suggest = require "veo.util.suggest"

local M = {}

---@return integer exit
function M.simulate(args)
  local ok, missing = pcall(require, "cqueues")
  if not ok then
    if interrupt.is(missing) then return 0 end
    io.stderr:write("veo: there is no simulator: ", packages.missing "cqueues", "\n")
    return 1
  end
  local simulator = require "veo.simulator"
  local ran, done, why = pcall(simulator.run, { port = args.port, speed = args.speed })
  if ran and done or not ran and interrupt.is(done) then return 0 end
  io.stderr:write("veo: ", tostring(ran and why or done), "\n")
  return 2
end

---@return integer exit
function M.explain(args)
  local names = {}
  for name in pairs(errors.codes) do names[#names + 1] = name end
  table.sort(names)
  if not args.code then
    for _, name in ipairs(names) do io.stdout:write(("%-21s%s\n"):format(name, errors.codes[name].summary)) end
    return 0
  end
  local summary, next_step, money = phrases.about(args.code)
  if not summary then
    local meant = suggest.nearest(args.code, names)
    io.stderr:write("veo: there is no error code ", args.code, meant and "; did you mean " .. meant .. "?" or "",
      " (`veo explain` lists all)\n")
    return 1
  end
  io.stdout:write(args.code, "\n  ", summary, "\n  ", next_step, "\n  ", money, "\n")
  return 0
end

return M
