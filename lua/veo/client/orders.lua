--- The client's calls around the ledger: what is open, what became of it, and chains, whose hops all stand in it.

local pairs, type = pairs, type

local lazy = require("veo.util.lazy").room
local chains = lazy "veo.task.chain"
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local ledgers = lazy "veo.ledger"
local options = require "veo.client.options"
local prunes = lazy "veo.task.prune"
local query = require "veo.task.query"
local resumes = lazy "veo.task.resume"
local settle = lazy "veo.task.settle"
local texts = require "veo.util.text"
local usual = lazy "veo.task.extend_and_save"

local RESUME = { resume = options.resume, wait = options.wait, download = options.download }
local SAVE = { save = options.save, wait = options.wait, download = options.download }
local CHAIN = { chain = options.chain, wait = options.wait, download = options.download }
local SETTLE = { free = options.free, settle = options.settle }
-- What a chain's table may hold for the service; everything else in it is an option.
local CHAIN_FIELDS = { taskId = true, prompts = true, model = true, seeds = true, watermark = true, callBackUrl = true,
  extra = true }

local function need_ledger(call)
  return errors.new { code = "ledger", operation = call, cause = "none",
    message = call .. ": this client has no ledger", hint = "name one: {ledger}" }
end

-- Nil and what is wrong, unless exactly one of both says how old.
local function prune_options(given)
  local opts, problem = options.overlay(options.prune, nil, given)
  if opts and (opts.before == nil) == (opts.days == nil) then return nil, "give before (epoch seconds) or days" end
  return opts, problem
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin

  -- The options of a call that waits and saves: its own ones flat, `wait`, `download` and `retry` as tables. Tables of this
  -- call alone, never those that all plain calls share: it notes there which name it holds.
  local function with_groups(ctx, own, groups, given, operation)
    local out, problem = split(ctx, groups, given or {}, true, operation)
    if not out then return nil, problem end
    local merged = { wait = out.wait, download = out.download, retry = out.retry }
    for name, value in pairs(out[own]) do merged[name] = value end
    return merged
  end

  local function resume_options(ctx, given)
    local opts, problem = with_groups(ctx, "resume", RESUME, given)
    problem = problem or opts.path and filenames.problem(opts.path)
    if problem then return nil, problem end
    return opts
  end

  ---The ledger's orders that fit the filter, oldest first, all of them in one list (2 to 3 KiB each): `each_task` holds
  ---a page at a time.
  ---@param filter { state: string|nil, taskId: string|nil, key: string|nil, ref: string|nil, operation: string|nil, open: boolean|nil, since: number|nil, limit: integer|nil }|nil  `open`: not ended yet, or uncertain; `since`: epoch seconds
  ---@return veo.Record[]|nil tasks
  ---@return veo.Error|nil err  ledger
  function Client:tasks(filter)
    local ctx = context(self, "tasks")
    local problem = ledgers.filter_problem(filter)
    if problem then misuse("tasks", problem) end
    if not ctx.ledger then return nil, need_ledger("tasks") end
    return tools.noted(ctx, ctx.ledger:tasks(filter))
  end

  ---Iterates over the same orders, a page of 200 at a time: `for task, err in assert(client:each_task()) do`. Nobody who
  ---orders meanwhile waits for it, and the list may be left at any point. An order made meanwhile may come or not; none
  ---comes twice. Where the ledger fails midway, `task` is false and the loop's last.
  ---@param filter table|nil  as for `tasks`
  ---@return nil|fun(): veo.Record|false|nil, veo.Error|nil each
  ---@return veo.Error|nil err  ledger
  function Client:each_task(filter)
    local ctx = context(self, "each_task")
    local problem = ledgers.filter_problem(filter)
    if problem then misuse("each_task", problem) end
    if not ctx.ledger then return nil, need_ledger("each_task") end
    return ctx.ledger:each(filter)
  end

  ---What the ledger's orders have cost: what the service says it took where its record tells, else the price that was
  ---reserved. Refused and lost orders cost nothing; uncertain ones count. With `by` also a list, one entry for each day
  ---(UTC) or operation.
  ---@param filter { since: number|nil, by: "day"|"operation"|nil }|nil  `since`: epoch seconds
  ---@return { credits: number, consumed: number, reserved: number, orders: integer, unpriced: integer, [integer]: table }|nil spent  credits = consumed + reserved; `unpriced`: orders of which neither is known
  ---@return veo.Error|nil err  ledger
  function Client:spent(filter)
    local ctx = context(self, "spent")
    local opts, problem = options.overlay(options.spent, nil, filter)
    if not opts then misuse("spent", problem) end
    if not ctx.ledger then return nil, need_ledger("spent") end
    return ctx.ledger:spent(opts.since or 0, opts.by)
  end

  ---Reads all of the ledger's file and says whether it is whole; on PostgreSQL, whether it answers. It takes the disk's
  ---time on the calling thread: seconds for hundreds of megabytes.
  ---@return true|nil
  ---@return veo.Error|nil err  ledger
  function Client:check_ledger()
    local ctx = context(self, "check_ledger")
    if not ctx.ledger then return nil, need_ledger("check_ledger") end
    return ctx.ledger:check()
  end

  ---Takes up every open task of the ledger, also of processes that died and of workers elsewhere that no longer report:
  ---waits for it, saves it when `path` is given, and hands it over. Returns when nothing is left to do.
  ---An uncertain order is never sent again; the summary lists those for settle. A path function that raises or returns no
  ---file name concerns its own task alone.
  ---@param given { on_result: nil|fun(status: veo.Status|nil, task: veo.Record, err: veo.Error|nil, file: table|nil), path: nil|string|fun(task: veo.Record, status: veo.Status): string, limit: integer|nil, wait: table|nil, download: table|nil }|nil  `path`: a pattern with {taskId}, {key}, {ref}, {operation}, {day}
  ---@return { saved: integer, done: integer, failed: integer, open: integer, lost: integer, busy: integer, elsewhere: integer, adopted: integer, uncertain: veo.Record[] }|nil summary
  ---@return veo.Error|nil err
  function Client:resume(given)
    local ctx = context(self, "resume")
    local opts, busy = begin(ctx, "resume", resume_options(ctx, given))
    if not opts then return nil, busy end
    if not ctx.ledger then return nil, need_ledger("resume") end
    opts.limit = opts.limit or 1000
    return resumes.resume(ctx, opts)
  end

  ---Closes an order by what a person knows of it: names the task of an uncertain one (which the service must know), says that it
  ---is "lost" (nothing was ordered: its key and price are free again), or that a finished one is "saved" elsewhere.
  ---A task that was accepted can be "lost" when the service, which is asked, does not know it, or when `force` is true.
  ---The order's own source, and a task of another order, are refused; so is one whose record has another source or
  ---prompt or is older than the order, unless `force` is true.
  ---@param ref string          of the order: err.ref, or from tasks
  ---@param word string         a taskId, "lost" or "saved"
  ---@param given { force: boolean|nil, timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return veo.Record|nil task
  ---@return veo.Error|nil err  invalid, not_found, …
  function Client:settle(ref, word, given)
    local ctx = context(self, "settle")
    if type(ref) == "table" and type(ref.ref) == "string" then ref = ref.ref end
    if type(ref) ~= "string" then misuse("settle", tools.unexpected(ctx, "a reference", ref, word)) end
    if type(word) ~= "string" or word == "" then misuse("settle", 'a taskId, "lost" or "saved" expected') end
    local opts, problem = split(ctx, SETTLE, given, true)
    if not opts then misuse("settle", problem) end
    if not ctx.ledger then return nil, need_ledger("settle") end
    local function look(taskId) -- not every word needs one
      local ready, busy = begin(ctx, "settle", opts)
      if not ready then return nil, busy end
      return query.status(ctx, taskId, opts)
    end
    return settle.settle(ctx, ref, word, look, opts.settle.force)
  end

  ---extend, wait and download in one call. With a ledger the same call again goes on where a crash left it and costs
  ---nothing; when its video is in place it hands that back with `already = true`.
  ---@param params table   as for extend
  ---@param path string    where the video is to be saved
  ---@param given { key: string|nil, on_duplicate: "refuse"|"join"|"allow"|nil, timeout: number|nil, deadline: number|nil, retry: table|nil, wait: table|nil, download: table|nil }|nil  `wait`, `download`: their options
  ---@return { path: string, bytes: integer, taskId: string, already: boolean|nil, joined: boolean|nil, ref: string|nil, key: string|nil }|nil file
  ---@return veo.Error|nil err
  function Client:extend_and_save(params, path, given)
    local ctx = context(self, "extend_and_save")
    if type(params) ~= "table" then
      misuse("extend_and_save", tools.unexpected(ctx, "a table of parameters", params, path))
    end
    local unusable = texts.path_problem(path)
    if unusable then misuse("extend_and_save", "path: " .. unusable) end
    local opts, busy = begin(ctx, "extend_and_save", with_groups(ctx, "save", SAVE, given, "extend"))
    if not opts then return nil, busy end
    local err = tools.misplaced(ctx, "extend", params, SAVE)
    if err then return nil, err end
    opts.deadline = opts.deadline or ctx.defaults.submit.deadline
    opts.timeout = opts.timeout or ctx.defaults.submit.timeout
    return usual.extend_and_save(ctx, params, path, opts)
  end

  ---Shrinks closed orders (saved, failed, refused, lost) that nobody has touched since to what money needs to know: key, a
  ---hash of the request, taskId, price and charge, day, file. The same request under the same key still finds its task, the
  ---sums stay, and nothing becomes payable again; `params`, `status` and `err` are gone. Open and uncertain orders stay
  ---whole. Commits of a few milliseconds, with room between them; in a job others go on meanwhile.
  ---@param given { before: number|nil, days: number|nil, dry_run: boolean|nil }  `before`: epoch seconds; or older than so many `days`; `dry_run` only counts
  ---@return { pruned: integer, bytes: integer, charges: integer }|nil summary  orders, the length of their text, rows of charges
  ---@return veo.Error|nil err  ledger
  function Client:prune(given)
    local ctx = context(self, "prune")
    local opts, busy = begin(ctx, "prune", prune_options(given))
    if not opts then return nil, busy end
    if not ctx.ledger then return nil, need_ledger("prune") end
    return prunes.prune(ctx, opts)
  end

  ---Extends hop by hop: every prompt extends the video that the one before it made. With a ledger, the same call after a
  ---crash finds what is paid already and goes on at the first hop that is not.
  ---@param params { taskId: string, prompts: (string|table)[], path: string|nil, key: string|nil, save_hops: string|nil, overwrite: boolean|nil, repeat_failed: boolean|nil, on_progress: nil|fun(info: table), model: string|nil, seeds: integer|nil, watermark: string|nil, callBackUrl: string|nil, extra: table|nil, wait: table|nil, download: table|nil, deadline: number|nil, timeout: number|nil, retry: table|nil }  a prompt may be a table with its own model, seeds, …; `save_hops`: a pattern with {hop}
  ---@return { taskId: string, status: veo.Status, hops: table[], path: string|nil, bytes: integer|nil }|nil result
  ---@return veo.Error|nil err  with `hop` where it stopped and `hops` that are finished
  function Client:chain(params, beside)
    local ctx = context(self, "chain")
    if type(params) ~= "table" then
      misuse("chain", tools.unexpected(ctx, "a table of parameters", params, beside))
    end
    if type(params.prompts) ~= "table" or params.prompts[1] == nil then
      misuse("chain", "prompts: a list of at least one prompt expected")
    end
    local fields, given = {}, {}
    for name, value in pairs(params) do
      if CHAIN_FIELDS[name] then fields[name] = value else given[name] = value end
    end
    local opts, busy = begin(ctx, "chain", with_groups(ctx, "chain", CHAIN, given))
    if not opts then return nil, busy end
    opts.deadline = opts.deadline or ctx.defaults.submit.deadline
    opts.timeout = opts.timeout or ctx.defaults.submit.timeout
    if opts.overwrite == nil then opts.overwrite = opts.download.overwrite end
    opts.free = ctx.defaults.patient
    local result, err = chains.chain(ctx, fields, opts)
    if result then tools.handle(self, result.status) end
    return result, err
  end
end
