--- The life of a billable call in the ledger, each step one statement inside a transaction:
---
---   intent ─┬─ accepted ─┬─ done ── saved
---           ├─ refused   └─ failed
---           └─ uncertain ─┬─ accepted (an answer came late, a callback or a person named the task)
---                         └─ lost     (a person says that nothing was ordered; a callback may know better)
---
--- `sending` is 1 while bytes may be on their way: an intent whose process died before that was never sent.

local canonical = require "veo.ledger.canonical"
local owners = require "veo.ledger.owner"
local window = require "veo.ledger.window"

local M = {}

-- An identical body counts as the same order for this long (seconds).
local SAME_WITHIN = 24 * 3600
local DAY = 24 * 3600

-- Earlier orders -------------------------------------------------------------------------------------------------------

---An intent whose process is dead, or has not been heard of for its whole lease, gets its last word.
---@return string state
function M.bury(db, row, now)
  if row.state ~= "intent" or row.lease >= now and not (row.owner and owners.dead(row.owner)) then return row.state end
  local state = row.sending == 1 and "uncertain" or "refused"
  db:run([[UPDATE veo_tasks SET state = ?, owner = NULL, lease = 0, updated = ?, error = ?
    WHERE ref = ? AND state = 'intent']], state, now,
    state == "uncertain" and '{"message":"the process that sent it ended without an answer"}'
      or '{"message":"the process ended before anything was sent"}', row.ref)
  return state
end

local function usable(db, rows, now)
  for _, row in ipairs(rows) do
    row.state = M.bury(db, row, now)
    if row.state ~= "refused" and row.state ~= "lost" then return row end
  end
  return nil
end

local function earlier_by_key(db, request, now)
  return usable(db, db:select("SELECT * FROM veo_tasks WHERE intent_key = ? AND state NOT IN ('refused', 'lost')",
    request.key), now)
end

-- A failed task is no obstacle: asking again is what one does.
local function earlier_by_body(db, request, now)
  return usable(db, db:select([[SELECT * FROM veo_tasks WHERE hash = ? AND body = ? AND operation = ? AND api = ?
    AND created > ? AND state NOT IN ('refused', 'lost', 'failed') ORDER BY created DESC]],
    request.hash, request.body, request.operation, request.api, now - SAME_WITHIN), now)
end

local function earlier(db, request, now)
  if request.key then
    local row = earlier_by_key(db, request, now)
    if not row then return nil end
    local same = row.body == request.body and row.operation == request.operation and row.api == request.api
    return { kind = same and "earlier" or "other_body", row = row }
  end
  if request.on_duplicate == "allow" then return nil end
  local row = earlier_by_body(db, request, now)
  return row and { kind = "earlier", row = row }
end

-- The intent -----------------------------------------------------------------------------------------------------------

---Credits reserved or spent on the day of `now` (UTC).
---@return number
function M.spent(db, now)
  local day = math.floor(now / DAY)
  local orders = db:select([[SELECT CAST(COALESCE(SUM(price), 0) AS DOUBLE PRECISION) AS spent FROM veo_tasks
    WHERE day = ? AND state NOT IN ('refused', 'lost')]], day)[1]
  -- A charge is its first asker's, whoever else has asked since.
  local charges = db:select([[SELECT CAST(COALESCE(SUM(price), 0) AS DOUBLE PRECISION) AS spent FROM (
    SELECT MAX(price) AS price FROM veo_charges WHERE ref IN (SELECT ref FROM veo_charges WHERE day = ?)
    GROUP BY ref HAVING MIN(day) = ?) AS charged]], day, day)[1]
  return orders.spent + charges.spent
end

local function insert(db, request, now)
  db:run([[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, intent_key, price, day, client, owner, lease,
    sending, created, updated) VALUES (?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)]],
    request.ref, request.operation, request.api, request.body, request.hash, request.key, request.price,
    math.floor(now / DAY), request.client, request.owner, now + request.lease, now, now)
end

---Writes an intent, unless an earlier order or the budget stands against it. With a slot of the rate window free it is
---taken in the same commit, so that the call may go at once; unless others of the client are to have one first.
---@param db veo.Database
---@param request table  ref operation api body hash key price day_limit on_duplicate client owner lease rate in_turn
---@return { kind: "new"|"earlier"|"other_body"|"budget"|"upgraded", wait: number|nil, row: table|nil, spent: number|nil }
function M.open(db, request)
  local now = db:time()
  -- The commit of a first try may have arrived although its answer did not.
  if not db:select("SELECT ref FROM veo_tasks WHERE ref = ?", request.ref)[1] then
    local found = earlier(db, request, now)
    if found then return found end
    local upgrade = request.source and db:select("SELECT what FROM veo_upgrades WHERE task_id = ?", request.source)[1]
    if upgrade then return { kind = "upgraded", what = upgrade.what } end
    if request.day_limit then
      local spent = M.spent(db, now)
      if spent + request.price > request.day_limit then return { kind = "budget", spent = spent } end
    end
    insert(db, request, now)
  end
  return { kind = "new", wait = not request.in_turn and M.reserve(db, request, now) or nil }
end

---Takes a slot for an attempt of an open intent, and keeps its lease; seconds to wait when there is none. Nil when the
---intent is no longer open: another process thought this one dead.
---@return number|nil wait
function M.reserve(db, request, now)
  now = now or db:time()
  local wait = window.reserve(db, request.rate, now)
  local changed = db:run("UPDATE veo_tasks SET lease = ?, sending = ?, updated = ? WHERE ref = ? AND state = 'intent'",
    now + request.lease, wait == 0 and 1 or 0, now, request.ref)
  return changed == 1 and wait or nil
end

---The attempt brought nothing and may be repeated: until the next slot nothing is on its way.
function M.idle(db, request, limited, retry_after)
  local now = db:time()
  if limited then window.refused(db, request.rate, now, retry_after) end
  db:run("UPDATE veo_tasks SET sending = 0, lease = ? WHERE ref = ? AND state = 'intent'",
    now + request.lease + (retry_after or 0), request.ref)
end

-- Answers --------------------------------------------------------------------------------------------------------------

-- Somebody named another task for the order meanwhile. This one is paid as well, so it gets a row of its own.
local function accepted_too(db, ref, taskId, lease, now)
  return db:run([[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, task_id, price, day, client, owner,
    lease, sending, created, updated) SELECT CAST(? AS TEXT), 'accepted', operation, api, body, hash, CAST(? AS TEXT),
    price, day, client, client, CAST(? AS DOUBLE PRECISION), 0, created, CAST(? AS DOUBLE PRECISION)
    FROM veo_tasks WHERE ref = ? AND NOT EXISTS (SELECT 1 FROM veo_tasks WHERE task_id = ? AND state <> 'uncertain')]],
    ref .. canonical.hash(taskId), taskId, now + lease, now, ref, taskId)
end

---The service named the task. An answer that comes after the intent was given up still counts; its key may belong to
---another order by then.
---@return integer changed
function M.accepted(db, ref, taskId, lease)
  local now = db:time()
  local changed = db:run([[UPDATE veo_tasks SET state = 'accepted', task_id = ?, sending = 0, lease = ?, updated = ?,
    intent_key = CASE WHEN state IN ('lost', 'refused') THEN NULL ELSE intent_key END
    WHERE ref = ? AND state IN ('intent', 'uncertain', 'lost', 'refused')]], taskId, now + lease, now, ref)
  return changed > 0 and changed or accepted_too(db, ref, taskId, lease, now)
end

---Nothing was ordered: the price and the key are free again.
function M.refused(db, ref, why)
  return db:run([[UPDATE veo_tasks SET state = 'refused', sending = 0, lease = 0, owner = NULL, updated = ?, error = ?
    WHERE ref = ? AND state = 'intent']], db:time(), why, ref)
end

---It may have been ordered. `free_key`: the caller repeats it by an explicit word, under the same key.
function M.uncertain(db, ref, why, taskId, evidence, free_key)
  return db:run(([[UPDATE veo_tasks SET state = 'uncertain', sending = 0, lease = 0, owner = NULL, updated = ?,
    error = ?, task_id = ?, evidence = ?%s WHERE ref = ? AND state IN ('intent', 'uncertain')]])
    :format(free_key and ", intent_key = NULL" or ""), db:time(), why, taskId, evidence, ref)
end

---The task ended, as anybody saw it who asked.
function M.ended(db, taskId, state, result, why)
  return db:run([[UPDATE veo_tasks SET state = ?, result = ?, error = ?, updated = ?
    WHERE task_id = ? AND state = 'accepted']], state, result, why, db:time(), taskId)
end

---A file of this name is about to appear: after a crash it is known to be ours.
function M.saving(db, taskId, path)
  return db:run("UPDATE veo_tasks SET path = ?, updated = ? WHERE task_id = ? AND state IN ('accepted', 'done')",
    db:file_name(path), db:time(), taskId)
end

---The file stands, whole.
function M.saved(db, taskId, path)
  return db:run([[UPDATE veo_tasks SET state = 'saved', path = ?, owner = NULL, lease = 0, updated = ?
    WHERE task_id = ? AND state IN ('accepted', 'done', 'saved')]], db:file_name(path), db:time(), taskId)
end

---A person or a confirmed callback names the task of an intent without an answer.
---@return "adopted"|"known"|"taken"|"unknown" outcome, table|nil row
function M.adopt(db, ref, taskId)
  local row = db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1]
  if not row then return { outcome = "unknown" } end
  local other = db:select("SELECT ref FROM veo_tasks WHERE task_id = ? AND ref <> ? AND state <> 'uncertain'",
    taskId, ref)[1]
  if other then return { outcome = "taken", row = row, by = other.ref } end
  if row.state == "uncertain" or row.state == "intent" or row.state == "lost" or row.state == "refused" then
    M.accepted(db, ref, taskId, 0)
    return { outcome = "adopted", row = row }
  end
  return { outcome = row.task_id == taskId and "known" or "closed", row = row }
end

---A person says what became of it: "lost" for an uncertain intent, "saved" for a finished task kept by other means.
---@return integer changed
function M.close(db, ref, state)
  local from = state == "lost" and "'uncertain'" or "'accepted', 'done', 'failed'"
  return db:run(([[UPDATE veo_tasks SET state = ?, owner = NULL, lease = 0, updated = ?
    WHERE ref = ? AND state IN (%s)]]):format(from), state, db:time(), ref)
end

return M
