--- Takes up what a crash, a restart or another machine left: every open task of the ledger is claimed, waited for,
--- saved, and handed over. A heartbeat keeps what a worker holds; one that lost a claim leaves the task alone, and
--- reports nothing.

local ipairs, pairs, type = ipairs, pairs, type
local max, min = math.max, math.min
local format = string.format
local time = os and os.time

local as_job = require "veo.async.as_job"
local downloads = require "veo.task.download"
local ends = require "veo.async.ended"
local ledgers = require "veo.ledger"
local query = require "veo.task.query"
local saves = require "veo.task.resume.save"
local settle = require "veo.task.settle"
local steps = require "veo.task.resume.steps"
local targets = require "veo.task.download.target"
local waits = require "veo.task.wait"

local M = {}

-- How often the loop checks its jobs, and how often it looks for tasks that have become free (seconds).
local LOOK = 1
local CLAIM = 5
-- The share of the limit that is to be free for a claim in between.
local ROOM = 0.1
-- Errors that every further task would meet too.
local FATAL = { unauthorized = true, forbidden = true, key_limit = true }

-- One task ------------------------------------------------------------------------------------------------------------

local function count(run, what)
  run.summary[what] = run.summary[what] + 1
end

-- Tells the caller the outcome.
local function tell(run, row, record, status, err, file)
  record.path = file and file.path or record.path
  if run.options.on_result then run.options.on_result(status, record, err, file) end
  row.told = true
end

-- It did not end with a video.
local function note_failure(run, row, record, err)
  if ends.is(err.code) then return end
  if err.code == "failed" or err.code == "expired" then
    if not steps.make(run, row, { state = "failed", status = err.status, err = err }) then return count(run, "lost") end
    record.state = "failed"
    count(run, "failed")
  else
    run.ctx.ledger:release(row)
    count(run, "open")
    if FATAL[err.code] then run.fatal = run.fatal or err end
  end
  tell(run, row, record, nil, err)
end

-- Without a folder to save to, handing it over is all that resume can do, and it does it once.
local function hand_over(run, row, record, status)
  if not steps.make(run, row, { state = "done", status = status }) then return count(run, "lost") end
  count(run, "done")
  tell(run, row, record, status)
  if run.options.on_result then steps.make(run, row, { state = "saved" }) end
end

local function save(run, row, record, status)
  local file, err = saves.save(run.ctx, run.options, record, status, function(fields)
    return steps.make(run, row, fields)
  end)
  if file then
    record.state = "saved"
    count(run, "saved")
  elseif err then
    if ends.is(err.code) then return end
    run.ctx.ledger:release(row)
    count(run, "open")
  else
    return count(run, "lost")
  end
  tell(run, row, record, status, err, file)
end

-- One claimed task, to its end. A job of its own.
local function finish(run, row)
  local ctx, record = run.ctx, ledgers.record(row)
  local taskId = record.taskId
  local age = max(0, run.now - record.created)
  if age < run.options.wait.grace and not ctx.created[taskId] then waits.made(ctx, taskId, ctx.now() - age) end
  local status, err = run.options.path and saves.here(ctx, record), nil
  if not status then status, err = waits.wait(ctx, taskId, run.options.wait, true) end
  if not status then return note_failure(run, row, record, err) end
  record.state, record.status, record.video_url = "done", status, status.video_url
  if run.options.path then save(run, row, record, status) else hand_over(run, row, record, status) end
end

-- All of them ---------------------------------------------------------------------------------------------------------

-- An uncertain order whose answer named a task is that task when the service knows it, and its record does not say
-- otherwise.
local function confirm_named(run)
  local ctx = run.ctx
  local found = ctx.ledger:tasks { state = "uncertain" }
  for _, record in ipairs(found or {}) do
    local status = record.taskId and query.look(ctx, record.taskId, ctx.now() + ctx.timeout)
    local why = status and settle.contradiction(record, record.taskId, status)
    if why and ctx.log then
      ctx.log { event = "warning", operation = "resume", taskId = record.taskId,
        message = format("task %s is not adopted for the order %s: %s", record.taskId, record.ref, why) }
    end
    if status and not why and settle.name(ctx, record.ref, record.taskId) then count(run, "adopted") end
  end
end

-- Whether another call of this client waits for the task or saves it now. A claim of another `resume` of this client goes on under the
-- token that this one has just put in its place.
local function is_attended(run, row)
  local taskId = row.task_id
  local held = run.ctx.resuming[taskId]
  if held then held.claim = row.claim end
  return held ~= nil or waits.is_watched(run.ctx, taskId) or downloads.is_saving(run.ctx, taskId)
end

-- Claims what is free and starts a job for each; without room it only frees what the dead held. Returns how many were begun
-- and claimed; nil without the ledger.
local function take_more(run)
  local ctx = run.ctx
  run.claim.limit = max(run.options.limit - run.running, 0)
  local from = ctx.now()
  local rows, err = ctx.ledger:claim(run.claim)
  run.commit_at = ctx.ledger:turn(from)
  if not rows then
    run.ledger_error, run.commit_at = err, ctx.now() + steps.AGAIN
    return nil
  end
  local begun, new = 0, 0
  for _, row in ipairs(rows) do
    local taskId = row.task_id
    if is_attended(run, row) then
      if not run.met[taskId] then
        count(run, "busy")
        new = new + 1
      end
      run.met[taskId] = true
    else
      begun, new = begun + 1, new + 1
      run.met[taskId] = true
      run.running = run.running + 1
      ctx.resuming[taskId] = row
      local job
      job = ctx.scheduler:spawn(function()
        finish(run, row)
        run.ended[#run.ended + 1] = job
        if run.waiter then ctx.scheduler:wake(run.waiter, "done") end
      end)
      run.jobs[job] = row
    end
  end
  return begun, new
end

local function let_go(run, job)
  run.ctx.resuming[run.jobs[job].task_id] = nil
  run.jobs[job] = nil
  run.running = run.running - 1
end

-- Removes an ended job; one that raised (in a function of the user's) is reported and leaves its task open.
local function take_out(run, job)
  local row = run.jobs[job]
  if not row then return end
  let_go(run, job)
  if job:status() == "failed" then
    local _, err = job:result()
    run.failure = run.failure or err
  end
  if job:status() ~= "done" and not row.told then run.ctx.ledger:release(row) end
end

-- Jobs that end say so; one that raised could not, and is found by a look at all of them now and then.
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
    let_go(run, job)
  end
end

-- Until a job ends, or some seconds have passed. False when this call itself is to end.
local function pause(run, seconds)
  run.waiter = {}
  local why = run.ctx.scheduler:await(nil, run.ctx.now() + seconds, run.waiter)
  run.waiter = nil
  return why == "timeout" or why == "done"
end

-- Out of reach for as long as a lease lasts: others may have taken over, so what was begun is left to them.
local function is_cut_off(run)
  local ctx = run.ctx
  if ctx.ledger:beat() then run.unheard = nil else run.unheard = run.unheard or ctx.now() end
  return run.unheard ~= nil and ctx.now() - run.unheard > ctx.ledger.lease
end

-- Whether to claim before it is time to: the last claims left something for want of room, and there is some again. Not for
-- each single place: a claim is a commit.
local function has_room(run)
  local limit = run.options.limit
  return run.claim.rest and run.running <= limit - max(1, limit * ROOM)
end

-- Claims what is free, when it is time to. False when nothing is left to do.
local function claim(run)
  local now = run.ctx.now
  if has_room(run) then run.claim_at = 0 end
  if now() < run.claim_at then run.claim_next = false end
  if now() < max(run.claim_at, run.commit_at) then return true end
  run.claim_next = false
  local begun, new = take_more(run)
  local more = run.claim.more
  if run.running == 0 and (not begun or begun + new == 0 and not more) then return false end
  if begun and not more then run.claim_at = now() + CLAIM end
  return true
end

local function work(run)
  while true do
    -- By turns, or where tasks end all the time none would be claimed.
    if not run.claim_next then run.claim_next = steps.flush(run) end
    collect(run)
    if run.running == 0 and run.options.limit > 0 then run.claim_at = 0 end
    if run.fatal or run.failure or is_cut_off(run) then return stop(run) end
    if not claim(run) then return end
    local due = run.queue:first() and run.commit_at or max(run.claim_at, run.commit_at)
    if not pause(run, min(LOOK, max(0, due - run.ctx.now()))) then return stop(run) end
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
  local wrong = type(options.path) == "string" and targets.folder(options.path, options.download.mkdir, true)
  if wrong then
    wrong.operation = "resume"
    return nil, wrong
  end
  local run = { ctx = ctx, options = options, jobs = {}, ended = {}, running = 0, scan_at = 0, queue = steps.queue(),
    commit_at = 0, claim_at = 0, claim_next = false,
    claim = { round = ledgers.nonce(4) }, now = time(),
    met = {}, -- taskId → true: counted in the summary
    summary = { saved = 0, done = 0, failed = 0, open = 0, lost = 0, busy = 0, elsewhere = 0, adopted = 0 } }
  local uncertain, err = ctx.ledger:tasks { state = "uncertain" }
  if not uncertain then return nil, err end
  as_job(ctx, work_on, run)
  if run.failure then return nil, run.failure end
  if run.fatal then return nil, run.fatal end
  uncertain, err = ctx.ledger:tasks { state = "uncertain" }
  if not uncertain then return nil, run.ledger_error or err end
  run.summary.uncertain = uncertain
  local held = ctx.ledger:count_held() or { others = 0, mine = 0 }
  run.summary.elsewhere, run.summary.busy = held.others, run.summary.busy + held.mine
  return run.summary
end

return M
