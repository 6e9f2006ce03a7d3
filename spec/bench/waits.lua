-- waits.lua URL COUNT IN_FLIGHT: so many waits, each a job of its own, with IN_FLIGHT exchanges under way.
local veo = require "veo"
local url, count, in_flight = arg[1], tonumber(arg[2]), tonumber(arg[3])

local client = veo.new {
  base_url = url,
  api_key = "bench-key",
  max_in_flight = in_flight,
  rate = { polls = false },
  wait = { first = 0 },
}
local done = 0
local function wait(i)
  local status = assert(client:wait(("bench%08d"):format(i)))
  assert(status.state == "succeeded")
  done = done + 1
end
for i = 1, count do
  client:spawn(wait, i)
end
client:run()
assert(done == count)
client:close()
