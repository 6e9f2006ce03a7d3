--- Takes up what a crash, a restart or another machine left: every open task of the ledger is claimed, waited for, saved,
--- and handed over. What a worker holds is kept by a heartbeat; one that lost a claim drops the task without a word.

local ipairs, pairs, type = ipairs, pairs, type
local max, min = math.max, math.min
local remove = table.remove
local format = string.format
local time = os and os.time

local as_job = require "veo.async.as_job"
local downloads = require "veo.task.download"
local ledgers = require "veo.ledger"
local query = require "veo.task.query"
local saves = require "veo.task.resume.save"
local settle = require "veo.task.settle"
local targets = require "veo.task.download.target"
local waits = require "veo.task.wait"

local M = {}

-- How often the loop looks around while tasks run, and whether others' tasks have become free (seconds).
local LOOK = 1
local CLAIM = 5
-- Steps in one commit.
local STEPS = 100
-- A ledger out of reach is tried again after this long (seconds).
local AGAIN = 2
-- Errors that every further task would meet too.
local FATAL = { unauthorized = true, forbidden = true, key_limit = true }

-- One task ------------------------------------------------------------------------------------------------------------

-- A step in the ledger: queued, so that one commit serves all tasks that come to a step in one turn (a commit costs a
-- disk's sync, and 10,000 finished tasks would wait for 20,000 of them one after the other).
-- True, or nil when the task is no longer ours; and the other task that has the name of a file.
local function step(run, row, fields)
  local entry = { row = row, fields = fields, waiter = {}, deadline = run.ctx.now() + run.ctx.ledger.lease }
  run.queue[#run.queue + 1] = entry
  if run.waiter then run.ctx.scheduler:wake(run.waiter, "done") end
  run.ctx.scheduler:await(nil, nil, entry.waiter)
  return entry.mine, entry.held
end

local function answer(run, entry, mine)
  entry.mine = mine or nil
  run.ctx.scheduler:wake(entry.waiter, "done")
end

-- Makes the queued steps. While the ledger is out of reach they are tried again until their claims would have lapsed.
local function flush(run)
  local ctx, queue, began = run.ctx, run.queue, run.ctx.now()
  if not queue[1] or began < run.commit_at then return end
  local tried = min(STEPS, #queue)
  local mine, err = ctx.ledger:steps(queue, tried)
  run.commit_at = ctx.ledger:turn(began)
  for i = 1, mine and #mine or 0 do answer(run, remove(queue, 1), mine[i]) end
  if mine then return end
  run.ledger_error = err
  run.commit_at = ctx.now() + AGAIN
  for _ = 1, tried do
    local entry = remove(queue, 1)
    if ctx.now() > entry.deadline then answer(run, entry, nil) else queue[#queue + 1] = entry end
  end
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
  local age = max(0, run.now - record.created)
  if age < run.options.wait.grace and not ctx.created[taskId] then ctx.created[taskId] = ctx.now() - age end
  local status, err = run.options.path and saves.here(ctx, record), nil
  if not status then status, err = waits.wait(ctx, taskId, run.options.wait, true) end
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
  file, err = saves.save(ctx, run.options, record, status, function(fields) return step(run, row, fields) end)
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

-- Whether another call of this client sees to the task now. A claim of another `resume` of this client goes on under the
-- token that this one has just put in its place.
local function is_attended(run, row)
  local taskId = row.task_id
  local held = run.ctx.resuming[taskId]
  if held then held.claim = row.claim end
  return held ~= nil or waits.is_watched(run.ctx, taskId) or downloads.is_saving(run.ctx, taskId)
end

-- Claims what is free and starts a job for each. Returns how many were begun and claimed; nil without the ledger.
local function take_more(run)
  local room = run.options.limit - run.running
  if room < 1 then return 0, 0 end
  local ctx = run.ctx
  run.claim.limit = room
  local from = ctx.now()
  local rows, err = ctx.ledger:claim(run.claim)
  run.commit_at = ctx.ledger:turn(from)
  if not rows then
    run.ledger_error, run.commit_at = err, ctx.now() + AGAIN
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
        see_to(run, row)
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

-- Takes an ended job out; one that raised (in a function of the user's) is reported and leaves its task open.
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
    if ctx.now() >= max(claim_at, run.commit_at) then
      local begun, new = take_more(run)
      if run.running == 0 and (not begun or begun + new == 0 and not run.claim.more) then return end
      if begun and (not run.claim.more or run.running >= run.options.limit) then claim_at = ctx.now() + CLAIM end
    end
    local due = run.queue[1] and run.commit_at or max(claim_at, run.commit_at)
    if not pause(run, min(LOOK, max(0, due - ctx.now()))) then return stop(run) end
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
  local wrong = type(options.path) == "string" and targets.folder(options.path, options.download.mkdir, true)
  if wrong then
    wrong.operation = "resume"
    return nil, wrong
  end
  local run = { ctx = ctx, options = options, jobs = {}, ended = {}, running = 0, scan_at = 0, queue = {},
    commit_at = 0,
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
  local held = ctx.ledger:seen_to() or { others = 0, mine = 0 }
  run.summary.elsewhere, run.summary.busy = held.others, run.summary.busy + held.mine
  return run.summary
end

return M
