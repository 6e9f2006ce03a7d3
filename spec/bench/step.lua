-- step.lua URL COUNT…: microseconds that step(0) takes while so many waits sleep, and what a sleeping wait weighs.
-- Prints "sleeping microseconds bytes" for each count.
local veo = require "veo"
local core = require "veo.core"
local STEPS, ROUNDS = 20000, 7

local function once(client)
  local begun = core.now()
  for _ = 1, STEPS do
    client:step(0)
  end
  return (core.now() - begun) / STEPS * 1e6
end

local function weight()
  collectgarbage()
  collectgarbage()
  return collectgarbage("count") * 1024
end

for i = 2, #arg do
  local client = veo.new { base_url = arg[1], api_key = "bench-key", wait = { first = 3600, timeout = 7200 } }
  local sleeping = tonumber(arg[i])
  local before = weight()
  for n = 1, sleeping do
    client:spawn(client.wait, client, ("bench%08d"):format(n))
  end
  client:step(0)
  local bytes = (weight() - before) / sleeping
  local times = {}
  for round = 1, ROUNDS do
    times[round] = once(client)
  end
  table.sort(times)
  print(("%d %.3f %.0f"):format(sleeping, times[(ROUNDS + 1) / 2], bytes))
  client:close()
end
