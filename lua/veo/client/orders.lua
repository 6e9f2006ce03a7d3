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

  function Client:tasks(filter)
    local ctx = context(self, "tasks")
    local problem = ledgers.filter_problem(filter)
    if problem then misuse("tasks", problem) end
    if not ctx.ledger then return nil, need_ledger("tasks") end
    return tools.noted(ctx, ctx.ledger:tasks(filter))
  end

  function Client:each_task(filter)
    local ctx = context(self, "each_task")
    local problem = ledgers.filter_problem(filter)
    if problem then misuse("each_task", problem) end
    if not ctx.ledger then return nil, need_ledger("each_task") end
    return ctx.ledger:each(filter)
  end

  function Client:spent(filter)
    local ctx = context(self, "spent")
    local opts, problem = options.overlay(options.spent, nil, filter)
    if not opts then misuse("spent", problem) end
    if not ctx.ledger then return nil, need_ledger("spent") end
    return ctx.ledger:spent(opts.since or 0, opts.by)
  end

  function Client:check_ledger()
    local ctx = context(self, "check_ledger")
    if not ctx.ledger then return nil, need_ledger("check_ledger") end
    return ctx.ledger:check()
  end

  function Client:resume(given)
    local ctx = context(self, "resume")
    local opts, busy = begin(ctx, "resume", resume_options(ctx, given))
    if not opts then return nil, busy end
    if not ctx.ledger then return nil, need_ledger("resume") end
    opts.limit = opts.limit or 1000
    return resumes.resume(ctx, opts)
  end

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

  function Client:prune(given)
    local ctx = context(self, "prune")
    local opts, busy = begin(ctx, "prune", prune_options(given))
    if not opts then return nil, busy end
    if not ctx.ledger then return nil, need_ledger("prune") end
    return prunes.prune(ctx, opts)
  end

  -- `beside`: the error that a nil came with.
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
