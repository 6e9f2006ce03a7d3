--- Takes up what a crash, a restart or another machine left: every open task of the ledger is claimed, waited for, saved,
--- and handed over. What a worker holds is kept by a heartbeat; one that lost a claim drops the task without a word.

local core = require "veo.core"
local downloads = require "veo.download"
local errors = require "veo.errors"
local free = require "veo.free"
local adopt = require "veo.adopt"
local ledgers = require "veo.ledger"
local patterns = require "veo.pattern"
local sheltered = require "veo.sheltered"
local waits = require "veo.wait"

local M = {}

-- The service forgets a task after 14 days; older ones can no longer be waited for.
local KEPT = 14 * 24 * 3600
-- Claimed at once, so that a commit pays for many and a fleet still shares.
local PAGE = 200
-- How often the loop looks around while tasks run, and whether others' tasks have become free (seconds).
local LOOK = 1
local CLAIM = 5
-- A ledger out of reach is tried again after this long (seconds).
local AGAIN = 2
-- Errors that every further task would meet too.
local FATAL = { unauthorized = true, forbidden = true, key_limit = true }

-- One task ------------------------------------------------------------------------------------------------------------

-- A step in the ledger: queued, so that one commit serves all tasks that come to a step in one turn (a commit costs a
-- disk's sync, and 10,000 finished tasks would wait for 20,000 of them one after the other).
-- True, or nil when the task is no longer ours.
local function step(run, row, fields)
  local entry = { row = row, fields = fields, waiter = {}, deadline = run.ctx.now() + run.ctx.ledger.lease }
  run.queue[#run.queue + 1] = entry
  if run.waiter then run.ctx.scheduler:wake(run.waiter, "done") end
  run.ctx.scheduler:await(nil, nil, entry.waiter)
  return entry.mine
end

local function answer(run, entry, mine)
  entry.mine = mine or nil
  run.ctx.scheduler:wake(entry.waiter, "done")
end

-- Makes the queued steps. While the ledger is out of reach they are tried again until their claims would have lapsed.
local function flush(run)
  local ctx, queue = run.ctx, run.queue
  if #queue == 0 or ctx.now() < run.flush_at then return end
  run.queue = {}
  local mine, err = ctx.ledger:steps(queue)
  if mine then
    for i, entry in ipairs(queue) do answer(run, entry, mine[i]) end
    return
  end
  run.ledger_error = err
  run.flush_at = ctx.now() + AGAIN
  for _, entry in ipairs(queue) do
    if ctx.now() > entry.deadline then answer(run, entry, nil) else run.queue[#run.queue + 1] = entry end
  end
end

-- Saves a finished task. The path is in the ledger before a file of that name can appear, and only a name that was free
-- is put there: a file that stands under it after a crash is therefore whole, and ours. Nil without an error: the claim
-- is lost.
local function save(run, row, record, status)
  local options = run.options
  local path = record.path
  if not path or core.kind(path) ~= "file" then
    path = type(options.path) == "function" and options.path(record, status) or patterns.fill(options.path, record)
    if type(path) ~= "string" then
      error("resume: path: the function returned " .. type(path) .. " instead of a file name", 0)
    end
    if core.kind(path) == "file" and not options.download.overwrite then
      if not step(run, row, { state = "done", status = status }) then return nil end
      return nil, errors.new { code = "exists", operation = "resume", path = path, taskId = record.taskId,
        message = path .. " exists already, and is not known to be this task's video" }
    end
    local noted = not options.download.overwrite and path or nil
    if not step(run, row, { state = "done", status = status, path = noted }) then return nil end
    local file, err = downloads.download(run.ctx, status, path, options.download)
    if not file then return nil, err end
    if not step(run, row, { state = "saved", path = path }) then return nil end
    return file
  end
  if not step(run, row, { state = "saved", status = status, path = path }) then return nil end
  return { path = path, taskId = record.taskId, already = true }
end

local function count(run, what)
  run.summary[what] = run.summary[what] + 1
end

-- Hands the outcome over.
local function tell(run, row, record, status, err, file)
  record.path = file and file.path or record.path
  if run.options.on_result then run.options.on_result(status, record, err, file) end
  row.told = true
end

-- One claimed task, to its end. A job of its own.
local function see_to(run, row)
  local ctx, record = run.ctx, ledgers.record(row)
  local taskId = record.taskId
  local age = math.max(0, run.now - record.created)
  if age < run.options.wait.grace and not ctx.created[taskId] then ctx.created[taskId] = ctx.now() - age end
  local status, err = waits.wait(ctx, taskId, run.options.wait, true)
  if not status then
    if err.code == "cancelled" or err.code == "closed" then return end
    if err.code == "failed" or err.code == "expired" then
      if not step(run, row, { state = "failed", status = err.status, err = err }) then return count(run, "lost") end
      record.state = "failed"
      count(run, "failed")
    else
      ctx.ledger:release(row)
      count(run, "open")
      if FATAL[err.code] then run.fatal = run.fatal or err end
    end
    return tell(run, row, record, nil, err)
  end
  record.state, record.status, record.video_url = "done", status, status.video_url
  if not run.options.path then
    if not step(run, row, { state = "done", status = status }) then return count(run, "lost") end
    count(run, "done")
    tell(run, row, record, status)
    -- Handed over: without a folder to save to, that is all resume can do, and it does it once.
    if run.options.on_result then step(run, row, { state = "saved" }) end
    return
  end
  local file
  file, err = save(run, row, record, status)
  if file then
    record.state = "saved"
    count(run, "saved")
  elseif err then
    if err.code == "cancelled" or err.code == "closed" then return end
    ctx.ledger:release(row)
    count(run, "open")
  else
    return count(run, "lost")
  end
  tell(run, row, record, status, err, file)
end

-- All of them ---------------------------------------------------------------------------------------------------------

-- An uncertain order whose reply named a task needs only the service's word for it.
local function confirm_named(run)
  local ctx = run.ctx
  local found = ctx.ledger:tasks { state = "uncertain" }
  for _, record in ipairs(found or {}) do
    local status = record.taskId and free.look(ctx, record.taskId, ctx.now() + ctx.timeout)
    if status and adopt.name(ctx, record.ref, record.taskId, status) then count(run, "adopted") end
  end
end

-- Claims what is free and starts a job for each. Returns how many were begun and claimed; nil without the ledger.
local function take_more(run)
  local room = math.min(run.options.limit - run.running, PAGE)
  if room < 1 then return 0, 0 end
  local ctx = run.ctx
  local rows, err = ctx.ledger:claim { limit = room, since = KEPT, round = run.round }
  if not rows then
    run.ledger_error = err
    return nil
  end
  local begun = 0
  for _, row in ipairs(rows) do
    if ctx.ledger:is_active(row.task_id) then
      count(run, "busy") -- another call of this client sees to it
    else
      begun = begun + 1
      run.running = run.running + 1
      local job
      job = ctx.scheduler:spawn(function()
        see_to(run, row)
        run.ended[#run.ended + 1] = job
        if run.waiter then ctx.scheduler:wake(run.waiter, "done") end
      end)
      run.jobs[job] = row
    end
  end
  return begun, #rows
end

-- Takes an ended job out; one that raised (in a function of the user's) is reported and leaves its task open.
local function take_out(run, job)
  local row = run.jobs[job]
  if not row then return end
  run.jobs[job] = nil
  run.running = run.running - 1
  if job:status() == "failed" then
    local _, err = job:result()
    run.failure = run.failure or err
  end
  if job:status() ~= "done" and not row.told then run.ctx.ledger:release(row) end
end

-- Those that ended say so themselves; one that raised could not, and is found by a look at all of them now and then.
local function collect(run)
  local ended = run.ended
  run.ended = {}
  for _, job in ipairs(ended) do take_out(run, job) end
  if run.ctx.now() < run.scan_at then return end
  run.scan_at = run.ctx.now() + LOOK
  local raised = {}
  for job in pairs(run.jobs) do
    if job:status() ~= "pending" then raised[#raised + 1] = job end
  end
  for _, job in ipairs(raised) do take_out(run, job) end
end

local function stop(run)
  for job, row in pairs(run.jobs) do
    job:cancel()
    run.ctx.ledger:release(row)
  end
  run.jobs, run.running = {}, 0
end

-- Until a job ends, or some seconds have passed. False when this call itself is to end.
local function pause(run, seconds)
  run.waiter = {}
  local why = run.ctx.scheduler:await(nil, run.ctx.now() + seconds, run.waiter)
  run.waiter = nil
  return why == "timeout" or why == "done"
end

local function work(run)
  local ctx = run.ctx
  local claim_at = 0
  while true do
    flush(run)
    collect(run)
    if run.running == 0 and run.options.limit > 0 then claim_at = 0 end
    if run.fatal or run.failure then return stop(run) end
    if not ctx.ledger:beat() then run.unheard = run.unheard or ctx.now() else run.unheard = nil end
    -- Out of reach for as long as a lease lasts: others may have taken over, so what was begun is left to them.
    if run.unheard and ctx.now() - run.unheard > ctx.ledger.lease then return stop(run) end
    local begun, claimed = 0, 0
    if ctx.now() >= claim_at then
      begun, claimed = take_more(run)
      if not begun and run.running == 0 then return end
      if (claimed or 0) < PAGE or run.running >= run.options.limit then claim_at = ctx.now() + CLAIM end
    end
    if run.running == 0 and (begun or 0) == 0 and (claimed or 0) == 0 then return end
    if (begun or 0) == 0 and not pause(run, LOOK) then return stop(run) end
  end
end

local function work_on(run)
  local cleanup = run.ctx.scheduler:on_drop { drop = function() stop(run) end }
  confirm_named(run)
  work(run)
  run.ctx.scheduler:settled(cleanup)
end

---Takes up every open task of the ledger.
---@param ctx table
---@param options { on_result: function|nil, path: string|function|nil, limit: integer, wait: table, download: table }
---@return table|nil summary, veo.Error|nil err
function M.resume(ctx, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local run = { ctx = ctx, options = options, jobs = {}, ended = {}, running = 0, scan_at = 0, queue = {},
    flush_at = 0,
    round = ledgers.nonce(4), now = os.time(),
    summary = { saved = 0, done = 0, failed = 0, open = 0, lost = 0, busy = 0, adopted = 0 } }
  local uncertain, err = ctx.ledger:tasks { state = "uncertain" }
  if not uncertain then return nil, err end
  sheltered(ctx, work_on, run)
  if run.failure then return nil, run.failure end
  if run.fatal then return nil, run.fatal end
  uncertain, err = ctx.ledger:tasks { state = "uncertain" }
  if not uncertain then return nil, run.ledger_error or err end
  run.summary.uncertain = uncertain
  return run.summary
end

return M
