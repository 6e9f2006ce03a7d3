-- What was measured, as text.
local harness = require "harness"

local M = {}

local function base_of(case)
  for _, program in ipairs(case.programs) do
    if program.base then
      return program
    end
  end
end

---Gives every program of a compared case its ratio to plain C: the median over the rounds, because what else the
---machine does meets the programs of one round alike.
function M.ratios(case)
  local base = base_of(case)
  for _, program in ipairs(case.programs) do
    if not program.failed and not base.failed then
      local list = {}
      for round, cost in ipairs(program.costs) do
        list[round] = cost[case.by] / base.costs[round][case.by]
      end
      program.ratio = harness.median(list)
    end
  end
end

local function row(name, ...)
  print(("  %-32s %10s %10s %9s %8s  %s"):format(name, ...))
end

---One case as a table of medians.
function M.case(case)
  print(("\n%s; ratio of %s to plain C%s"):format(case.title, case.by == "cpu" and "CPU" or "wall",
    case.target and (", to reach ≤ %.2f"):format(case.target) or ""))
  row("", "CPU ms", "wall ms", "MiB", "ratio", "")
  for _, p in ipairs(case.programs) do
    if p.failed then
      row(p.name, "failed", "", "", "", "")
    else
      local verdict = p.ours and case.target and (p.ratio <= case.target and "reached" or "MISSED") or ""
      row(p.name, ("%.1f"):format(p.cpu * 1e3), ("%.1f"):format(p.wall * 1e3), ("%.1f"):format(p.peak / 1024),
        ("%.2f"):format(p.ratio), verdict)
    end
  end
  if #case.missing > 0 then
    print("  not here: " .. table.concat(case.missing, ", "))
  end
end

---Instructions per status call.
function M.instructions(counted, calls, target)
  print(("\ncallgrind instructions per status call, over %d calls; to reach ≤ %.2f"):format(calls, target))
  local base
  for _, c in ipairs(counted) do
    base = c.base and c.value or base
    if c.value then
      print(("  %-32s %10.0f %8.2f"):format(c.name, c.value, c.value / base))
    end
  end
end

---What step.lua printed.
function M.steps(text)
  print("\nstep(0) while waits sleep; to reach ≤ 2 µs and ≤ 4096 bytes each")
  for sleeping, microseconds, bytes in text:gmatch("(%d+) (%S+) (%S+)\n") do
    print(("  %6s sleeping %10s µs %10s bytes of Lua memory each"):format(sleeping, microseconds, bytes))
  end
end

return M
