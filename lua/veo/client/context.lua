--- What a client works with, and all of its calls share. Each field has one file that writes it after this one has made
--- it.

local pcall, setmetatable, tostring = pcall, setmetatable, tostring
local min = math.min
local byte, gsub = string.byte, string.gsub

local lazy = require("veo.util.lazy").room
local budgets = require "veo.policy.budget"
local core = require "veo.core"
local ledgers = lazy "veo.ledger"
local limiter = require "veo.policy.limiter"
local observers = require "veo.async.observer"
local retry = require "veo.policy.retry"
local schedulers = require "veo.async.scheduler"
local semaphores = require "veo.async.semaphore"
local tallies = require "veo.policy.tally"
local wire = require "veo.wire"

local M = {}

---@class veo.Context
--- Made with the client, and never changed:
---@field pid integer               of the process that made it
---@field core userdata             the veo.core client
---@field api table                 the family of paths, of `veo.wire`
---@field scheduler veo.Scheduler
---@field now fun(): number         seconds of a clock that nobody sets
---@field random fun(): number      from 0 up to 1, for jitter
---@field log nil|fun(event: table) the user's, wrapped: it raises nothing
---@field timeout number            seconds of one exchange
---@field defaults table<string, table>  group of options → what the client has of them
---@field retry veo.RetryPolicy
---@field budget table              tokens for repeats
---@field window table              the rate window of orders; where there is a ledger, it only notes what this client took
---@field polls table               the rate of looks over all waits
---@field downloads veo.Semaphore   places of downloads
---@field slots veo.Semaphore       one asks for a slot of the rate window, the others come after it
---@field ledger table|nil
---@field money table               the budget in credits
---@field tally veo.Tally
---@field evidence boolean|nil      the balance is asked for around an order
---@field upload_url string|nil     the host of uploads
---@field webhook_key string|false|nil
--- Written as calls come and go:
---@field closed boolean|nil        client
---@field plain table<table, table> groups of options → those of a call that was given none; client
---@field created table<string, number>   taskId → when it was made, on the clock of `now`; task.wait
---@field watches table<string, veo.Watch>  taskId → the waits for it; task.watch, and the next one
---@field watching integer|false    waits under way; false: to be counted
---@field each table<table, true>   loops over ends that wait now; task.wait_each
---@field upgraded table<string, string>  taskId → the upgrade it got, after which it cannot be extended; task.upgrade
---@field charges table<string, table>    what was ordered once and may be asked for again for nothing; task.upgrade
---@field once table<string, table> upgrades that are tasks of their own: what was ordered → what became of it; task.intent.in_memory
---@field destinations table<string, table>  name of a file → the call that is to save there; task.download.destination
---@field weak table<string, true>  folders of which the log was told what their file system cannot do; task.download.to_file
---@field saving table<string, integer>   taskId → its downloads under way; task.download
---@field resuming table<string, table>   taskId → the row that a resume of this client has claimed; task.resume
---@field held_till number|nil      the service holds orders back until then; task.rate_slot
---@field without_alpn boolean|nil  the server agrees on no protocol and speaks HTTP/1.1; task.submit
---@field failed table              coroutine → the error that its last call of the client returned; client
---@field before veo.Error|nil      the same, of the coroutine that calls now; client
---@field callbacks_handled table|nil  what is remembered of callbacks; client.callbacks
---@field unsigned table|nil        who may have a look made without a signature; client.callbacks

-- Sixteen bits at a time are enough for jitter; the host's math.random stays untouched.
local function random()
  local a, b = byte(core.random(2), 1, 2)
  return (a * 256 + b) / 65536
end

local function open_core(all, api)
  local ok, handle = pcall(core.new, {
    base_url = all.base_url, api_key = all.api_key, user_agent = all.user_agent, ca_file = all.ca_file,
    proxy = all.proxy, allow_http = all.allow_http, timeout = all.timeout, connect_timeout = all.connect_timeout,
    max_in_flight = all.max_in_flight, extend_path = api.operations.extend.path,
    status_path = api.operations.status.path, frame_budget = all.frame_budget,
  })
  if ok then return handle end
  return nil, (gsub(tostring(handle), "^.-:%d+: ", ""))
end

-- The budget, and the ledger that keeps it; nil and what is wrong with the options.
local function open_money(all, log, polls)
  local budget = budgets.budget(all.max_credits, all.prices, (all.max_credits or all.ledger) and log)
  if not all.ledger then
    if budget.day then return nil, "max_credits: a limit a day needs a ledger" end
    return budget
  end
  local ledger, problem = ledgers.new(all.ledger, { now = core.now, log = log, timeout = all.timeout, rate = all.rate,
    share = function(clients) polls:share(clients) end, lease = all.lease, create = all.create,
    base_url = all.base_url or core.base_url, api_key = all.api_key })
  if not ledger then return nil, "ledger: " .. tostring(problem) end
  return budget, nil, ledger
end

local function defaults_of(all)
  return {
    submit = { timeout = all.timeout, deadline = all.deadline },
    free = { timeout = nil, deadline = all.deadline },
    patient = { timeout = nil, deadline = all.deadline, patient = true }, -- of what is a part of something longer
    wait = all.wait, download = all.download, retry = all.retry, upgrade = all.upgrade, upload = all.upload,
  }
end

-- Another service's address must not bring its key to this one's upload host.
local function upload_url(all, api)
  if all.upload_url then return all.upload_url end
  return (not all.base_url or all.base_url == core.base_url) and api.upload_url or nil
end

---@param all table        the options of veo.new, checked
---@param client veo.Client
---@return veo.Context|nil, string|nil problem
function M.new(all, client)
  local api = wire[all.api]
  local handle, problem = open_core(all, api)
  if not handle then return nil, problem end
  local observer = observers.new()
  local log = observer:wrap_log(all.log)
  local polls = limiter.polls { rate = all.rate.polls, now = core.now }
  local money, ledger
  money, problem, ledger = open_money(all, log, polls)
  if not money then return nil, problem end
  return {
    pid = core.pid(), core = handle, api = api, now = core.now, random = random, log = log, timeout = all.timeout,
    scheduler = schedulers.new(handle, core.now, { observer = observer, log = log, timeout = all.timeout,
      on_job_error = observer:wrap(all.on_job_error), pause = all.pause and function() all.pause(client) end,
      upkeep = ledger }),
    defaults = defaults_of(all), retry = all.retry, budget = retry.budget(all.retry.budget),
    window = limiter.window { count = all.rate.count, window = all.rate.window, now = core.now },
    polls = polls,
    downloads = semaphores.new(min(all.max_downloads, handle:room()), "a place"), -- few where descriptors are
    slots = semaphores.new(1, "a slot of the rate window"), tally = tallies.new(),
    ledger = ledger, money = money, evidence = all.evidence,
    upload_url = upload_url(all, api), webhook_key = all.webhook_key,
    plain = {}, created = {}, watches = {}, watching = 0, each = {}, upgraded = {}, charges = {}, once = {},
    destinations = {}, weak = {}, saving = {}, resuming = {}, failed = setmetatable({}, { __mode = "k" }),
  }
end

return M
