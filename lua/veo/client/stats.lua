--- What a host can see of a client: counters that only grow, named `…_total`, and gauges of this moment.

local max = math.max
local pairs = pairs

local pending = require "veo.async.pending"
local semaphores = require "veo.async.semaphore"
local watches = require "veo.task.watch"

-- Kinds that have not occurred are there too: a counter that begins with 1 shows no growth to Prometheus.
local function with_zeros(exchanges, operations)
  for kind, spec in pairs(operations) do
    if not exchanges[kind] and not spec.multipart then -- the core has that one as `upload`
      exchanges[kind] = {}
      for how in pairs(exchanges.status) do exchanges[kind][how] = 0 end
    end
  end
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  function Client:stats()
    local ctx = tools.context(self, "stats", nil, true)
    local stats = ctx.core:stats()
    with_zeros(stats.exchanges_total, ctx.api.operations)
    for name, count in pairs(ctx.tally) do stats[name] = count end
    local window = ctx.window
    stats.queued = stats.queued + ctx.scheduler.admission:count()
    stats.downloads_queued = semaphores.waiting(ctx.downloads)
    stats.orders_queued = semaphores.waiting(ctx.slots) + (semaphores.is_full(ctx.slots) and 1 or 0) -- the first asks
    stats.slots_used = window:used()
    stats.slots_left = max(window.count - stats.slots_used, 0)
    stats.waits = watches.count(ctx)
    stats.jobs = pending.count(ctx.scheduler)
    return stats
  end
end
