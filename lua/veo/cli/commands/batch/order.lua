--- A row of a batch, from its order to its file, and what it came to.

local filenames = require "veo.util.filename"
local phrases = require "veo.cli.phrases"

local M = {}

local function wait_of(args, row)
  local wait = { timeout = args.timeout, on_progress = function(status) row.state = status.state end }
  if args.interval then
    wait.first, wait.interval, wait.max_interval = math.min(args.interval, 10), args.interval, args.interval
    wait.growth, wait.jitter = 1, 0
  end
  return wait
end

local function download_of(args, row)
  return { overwrite = args.force, mkdir = true, on_progress = function(bytes, total, info)
    row.state = "saving"
    row.rate = (total and ("%d %% of "):format(math.floor(bytes * 100 / math.max(total, 1))) or "")
      .. phrases.bytes(total or bytes) .. (info.rate and (" %s/s"):format(phrases.bytes(info.rate)) or "")
  end }
end

-- Where the video goes; a pattern can be filled once the ledger has the order.
local function path_of(client, row, task)
  if not row.output:find("{%w+}") then return row.output end
  local found, err = client:tasks { ref = task.ref }
  if not found or not found[1] then return nil, err end
  local record = found[1]
  record.taskId = record.taskId or task.taskId
  return filenames.fill(row.output, record)
end

-- Orders and saves. Nil and an error when it is not saved; `row.taskId` says whether it was ordered.
local function run(client, row, args)
  local fixed = not row.output:find("{%w+}") and row.output or nil
  local task, err = client[row.operation](client, row.params, { key = row.key, path = fixed,
    overwrite = args.force or nil, mkdir = true })
  if not task then return nil, err end
  row.taskId, row.ref, row.state = task.taskId, task.ref, "waiting"
  if task.already then return task end
  local path
  path, err = path_of(client, row, task)
  if not path then return nil, err end
  return task:save(path, { wait = wait_of(args, row), download = download_of(args, row) })
end

local WRONG_USE = { invalid = true, missing = true }

-- The task goes on at the service, unless its video was there already.
local GOES_ON = { timeout = true, cancelled = true, closed = true, uncertain = true, network = true, server = true }
local THERE = { saving = true, succeeded = true }

-- The state and the exit code of a row that is not saved.
local function end_of(row, err, taskId)
  if err.code == "failed" then return "failed", 4 end
  -- One that was cancelled once it had been sent is `uncertain` too, and its task is known for certain.
  if taskId and (err.code ~= "uncertain" or err.charged == "yes") then
    return GOES_ON[err.code] and not THERE[row.state] and "running" or "not saved", 3
  end
  if err.code == "uncertain" or err.charged == "maybe" or err.code == "job_failed" then return "uncertain", 3 end
  if err.code == "cancelled" or err.code == "closed" then return "not ordered", 130 end
  return "refused", WRONG_USE[err.code] and 1 or 2
end

---What a row came to that is not saved.
---@param row veo.cli.batch.Row
---@param err veo.Error
---@return table out
function M.failed(row, err)
  local taskId = row.taskId or row.record and row.record.taskId
  if not taskId and (err.code == "cancelled" or err.code == "uncertain") then taskId = err.taskId end
  local state, exit = end_of(row, err, taskId)
  local problem = (err.code == "cancelled" or err.cause == "cancelled") and "interrupted" or phrases.message(err)
  if state == "uncertain" and (err.ref or row.ref) then
    problem = ("%s; find out, then: veo settle %s TASK%s   (or lost)"):format(problem, err.ref or row.ref,
      phrases.ledger)
  end
  return { state = state, exit = exit, taskId = taskId, ref = err.ref or row.ref, problem = problem,
    error = { code = err.code, message = phrases.message(err), explain = phrases.explain(err) }, cause = err }
end

---@param client veo.Client
---@param row veo.cli.batch.Row
---@param args table
---@return table out
function M.order(client, row, args)
  local file, err = run(client, row, args)
  if not file then return M.failed(row, err) end
  return { state = file.already and "saved before" or "saved", exit = 0, taskId = row.taskId, ref = row.ref,
    path = file.path, bytes = file.bytes }
end

-- These stand in the way of every order, whatever the row.
local HALT = { insufficient_credits = true, unauthorized = true, forbidden = true, key_limit = true, disabled = true,
  ledger = true, network = true }

---Whether no other row can be ordered either.
---@param out table
---@return boolean
function M.halts(out)
  return out.state == "refused" and out.cause ~= nil and HALT[out.cause.code] == true
end

-- What the ledger says of a row that was not begun.
local LEFT = { saved = { "saved before", 0 }, failed = { "failed", 4 }, uncertain = { "uncertain", 3 } }

---A row that was not begun.
---@param row veo.cli.batch.Row
---@param why string
---@param exit integer  when it has no order
---@return table out
function M.left(row, why, exit)
  local record = row.record
  local known = record and (LEFT[record.state] or { "running", 3 }) or { "not ordered", exit }
  return { state = known[1], exit = known[2], taskId = record and record.taskId, ref = record and record.ref,
    unbegun = true, problem = why, error = known[2] ~= 0 and { code = "cancelled", message = why } or nil }
end

return M
