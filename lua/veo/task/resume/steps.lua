--- Steps of claimed tasks in the ledger. They are queued, so that one commit serves all tasks that come to a step in one
--- turn: a commit costs a disk's sync, and 10,000 finished tasks would wait for 20,000 of them one after the other.

local min = math.min
local remove = table.remove

local M = {}

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
  run.queue[#run.queue + 1] = entry
  if run.waiter then run.ctx.scheduler:wake(run.waiter, "done") end
  run.ctx.scheduler:await(nil, nil, entry.waiter)
  return entry.mine, entry.held
end

local function answer(run, entry, mine)
  entry.mine = mine or nil
  run.ctx.scheduler:wake(entry.waiter, "done")
end

---Commits the queued steps. While the ledger is out of reach they are tried again until their claims would have lapsed.
---@param run table
function M.flush(run)
  local ctx, queue, began = run.ctx, run.queue, run.ctx.now()
  if not queue[1] or began < run.commit_at then return end
  local tried = min(STEPS, #queue)
  local mine, err = ctx.ledger:steps(queue, tried)
  run.commit_at = ctx.ledger:turn(began)
  for i = 1, mine and #mine or 0 do answer(run, remove(queue, 1), mine[i]) end
  if mine then return end
  run.ledger_error = err
  run.commit_at = ctx.now() + M.AGAIN
  for _ = 1, tried do
    local entry = remove(queue, 1)
    if ctx.now() > entry.deadline then answer(run, entry, nil) else queue[#queue + 1] = entry end
  end
end

return M
