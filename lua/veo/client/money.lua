--- The client's calls around the ledger: what is open, what became of it, and chains, whose hops all stand in it.

local lazy = require "veo.lazy"
local adopt = lazy "veo.adopt"
local chains = lazy "veo.chain"
local errors = require "veo.errors"
local free = require "veo.free"
local ledgers = lazy "veo.ledger"
local options = require "veo.options"
local patterns = require "veo.pattern"
local resumes = lazy "veo.resume"

local RESUME = { resume = options.resume }
local CHAIN = { chain = options.chain }
local FREE = { free = options.free }
-- What a chain's table may hold for the service; everything else in it is an option.
local CHAIN_FIELDS = { taskId = true, prompts = true, model = true, seeds = true, watermark = true, callBackUrl = true,
  extra = true }

local function need_ledger(call)
  return errors.new { code = "ledger", operation = call, cause = "none",
    message = call .. ": this client has no ledger: veo.new { ledger = \"renders.db\" }" }
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split = tools.context, tools.misuse, tools.split

  -- Options of a call that has groups of its own in tables: `wait` and `download`.
  local function with_groups(ctx, kinds, given)
    local flat, groups = {}, {}
    if given ~= nil and type(given) ~= "table" then return nil, "options: a table expected, got " .. type(given) end
    for name, value in pairs(given or {}) do
      if name ~= "wait" and name ~= "download" then flat[name] = value end
    end
    local out, problem = split(ctx, kinds, flat, true)
    if not out then return nil, problem end
    for _, group in ipairs { "wait", "download" } do
      groups[group], problem = options.overlay(options[group], ctx.defaults[group], given and given[group])
      if not groups[group] then return nil, group .. ": " .. problem end
    end
    local _, own = next(kinds) -- the one group's kinds, by which its options are found
    local merged = { wait = groups.wait, download = groups.download, retry = out.retry }
    for name in pairs(own) do
      for group in pairs(kinds) do merged[name] = out[group][name] end
    end
    return merged
  end

  ---The ledger's orders that fit the filter, oldest first.
  ---@param filter { state: string|nil, taskId: string|nil, key: string|nil, ref: string|nil, operation: string|nil, open: boolean|nil, since: number|nil, limit: integer|nil }|nil  `open`: not ended yet, or uncertain; `since`: epoch seconds
  ---@return veo.Record[]|nil tasks
  ---@return veo.Error|nil err  ledger
  function Client:tasks(filter)
    local ctx = context(self, "tasks")
    local problem = ledgers.filter_problem(filter)
    if problem then misuse("tasks", problem) end
    if not ctx.ledger then return nil, need_ledger("tasks") end
    return ctx.ledger:tasks(filter)
  end

  ---Takes up every open task of the ledger, also of processes that died and of workers elsewhere that no longer report:
  ---waits for it, saves it when `path` is given, and hands it over. Returns when nothing is left to do.
  ---An uncertain order is never sent again; the summary lists those for settle.
  ---@param given { on_result: nil|fun(status: veo.Status|nil, task: veo.Record, err: veo.Error|nil, file: table|nil), path: nil|string|fun(task: veo.Record, status: veo.Status): string, limit: integer|nil, wait: table|nil, download: table|nil }|nil  `path`: a pattern with {taskId}, {key}, {ref}, {operation}, {day}
  ---@return { saved: integer, done: integer, failed: integer, open: integer, lost: integer, busy: integer, adopted: integer, uncertain: veo.Record[] }|nil summary
  ---@return veo.Error|nil err
  function Client:resume(given)
    local ctx = context(self, "resume")
    local opts, problem = with_groups(ctx, RESUME, given)
    problem = problem or opts.path and patterns.problem(opts.path)
    if problem then misuse("resume", problem) end
    if not ctx.ledger then return nil, need_ledger("resume") end
    opts.limit = opts.limit or 1000
    opts.download.quiet = true -- resume tells the ledger itself
    return resumes.resume(ctx, opts)
  end

  ---Closes an order by a person's word: names the task of an uncertain one (which the service must know), says that it
  ---is "lost" (nothing was ordered: its key and price are free again), or that a finished one is "saved" elsewhere.
  ---@param ref string          of the order: err.ref, or from tasks
  ---@param word string         a taskId, "lost" or "saved"
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return veo.Record|nil task
  ---@return veo.Error|nil err
  function Client:settle(ref, word, given)
    local ctx = context(self, "settle")
    if type(ref) == "table" and type(ref.ref) == "string" then ref = ref.ref end
    if type(ref) ~= "string" then misuse("settle", "a reference expected, got " .. type(ref)) end
    if type(word) ~= "string" or word == "" then misuse("settle", 'a taskId, "lost" or "saved" expected') end
    local opts, problem = split(ctx, FREE, given, true)
    if not opts then misuse("settle", problem) end
    if not ctx.ledger then return nil, need_ledger("settle") end
    return adopt.settle(ctx, ref, word, function() return free.status(ctx, word, opts) end)
  end

  ---Extends hop by hop: every prompt extends the video that the one before it made. With a ledger, the same call after a
  ---crash finds what is paid already and goes on at the first hop that is not.
  ---@param params { taskId: string, prompts: (string|table)[], path: string|nil, key: string|nil, save_hops: string|nil, overwrite: boolean|nil, repeat_failed: boolean|nil, on_progress: nil|fun(info: table), model: string|nil, seeds: integer|nil, watermark: string|nil, callBackUrl: string|nil, extra: table|nil, wait: table|nil, download: table|nil, deadline: number|nil, timeout: number|nil, retry: table|nil }  a prompt may be a table with its own model, seeds, …; `save_hops`: a pattern with {hop}
  ---@return { taskId: string, status: veo.Status, hops: table[], path: string|nil, bytes: integer|nil }|nil result
  ---@return veo.Error|nil err  with `hop` where it stopped and `hops` that are finished
  function Client:chain(params)
    local ctx = context(self, "chain")
    if type(params) ~= "table" then misuse("chain", "a table of parameters expected, got " .. type(params)) end
    if type(params.prompts) ~= "table" or params.prompts[1] == nil then
      misuse("chain", "prompts: a list of at least one prompt expected")
    end
    local fields, given = {}, {}
    for name, value in pairs(params) do
      if CHAIN_FIELDS[name] then fields[name] = value else given[name] = value end
    end
    local opts, problem = with_groups(ctx, CHAIN, given)
    if not opts then misuse("chain", problem) end
    opts.deadline = opts.deadline or ctx.defaults.submit.deadline
    opts.timeout = opts.timeout or ctx.defaults.submit.timeout
    opts.free = ctx.defaults.free
    return chains.chain(ctx, fields, opts)
  end
end
