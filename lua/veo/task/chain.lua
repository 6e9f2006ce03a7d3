--- Extends a video hop by hop. With a ledger every hop has a key that follows from the order up to there, so that the
--- same call after a crash finds what is paid already and goes on at the first hop that is not; and so does a call whose
--- later hops were edited, as one does after a refused prompt.

local pairs, select, tostring = pairs, select, tostring
local format, gsub, match = string.format, string.gsub, string.match
local time = os and os.time

local as_job = require "veo.async.as_job"
local chain_hops = require "veo.task.chain.hops"
local checks = require "veo.task.chain.checks"
local destinations = require "veo.task.download.destination"
local downloads = require "veo.task.download"
local ended = require "veo.async.ended"
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local submits = require "veo.task.submit"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

local M = {}

local function problem(fields)
  fields.operation = "chain"
  return errors.new(fields)
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

local function failed(n, task)
  return problem { code = "failed", taskId = task.taskId, ref = task.ref, status = task.last_status or task.status,
    message = format("hop %d, task %s, has failed", n, task.taskId),
    hint = "with {repeat_failed} it is ordered again" }
end

-- Orders a hop, or finds what was ordered. A failed one is ordered again only when that was asked for.
local function order(run, n, source)
  local ctx, params = run.ctx, run.hops[n]
  params.taskId = source
  local name, again, found
  if run.names then
    name, again, found = chain_hops.find(ctx.ledger, run.names[n], n, params)
    if found and found.state == "failed" then again = again + 1 end
  end
  local last = found and found.state == "failed" and found
  while true do
    if last and not run.options.repeat_failed then return nil, failed(n, last) end
    local submit = { deadline = run.options.deadline, timeout = run.options.timeout, alike = true,
      key = name and chain_hops.key(name, n, again) }
    if n == #run.hops then
      submit.path, submit.overwrite, submit.destination = run.options.path, run.options.overwrite, run.destination
      submit.mkdir = run.download.mkdir
    end
    local task, err = submits.submit(ctx, "extend", params, { submit = submit, retry = run.options.retry })
    if not task then return nil, err end
    if task.state ~= "failed" then return task end
    last, again = task, (again or 1) + 1
  end
end

local function save_hop(run, n, status)
  local pattern = run.options.save_hops
  -- The last hop is the whole chain, and has its own path.
  if not pattern or n == #run.hops and run.options.path then return nil end
  local path = gsub(pattern, "{hop}", tostring(n))
  path = filenames.fill(path,
    { taskId = status.taskId, ref = "", operation = "extend", created = time and time() or 0 })
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
  run.paid = run.paid or not task.joined
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
  local stem, ending = match(path, "^(.*)(%.[^./\\]*)$")
  return format("%s-hop%d%s", stem or path, n, ending or "")
end

-- What was finished before the chain stopped is saved under a name that says so, never under that of the whole chain.
local function stop(run, err)
  err.hop, err.hops = run.hop, run.done
  if run.paid then errors.paid(err) end
  local last = run.done[#run.done]
  if not last or not run.options.path or ended.is(err.code) then return nil, err end
  local path = partial_path(run.options.path, #run.done)
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
      return nil, run.paid and errors.paid(err) or err
    end
    result.path, result.bytes, last.path = file.path, file.bytes, file.path
  end
  if ledger then chain_hops.close(ledger, run.done) end
  tell(run, "saved", { taskId = last.taskId, path = result.path })
  return result
end

-- Hop by hop, under the name that is this call's by now.
local function work(run)
  local ctx, orders, source = run.ctx, run.hops, run.params.taskId
  local err = checks.paths(run)
  if err then
    err.operation = "chain"
    return nil, err
  end
  -- A hop that is paid already proves the source; its record may have ended meanwhile.
  orders[1].taskId = source
  if not run.names or not select(3, chain_hops.find(ctx.ledger, run.names[1], 1, orders[1])) then
    err = checks.source(ctx, source, run.options)
    if err then return nil, err end
  end
  for n = 1, #orders do
    local hop
    hop, err = do_hop(run, n, source)
    if not hop then return stop(run, err) end
    source = hop.taskId
  end
  return finish(run)
end

local function hold(run)
  local err
  if run.options.path then
    run.destination, err = destinations.take(run.ctx, run.options.path, run.download.mkdir)
    if err then
      err.operation = "chain"
      return nil, err
    end
    run.download.destination = run.destination
  end
  local result
  result, err = work(run)
  destinations.leave(run.destination, result)
  return result, err
end

---@param ctx table
---@param params { taskId: string, prompts: (string|table)[] }  and what all hops share
---@param options table
---@return table|nil result, veo.Error|nil err
function M.chain(ctx, params, options)
  local ok, err = wire.task_id(params.taskId, "chain")
  if not ok then return nil, err end
  local orders
  orders, err = checks.hops(ctx, params)
  if not orders then return nil, err end
  local download = {}
  for name, value in pairs(options.download) do download[name] = value end
  download.overwrite = options.overwrite
  local run = { ctx = ctx, params = params, options = options, hops = orders, hop = 1, done = {}, began = ctx.now(),
    download = download }
  if ctx.ledger then
    run.names = chain_hops.names(params.taskId, orders, options.key)
  elseif options.key then
    return nil, problem { code = "invalid", field = "key", message = "chain: key needs a ledger" }
  end
  local before = checks.made_before(run)
  if before then return before end
  return as_job(ctx, hold, run)
end

return M
