-- waits.lua URL COUNT IN_FLIGHT [each]: so many waits with IN_FLIGHT exchanges under way, each a job of its own, or all
-- through one `wait_each`. A look that finds a task at work is followed by the next one soon.
local veo = require "veo"
local url, count, in_flight, each = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4] == "each"

local client = veo.new {
  base_url = url,
  api_key = "bench-key",
  max_in_flight = in_flight,
  rate = { polls = false },
  wait = { first = 0, interval = 0.001, growth = 1 },
}
local done = 0
local function wait(id)
  local status = assert(client:wait(id))
  assert(status.state == "succeeded")
  done = done + 1
end

local ids = {}
for i = 1, count do
  ids[i] = ("bench%08d"):format(i)
end
if each then
  for _, status in client:wait_each(ids, { limit = in_flight }) do
    assert(status.state == "succeeded")
    done = done + 1
  end
else
  for i = 1, count do
    client:spawn(wait, ids[i])
  end
  client:run()
end
assert(done == count)
client:close()
