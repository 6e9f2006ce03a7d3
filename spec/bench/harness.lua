-- Running programs beside each other and reading what they cost.
local M = {}

function M.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function words(command)
  local out = {}
  for i, word in ipairs(command) do
    out[i] = M.quote(word)
  end
  return table.concat(out, " ")
end

function M.read(path)
  local file = io.open(path, "r")
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

---Whether a shell command succeeds, without a word.
function M.works(command)
  return (os.execute(command .. " >/dev/null 2>&1")) == true
end

---What a command prints.
function M.output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("a")
  pipe:close()
  return text
end

---The first line of what a command prints.
function M.line(command)
  return M.output(command):match("^[^\n]*")
end

-- How many times as long the slowest took as the fastest, of the seconds that a program printed, one a line.
local function spread(text)
  local fastest, slowest = math.huge, 0
  for seconds in text:gmatch "[%d.]+" do
    fastest, slowest = math.min(fastest, tonumber(seconds)), math.max(slowest, tonumber(seconds))
  end
  return slowest / fastest
end

---Runs one program of a case → { cpu, wall (seconds for one run), peak (KiB), spread } or nil.
---@param env table { setup = shell text before it, bin = folder of the C programs, dir = scratch folder }
local function measure(env, case, program)
  local out, stdout = env.dir .. "/measure.out", env.dir .. "/stdout.txt"
  local line = ("%s %s exec %s %s %d %s >%s"):format(env.setup, case.setup or "", M.quote(env.bin .. "/measure"),
    M.quote(out), case.repeats or 1, words(program.command), M.quote(stdout))
  if not os.execute(line) then
    return nil
  end
  local user, system, wall, peak = M.read(out):match("(%S+) (%S+) (%S+) (%S+)")
  return { cpu = tonumber(user) + tonumber(system), wall = tonumber(wall), peak = tonumber(peak),
    spread = case.spread and spread(M.read(stdout)) }
end

---Instructions that callgrind counts for one command, or nil.
function M.instructions(env, command)
  local text = M.output(("%s valgrind --tool=callgrind --callgrind-out-file=/dev/null %s 2>&1 >/dev/null"):format(
    env.setup, words(command)))
  local count = text:match("Collected : (%d+)")
  return count and tonumber(count)
end

function M.median(list)
  local sorted = {}
  for i, value in ipairs(list) do
    sorted[i] = value
  end
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

-- Each program its medians and its ratio to plain C: the median over the rounds too, because what else the machine does
-- meets the programs of one round alike.
local function medians(case, program, base)
  for _, field in ipairs { "cpu", "wall", "peak", "spread" } do
    local list, ratios = {}, {}
    for round, cost in ipairs(program.costs) do
      list[round] = cost[field]
      ratios[round] = field == case.by and not base.failed and cost[field] / base.costs[round][field] or nil
    end
    program[field] = #list > 0 and M.median(list) or nil
    program.ratio = #ratios > 0 and M.median(ratios) or program.ratio
  end
end

---Runs every program of these cases `runs` times, one after the other in each round, so that whatever else the machine
---does meets all of them; programs of others, which are slow and only give the scale, in at most three rounds. Gives each
---program .cpu .wall .peak .spread and .ratio; one that fails gets .failed instead.
function M.compare(env, cases, runs)
  for round = 0, runs do -- round 0 warms the caches and does not count
    for _, case in ipairs(cases) do
      for _, program in ipairs(case.programs) do
        local counts = program.base or program.ours or round > 0 and round <= 3
        if counts and not program.failed then
          if case.file then
            os.execute("rm -f " .. case.file) -- or only the first would write to fresh memory
          end
          local cost = measure(env, case, program)
          program.costs = program.costs or {}
          program.failed = cost == nil
          program.costs[round] = cost
        end
      end
    end
  end
  for _, case in ipairs(cases) do
    for _, program in ipairs(case.programs) do
      case.base = program.base and program or case.base
    end
    for _, program in ipairs(case.programs) do
      if not program.failed then
        medians(case, program, case.base)
      end
    end
    if case.file then
      os.execute("rm -f " .. case.file)
    end
  end
end

return M
