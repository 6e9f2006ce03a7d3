-- Kills workers at random instants and counts what that cost (make crash): one process after another over SQLite, three
-- at once in PID namespaces of their own over SQLite and over PostgreSQL, three as if on machines of their own over
-- PostgreSQL. Ends with 1 when anything was lost, paid twice, cut, or saved under another's name.
--
--   run.lua [--kills 300] [--container-kills 300] [--postgresql-kills 100] [--seed N] [--tasks 200] [--fleet-kills 12]
--           [--cuts 4]         0 kills: not at all

local options = { kills = 300, ["container-kills"] = 300, ["postgresql-kills"] = 100,
  tasks = 200, ["fleet-kills"] = 12, cuts = 4, seed = os.time() }
for i = 1, #arg, 2 do
  local name, value = arg[i]:gsub("^%-%-", ""), arg[i + 1]
  if options[name] == nil or not tonumber(value) then error("unknown or bad option " .. arg[i], 0) end
  options[name] = tonumber(value)
end
options.say = print
math.randomseed(options.seed)

local function report(title, began, figures, problems)
  print(("\n%s: seed %d, %d s"):format(title, options.seed, os.time() - began))
  local names = {}
  for name in pairs(figures) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("  %-32s %6d"):format(name, figures[name])) end
  for _, problem in ipairs(problems) do print("  PROBLEM: " .. problem) end
  print(("  %d problems"):format(#problems))
end

local failures = 0

local function play(title, kills, fn)
  if kills == 0 then return end
  local began = os.time()
  local figures, problems = fn()
  report(title, began, figures, problems)
  failures = failures + #problems
end

local function loop(kills, ledger, containers)
  local turning = require("spec.crash.harness").new { kills = kills, seed = options.seed, say = print, ledger = ledger,
    containers = containers }
  local figures, problems = turning:run()
  turning:stop()
  return figures, problems
end

play("one process after another, SQLite", options.kills, function() return loop(options.kills) end)
play("three at once in PID namespaces of their own, SQLite", options["container-kills"], function()
  return loop(options["container-kills"], nil, 3)
end)
play("three at once in PID namespaces of their own, PostgreSQL", options["postgresql-kills"], function()
  local server = require("spec.support.postgres").start()
  local figures, problems = loop(options["postgresql-kills"], server.uri, 3)
  server:stop()
  return figures, problems
end)
play("three machines, PostgreSQL", options["fleet-kills"], function()
  return require("spec.crash.fleet").run { tasks = options.tasks, kills = options["fleet-kills"], cuts = options.cuts,
    say = print }
end)
os.exit(failures == 0 and 0 or 1)
