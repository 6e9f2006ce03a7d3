-- Plays random histories of orders, losses, kills, settles and files against the simulator, and checks after each step
-- that no money was lost or paid twice (make model). Ends with 1 at a failure, with the shortest history that shows it.
--
--   run.lua [--histories 1000] [--ledger sqlite|postgresql] [--seed N] [--length 9] [--go-on 1] [--history FILE [--times 10]]
local draw = require "spec.model.draw"
local play = require "spec.model.play"
local shrink = require "spec.model.shrink"
local worlds = require "spec.model.world"

local options = { histories = 1000, ledger = "sqlite", seed = os.time(), length = 9, history = "", times = 10,
  ["go-on"] = 0, shrink = 200 }
for i = 1, #arg, 2 do
  local name, value = arg[i]:gsub("^%-%-", ""), arg[i + 1]
  if options[name] == nil or not value then error("unknown or bad option " .. arg[i], 0) end
  options[name] = type(options[name]) == "number" and assert(tonumber(value), name .. ": a number") or value
end
io.stdout:setvbuf "line"

local world = worlds.new(options.ledger)
local function one(history) return play.play(world, history) end
if not world.namespaces then print "SKIPPED: no PID namespaces here, so every worker is in this one" end

local began, failures, played = os.time(), 0, 0

local function again()
  local history = assert(dofile(options.history))
  for n = 1, options.times do
    local problem = one(history)
    print(n, problem or "no problem")
    if problem then failures = failures + 1 end
  end
end

local function many()
  for n = 0, options.histories - 1 do
    local history = draw.history(options.seed + n, options.length)
    local problem = one(history)
    played = played + 1
    if problem then
      failures = failures + 1
      print(("FAILURE: %s: seed %d, length %d: %s"):format(options.ledger, history.seed, options.length, problem))
      local shortest, last = shrink.shrink(history, problem, one, options.shrink)
      print("-- " .. last)
      print(shrink.source(shortest))
      if options["go-on"] == 0 then break end
    end
    if played % 500 == 0 then print(("%d histories, %d s"):format(played, os.time() - began)) end
  end
  print(("%s: %d histories of %d steps from seed %d on, %d failures, %d s"):format(options.ledger, played,
    options.length, options.seed, failures, os.time() - began))
end

local ok, why = xpcall(options.history ~= "" and again or many, debug.traceback)
world:stop()
if not ok then print(why) end
os.exit(ok and failures == 0 and 0 or 1)
