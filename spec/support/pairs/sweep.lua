--- In a child process whose libcurl fails on command (curl_faults.c is preloaded): what is asked of libcurl during an
--- exchange fails, each in turn, an exchange of its own client for each; then exchanges of all kinds have to work.
--- Arguments: "memory" or "option", the transport, the step, the world, and the kind and number behind which to begin.
--- One line of JSON before each row, one after it, and one at the end: a process that dies shows where.
local cjson = require "cjson"
local driver = require "spec.support.pairs.driver"
local faults = require "curl_faults"
local kinds = require "spec.support.pairs.kinds"
local rows = require "spec.support.pairs.row"
local worlds = require "spec.support.pairs.world"

local what, transport, step, text = arg[1], arg[2], tonumber(arg[3]), arg[4]
local from = { kind = arg[5], n = tonumber(arg[6] or 0) }
local world = worlds.attach(text)

local function say(entry)
  io.stdout:write(cjson.encode(entry), "\n")
  io.stdout:flush()
end

-- libcurl 7.88 sends a request without its query when the copy of it fails (2 of 600 points over plain HTTP).
local function is_unasked(reply) return reply.data and (reply.data.taskId == "" or reply.data.n == "") end

-- Within the patience of a row it has to end, in whatever way; what it says was good has to be good.
local function expect(row, reply, failure, job)
  row.failure = failure
  if reply then return not is_unasked(reply) and row.first.check(row, job, reply) or nil end
  return failure.reason == "hung" and failure.message or nil
end

-- The exchange's own deadline is early, so that whatever libcurl's timers have lost shows soon.
local function ending(n)
  local made = { name = ("%s %d fails"):format(what, n), expect = expect, patience = 2,
    o = function() return { times = { timeout = 0.5 } } end }
  function made.begin()
    faults.read_size()
    faults[what](n)
  end
  function made.over(row)
    row.fired, row.count, row.option = faults.off()
    row.read_size = faults.read_size()
  end
  return made
end

-- A handle's buffer shows in what is asked of the connection, where there is no TLS: as much as in a new client.
local read_sizes = {}

local function look(kind)
  local size, wanted = faults.read_size(), read_sizes[kind.name]
  if wanted and size ~= wanted then return ("reads of %d bytes instead of %d"):format(size, wanted) end
end

local function run(kind, n, done, seconds)
  driver.run(world, { rows.new { ending = ending(n), first = kind, seconds = seconds, transport = transport,
    beside = false, done = done, look = look } }, 1)
end

local function measure(kind)
  run(kind, math.floor(1e9), function(row) read_sizes[kind.name] = row.read_size end, {})
  assert(read_sizes[kind.name] > 0)
end

-- How often libcurl is asked in an exchange of the kind.
local function count_of(kind)
  local count
  run(kind, math.floor(1e9), function(row) count = row.count end, {})
  return count
end

local function try(kind, n)
  say { kind = kind.name, n = n, begun = true }
  local seconds = what == "option" and kinds or { kind, kinds.file, kinds["function"], kinds.status }
  run(kind, n, function(row, problem)
    local failure = row.failure or {}
    say { kind = kind.name, n = n, problem = problem, fired = row.fired, option = row.option, reason = failure.reason,
      message = failure.message }
  end, seconds)
end

if transport == "http" then
  for _, name in ipairs { "status", "file", "function" } do measure(kinds[name]) end
end

for _, kind in ipairs(kinds) do
  if from.kind == kind.name or not from.kind and not kind.save then
    for n = 1, count_of(kind), step do
      if n > from.n then try(kind, n) end
    end
    from = { n = 0 }
  end
end
say { over = true }
