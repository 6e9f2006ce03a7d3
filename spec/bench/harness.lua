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

---Runs one command (a list of words) → { user, system, cpu, wall (seconds for one run), peak (KiB) } or nil.
---@param env table { setup = shell text before it, bin = folder of the C programs, dir = scratch folder }
function M.measure(env, command, repeats)
  local out = env.dir .. "/measure.out"
  local line = ("%s exec %s %s %d %s >%s/stdout.txt"):format(env.setup, M.quote(env.bin .. "/measure"), M.quote(out),
    repeats or 1, words(command), M.quote(env.dir))
  if not os.execute(line) then
    return nil
  end
  local user, system, wall, peak = M.read(out):match("(%S+) (%S+) (%S+) (%S+)")
  user, system = tonumber(user), tonumber(system)
  return { user = user, system = system, cpu = user + system, wall = tonumber(wall), peak = tonumber(peak) }
end

---Instructions that callgrind counts for one command, or nil.
function M.instructions(env, command)
  local text = M.output(("%s valgrind --tool=callgrind --callgrind-out-file=/dev/null %s 2>&1"):format(env.setup,
    words(command)))
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

---Runs every program of a case `runs` times, one after the other in each round, so that whatever else the machine
---does meets all of them. Gives each program .cpu .wall .peak (medians); one that fails gets .failed instead.
function M.compare(env, case, runs)
  for round = 0, runs do -- round 0 warms the caches and does not count
    for _, program in ipairs(case.programs) do
      if not program.failed then
        if case.file then
          os.remove(case.file) -- or only the first would write to fresh memory
        end
        local cost = M.measure(env, program.command, case.repeats)
        program.costs = program.costs or {}
        program.failed = cost == nil
        program.costs[round] = cost
      end
    end
  end
  for _, program in ipairs(case.programs) do
    for _, field in ipairs { "cpu", "wall", "peak" } do
      local list = {}
      for i, cost in ipairs(program.costs) do
        list[i] = cost[field]
      end
      program[field] = not program.failed and M.median(list) or nil
    end
  end
end

return M
