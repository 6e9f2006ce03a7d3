-- What was measured, as text.
local M = {}

local WORDS = { cpu = "CPU", wall = "wall" }

local function row(name, ...)
  print(("  %-28s %8s %8s %7s %7s %6s %-7s %10s %8s %6s"):format(name, ...))
end

local function number(format, value, factor)
  return value and format:format(value * (factor or 1)) or ""
end

-- Its CPU, wall and ratio there; blank where it does not run.
local function cells(program)
  if not program or program.failed then
    return program and "failed" or "", "", ""
  end
  return number("%.1f", program.cpu, 1e3), number("%.1f", program.wall, 1e3), number("%.2f", program.ratio)
end

local function named(programs, name)
  for _, program in ipairs(programs) do
    if program.name == name then
      return program
    end
  end
end

local function verdict(case, program)
  local judged = program.ours and case.target and program.ratio
  return judged and (judged <= case.target and "reached" or "MISSED") or ""
end

---One case over TLS + HTTP/2 and, as the second column, over plain HTTP/1.1.
function M.case(case, plain)
  print(("\n%s; ratio of %s to plain C%s"):format(case.title, WORDS[case.by],
    case.target and (", to reach ≤ %.2f"):format(case.target) or ""))
  row("", "CPU ms", "wall ms", "MiB", case.spread and "slowest" or "", "ratio", "", "| plain CPU", "wall", "ratio")
  for _, p in ipairs(case.programs) do
    local cpu, wall, ratio = cells(p)
    row(p.name, cpu, wall, number("%.1f", p.peak, 1 / 1024), number("%.1f ×", p.spread), ratio, verdict(case, p),
      cells(named(plain.programs, p.name)))
  end
  for _, p in ipairs(plain.programs) do
    if p.costs and not named(case.programs, p.name) then
      row(p.name, "", "", "", "", "", "", cells(p))
    end
  end
  if #case.missing > 0 then
    print("  not here: " .. table.concat(case.missing, ", "))
  end
end


---One line of instructions.
function M.instructions(title, program, base, target)
  print(("  %-28s %-26s %9.0f %6.2f %s"):format(title, program.name, program.value, program.value / base,
    program.ours and program.value / base > target and "MISSED" or ""))
end

---What step.lua printed.
function M.steps(text)
  print("\nstep(0) while waits sleep; to reach ≤ 2 µs and ≤ 4096 bytes each")
  for sleeping, microseconds, bytes in text:gmatch("(%d+) (%S+) (%S+)\n") do
    print(("  %6s sleeping %10s µs %10s bytes of Lua memory each"):format(sleeping, microseconds, bytes))
  end
end

return M
