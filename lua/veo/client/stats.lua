--- What a host can see of a client: counters that only grow, named `…_total`, and gauges of this moment.

local max = math.max
local pairs = pairs

local pending = require "veo.async.pending"
local semaphores = require "veo.async.semaphore"

-- Kinds that have not occurred are there too: a counter that begins with 1 shows no growth to Prometheus.
local function with_zeros(exchanges, operations)
  for kind, spec in pairs(operations) do
    if not exchanges[kind] and not spec.multipart then -- the core has that one as `upload`
      exchanges[kind] = {}
      for how in pairs(exchanges.status) do exchanges[kind][how] = 0 end
    end
  end
end

---@class veo.Stats
--- Counters:
---@field exchanges_total table<string, table<string, integer>>  by kind (`status`, `extend`, `download`, …: as `operation` in errors and the log; looks of a wait are `status`) and end: `ok`; `http_error` (an answer that says no, by its HTTP status or the code in its body); `malformed`, `network`, `timed_out`, `cancelled`, `closed`; `other` (a redirect that is not followed, a file that is too long or cannot be written)
---@field bytes_received_total integer     HTTP's headers and bodies, also of what is under way
---@field bytes_sent_total integer
---@field connections_made_total integer
---@field connections_reused_total integer exchanges that needed no new one
---@field retries_total integer            tries made again: what the log has as `retry`
---@field orders_accepted_total integer
---@field orders_refused_total integer     nothing was ordered
---@field orders_uncertain_total integer
---@field orders_unpriced_total integer    accepted ones whose price is not known
---@field credits_charged_total number     prices of the accepted ones, and of 1080P versions
--- Gauges:
---@field in_flight integer                exchanges under way
---@field queued integer                   exchanges that wait for one of `max_in_flight` places
---@field downloads_queued integer         downloads that wait for one of `max_downloads` places
---@field orders_queued integer            orders that wait for a slot of the rate window
---@field slots_used integer               of that window, by this client
---@field slots_left integer
---@field waits integer                    tasks waited for
---@field jobs integer                     jobs that have not ended

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  ---What the client has done and is doing, as plain numbers in a table of its own. Cheap; waits for nothing. A closed
  ---client answers with its last ones.
  ---@return veo.Stats
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
    stats.waits = ctx.watching
    stats.jobs = pending.count(ctx.scheduler)
    return stats
  end
end
