-- Kills workers at random instants and counts what that cost (make crash): first one process after another over SQLite,
-- then three at once over PostgreSQL. Ends with 1 when anything was lost, paid twice or cut.
--
--   run.lua [--kills 300] [--seed N] [--tasks 200] [--fleet-kills 12] [--cuts 4]

local options = { kills = 300, tasks = 200, ["fleet-kills"] = 12, cuts = 4, seed = os.time() }
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

local began = os.time()
local loop = require("spec.crash.harness").new(options)
local figures, problems = loop:run()
loop:stop()
report("one process after another, SQLite", began, figures, problems)

began = os.time()
local fleet_figures, fleet_problems = require("spec.crash.fleet").run { tasks = options.tasks,
  kills = options["fleet-kills"], cuts = options.cuts, say = print }
report("three workers, PostgreSQL", began, fleet_figures, fleet_problems)
os.exit(#problems + #fleet_problems == 0 and 0 or 1)
