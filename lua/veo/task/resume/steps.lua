--- Steps of claimed tasks in the ledger. They are queued, so that one commit serves all tasks that come to a step in one
--- turn: a commit costs a disk's sync, and 10,000 finished tasks would wait for 20,000 of them one after the other.

local ipairs = ipairs

local queues = require "veo.util.queue"

local M = {}

---@return table queue
M.queue = queues.new

-- Steps in one commit.
local STEPS = 100
-- A ledger out of reach is tried again after this long (seconds).
M.AGAIN = 2

---Makes a step, and waits until it is made.
---@param run table  of resume
---@param row table
---@param fields { state: string, status: veo.Status|nil, err: veo.Error|nil, file: table|nil }
---@return true|nil mine   nil when the task is no longer ours
---@return table|nil held  the other task that has the name of the file
function M.make(run, row, fields)
  local entry = { row = row, fields = fields, waiter = {}, deadline = run.ctx.now() + run.ctx.ledger.lease }
  run.queue:push(entry)
  if run.waiter then run.ctx.scheduler:wake(run.waiter, "done") end
  run.ctx.scheduler:await(nil, nil, entry.waiter)
  return entry.mine, entry.held
end

local function answer(run, entry, mine)
  entry.mine = mine or nil
  run.ctx.scheduler:wake(entry.waiter, "done")
end

---Commits the queued steps. While the ledger is out of reach they are tried again until their claims would have lapsed.
---@param run table  of resume
---@return boolean committed  whether there was something, and it was time
function M.flush(run)
  local ctx, queue, began, entries = run.ctx, run.queue, run.ctx.now(), {}
  if not queue:first() or began < run.commit_at then return false end
  for entry in queue:each() do
    entries[#entries + 1] = entry
    if #entries == STEPS then break end
  end
  local mine, err = ctx.ledger:steps(entries, #entries)
  run.commit_at = ctx.ledger:turn(began, true)
  for i = 1, mine and #mine or 0 do
    answer(run, entries[i], mine[i])
    queue:pop()
  end
  if mine then return true end
  run.ledger_error = err
  run.commit_at = ctx.now() + M.AGAIN
  for _, entry in ipairs(entries) do
    queue:pop()
    if ctx.now() > entry.deadline then answer(run, entry, nil) else queue:push(entry) end
  end
  return true
end

return M
