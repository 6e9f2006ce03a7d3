--- Extends a video hop by hop. With a ledger every hop has a key that follows from the order up to there, so that the
--- same call after a crash finds what is paid already and goes on at the first hop that is not; and so does a call whose
--- later hops were edited, as one does after a refused prompt.

local canonical = require "veo.ledger.canonical"
local core = require "veo.core"
local downloads = require "veo.download"
local errors = require "veo.errors"
local free = require "veo.free"
local patterns = require "veo.pattern"
local submits = require "veo.submit"
local targets = require "veo.download.target"
local waits = require "veo.wait"
local wire = require "veo.wire"

local M = {}

-- What a hop may say for itself; everything but the prompt can also stand for all hops.
local SHARED = { "model", "seeds", "watermark", "callBackUrl", "extra" }
local UPGRADED = { ["1080p"] = true, ["4k"] = true }

local function problem(fields)
  fields.operation = "chain"
  return errors.new(fields)
end

-- Before anything is sent ---------------------------------------------------------------------------------------------

-- The order of every hop, all checked now: a bad prompt must not show after its forerunners are paid.
local function hops_of(ctx, params)
  local hops = {}
  for n, prompt in ipairs(params.prompts) do
    local hop = type(prompt) == "table" and prompt or { prompt = prompt }
    local order = {}
    for _, name in ipairs(SHARED) do order[name] = params[name] end
    for name, value in pairs(hop) do order[name] = value end
    order.taskId = n == 1 and params.taskId or "checked-later"
    local ok, err = wire.check(ctx.api, "extend", order)
    if not ok then
      err.hop = n
      err.message = ("chain: hop %d: %s"):format(n, err.message)
      return nil, err
    end
    hops[n] = order
  end
  return hops
end

local function upgraded(taskId, what)
  return problem { code = "invalid", field = "taskId", taskId = taskId, given = "a video that was upgraded to " .. what,
    expected = "a video that was not upgraded",
    message = ("chain: task %s was upgraded to %s, and the service extends no upgraded video "
      .. "(extend first, upgrade last)"):format(taskId, what) }
end

-- The source must be there, finished, and not upgraded.
local function check_source(ctx, taskId, options)
  local what = ctx.upgraded[taskId] or ctx.ledger and ctx.ledger:is_upgraded(taskId)
  if what then return upgraded(taskId, what) end
  local status, err = free.status(ctx, taskId, options)
  if not status then
    -- Records end after 14 days; whether such a video can still be extended is the service's to say.
    return err.code ~= "expired" and err or nil
  end
  if status.state == "generating" then
    status, err = waits.wait(ctx, taskId, options.wait)
    if not status then return err end
  end
  if status.state == "failed" then
    return problem { code = "failed", taskId = taskId, status = status, message = "chain: the source task failed" }
  end
  local resolution = type(status.resolution) == "string" and status.resolution:lower()
  return UPGRADED[resolution] and upgraded(taskId, resolution) or nil
end

-- Hops ----------------------------------------------------------------------------------------------------------------

local function tell(run, state, more)
  if not run.options.on_progress then return end
  local share = { submitting = 0, rendering = 0.1, rendered = 1, saving = 1, saved = 1 }
  local info = more or {}
  info.state, info.hop, info.hops = state, run.hop, #run.hops
  info.elapsed = run.ctx.now() - run.began
  info.fraction = state == "saved" and 1 or (run.hop - 1 + share[state]) / (#run.hops + 0.05)
  run.options.on_progress(info)
end

local function key_of(run, n, again)
  if not run.keys then return nil end
  return ("%s/%d%s"):format(run.keys[n], n, again > 1 and "." .. again or "")
end

-- Orders a hop, or finds what was ordered. A failed one is ordered again only when that was asked for.
local function order(run, n, source)
  local ctx, params, again = run.ctx, run.hops[n], 1
  params.taskId = source
  while true do
    local submit = { deadline = run.options.deadline, timeout = run.options.timeout, key = key_of(run, n, again) }
    local task, err = submits.submit(ctx, "extend", params, { submit = submit, retry = run.options.retry })
    if not task then return nil, err end
    if task.state ~= "failed" then return task end
    if not run.options.repeat_failed then
      return nil, errors.new { code = "failed", operation = "chain", taskId = task.taskId, ref = task.ref,
        status = task.status, message = ("hop %d, task %s, has failed; with repeat_failed = true it is ordered again")
          :format(n, task.taskId) }
    end
    again = again + 1
  end
end

local function save_hop(run, n, status)
  local pattern = run.options.save_hops
  -- The last hop is the whole chain, and has its own path.
  if not pattern or n == #run.hops and run.options.path then return nil end
  local path = pattern:gsub("{hop}", tostring(n))
  path = patterns.fill(path, { taskId = status.taskId, ref = "", operation = "extend", created = os.time() })
  if core.kind(path) == "file" and not run.options.overwrite then return path end
  local file, err = downloads.download(run.ctx, status, path, run.download)
  return file and path, err
end

local function wait_for(run, task)
  local wait = {}
  for name, value in pairs(run.options.wait) do wait[name] = value end
  local theirs = wait.on_progress
  function wait.on_progress(status, info)
    tell(run, "rendering", { taskId = task.taskId, status = status, next = info.next })
    if theirs then theirs(status, info) end
  end
  return waits.wait(run.ctx, task.taskId, wait)
end

local function do_hop(run, n, source)
  run.hop = n
  tell(run, "submitting")
  local task, err = order(run, n, source)
  if not task then return nil, err end
  local status
  status, err = wait_for(run, task)
  if not status then return nil, err end
  local hop = { hop = n, taskId = task.taskId, ref = task.ref, joined = task.joined, prompt = run.hops[n].prompt,
    status = status }
  tell(run, "rendered", { taskId = task.taskId, status = status })
  -- The hop is paid and rendered, so a copy that cannot be saved ends nothing.
  hop.path, hop.err = save_hop(run, n, status)
  run.done[n] = hop
  return hop
end

-- The end -------------------------------------------------------------------------------------------------------------

local function partial_path(path, n)
  local stem, ending = path:match("^(.*)(%.[^./\\]*)$")
  return ("%s-hop%d%s"):format(stem or path, n, ending or "")
end

-- What was finished before the chain stopped is saved under a name that says so, never under the whole chain's.
local function stop(run, err)
  err.hop, err.hops = run.hop, run.done
  local last = run.done[#run.done]
  if not last or not run.options.path or err.code == "cancelled" or err.code == "closed" then return nil, err end
  local path = partial_path(run.options.path, #run.done)
  if core.kind(path) == "file" then
    err.path = path
    return nil, err
  end
  local file = downloads.download(run.ctx, last.status, path, run.download)
  err.path = file and file.path or nil
  return nil, err
end

local function finish(run)
  local last = run.done[#run.done]
  local result = { taskId = last.taskId, status = last.status, hops = run.done }
  local ledger = run.ctx.ledger
  if run.options.path then
    tell(run, "saving", { taskId = last.taskId })
    local file, err = downloads.download(run.ctx, last.status, run.options.path, run.download)
    if not file then
      err.hop, err.hops, err.status = run.hop, run.done, last.status
      return nil, err
    end
    result.path, result.bytes, last.path = file.path, file.bytes, file.path
  end
  -- Every hop is contained in the last one: nothing is left for resume to save.
  if ledger then
    local refs = {}
    for n, hop in ipairs(run.done) do
      if n < #run.done then refs[#refs + 1] = hop.ref end
    end
    ledger:contained(refs)
  end
  tell(run, "saved", { taskId = last.taskId, path = result.path })
  return result
end

-- The whole chain was made and saved before: nothing is asked of anybody.
local function made_before(run)
  local ledger, path = run.ctx.ledger, run.options.path
  if not ledger or not path or core.kind(path) ~= "file" then return nil end
  local hops = {}
  for n = 1, #run.hops do
    local record = ledger:find { key = key_of(run, n, 1) }
    if not record or record.state ~= "saved" and record.state ~= "done" then return nil end
    hops[n] = { hop = n, taskId = record.taskId, ref = record.ref, joined = true, prompt = run.hops[n].prompt,
      status = record.status }
    -- A crash after the file got its name and before the ledger knew: its path was noted before.
    if n == #run.hops and record.path ~= path then return nil end
  end
  local last = hops[#hops]
  ledger:saved(last.taskId, path)
  return { taskId = last.taskId, status = last.status, hops = hops, path = path, already = true }
end

-- The name of each hop: the caller's key, or what is asked for up to there, and nothing about how.
local function names_of(ctx, params, hops, key)
  local names, before = {}, {}
  for n, hop in ipairs(hops) do
    before[n] = hop
    names[n] = "chain:" .. (key
      or canonical.hash(canonical.encode { api = ctx.api.name, taskId = params.taskId, hops = before }))
  end
  return names
end

---@param ctx table
---@param params { taskId: string, prompts: (string|table)[] }  and what all hops share
---@param options table
---@return table|nil result, veo.Error|nil err
function M.chain(ctx, params, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local ok, err = wire.task_id(params.taskId, "chain")
  if not ok then return nil, err end
  local hops
  hops, err = hops_of(ctx, params)
  if not hops then return nil, err end
  local download = {}
  for name, value in pairs(options.download) do download[name] = value end
  download.overwrite = options.overwrite
  local run = { ctx = ctx, params = params, options = options, hops = hops, hop = 1, done = {}, began = ctx.now(),
    download = download }
  if ctx.ledger then
    run.keys = names_of(ctx, params, hops, options.key)
  elseif options.key then
    return nil, problem { code = "invalid", field = "key", message = "chain: key needs a ledger" }
  end
  local before = made_before(run)
  if before then return before end
  err = targets.try(options.path, options.overwrite)
  if err then
    err.operation = "chain"
    return nil, err
  end
  -- A hop that is paid already proves the source; its record may have ended meanwhile.
  local begun = run.keys and ctx.ledger:find { key = key_of(run, 1, 1) }
  if not begun or begun.state == "refused" or begun.state == "lost" then
    err = check_source(ctx, params.taskId, options)
    if err then return nil, err end
  end
  local source = params.taskId
  for n = 1, #hops do
    local hop
    hop, err = do_hop(run, n, source)
    if not hop then return stop(run, err) end
    source = hop.taskId
  end
  return finish(run)
end

return M
