--- The life of a billable call in the ledger, each step one statement inside a transaction:
---
---   intent ─┬─ accepted ─┬─ done ── saved
---           ├─ refused   └─ failed
---           └─ uncertain ─┬─ accepted (an answer came late, a callback or a person named the task)
---                         └─ lost     (a person says that nothing was ordered; a callback may know better)
---
--- `sending` is 1 while bytes may be on their way: an intent whose process died before that was never sent.

local ipairs = ipairs
local floor = math.floor
local format = string.format
local max = math.max

local alike = require "veo.ledger.alike"
local budgets = require "veo.policy.budget"
local canonical = require "veo.util.canonical_json"
local clocks = require "veo.ledger.clock"
local equality = require "veo.ledger.equality"
local files = require "veo.ledger.files"
local processes = require "veo.ledger.process"
local rate_window = require "veo.ledger.rate_window"
local resends = require "veo.ledger.resends"

local M = {}

-- An identical body counts as the same order until its video is saved, and then for this long after the task's end
-- (seconds).
local SAME_WITHIN = 24 * 3600
-- An upgrade does so for as long as the service keeps its video, which nobody wants to pay for twice.
local KEPT = 14 * 24 * 3600
local DAY = 24 * 3600

-- Earlier orders -------------------------------------------------------------------------------------------------------

-- What others write into a row whose process they take for dead; the process itself may know better.
local ENDED = '{"message":"the process that sent it ended without an answer"}'
local NEVER_SENT = '{"message":"the process ended before anything was sent"}'

---Closes an intent whose process is dead, or has not been heard of for its whole lease.
---@param clock veo.ledger.Clock
---@return string state
function M.close_dead(db, row, clock)
  if row.state ~= "intent" or not clocks.over(row, clock) and not (row.owner and processes.dead(row.owner)) then
    return row.state
  end
  local state = row.sending == 1 and "uncertain" or "refused"
  db:run([[UPDATE veo_tasks SET state = ?, owner = NULL, lease = 0, updated = ?, error = ?
    WHERE ref = ? AND state = 'intent']], state, clock.now, state == "uncertain" and ENDED or NEVER_SENT, row.ref)
  if state == "refused" then resends.hand_down(db, row.ref) end
  return state
end

local function usable(db, rows, clock)
  for _, row in ipairs(rows) do
    row.state = M.close_dead(db, row, clock)
    if row.state ~= "refused" and row.state ~= "lost" then return row end
  end
  return nil
end

---The earlier order that is the same and forbids another one. A failed task does not: it is usual to order it again.
---@param order veo.ledger.Order
---@param clock veo.ledger.Clock
---@return table|nil row
function M.standing(db, order, clock)
  return usable(db, alike.rows(db, order, [[state NOT IN ('refused', 'lost', 'failed')
    AND (state <> 'saved' OR COALESCE(ended, updated) > ?)]],
    clock.now - (equality.is_once(order.operation) and KEPT or SAME_WITHIN)), clock)
end

-- Whether the row of the same key is the same order.
local function is_same(row, request)
  if row.operation == request.operation and row.api == request.api
    and (row.body == request.body or row.body == equality.stand_in(request.operation, request.body)) then
    return true
  end
  return (request.alike or equality.is_once(request.operation)) and equality.is(row, request)
end

local function earlier_by_key(db, request, clock)
  local row = usable(db, db:select("SELECT * FROM veo_tasks WHERE intent_key = ? AND state NOT IN ('refused', 'lost')",
    request.key), clock)
  return row and { kind = is_same(row, request) and "earlier" or "other_body", row = row }
end

local function earlier_by_body(db, request, clock)
  if request.on_duplicate == "allow" then return nil end
  local row = M.standing(db, request, clock)
  if row then return { kind = "earlier", row = row } end
  local asked = request.question and db:select("SELECT ref FROM veo_charges WHERE ref = ?",
    canonical.name(request.question))[1]
  return asked and { kind = "asked" } or nil
end

local function earlier(db, request, clock)
  local family = request.repeats and resends.earlier(db, request)
  if family then return family.kind and family or nil end
  if request.key then return earlier_by_key(db, request, clock) end
  return earlier_by_body(db, request, clock)
end

-- The intent -----------------------------------------------------------------------------------------------------------

---Credits reserved or spent on the day of `now` (UTC).
---@return number
function M.spent(db, now)
  local day = floor(now / DAY)
  local orders = db:select([[SELECT CAST(COALESCE(SUM(price), 0) AS DOUBLE PRECISION) AS spent FROM veo_tasks
    WHERE day = ? AND state NOT IN ('refused', 'lost')]], day)[1]
  -- A charge counts once, on the day of the client that asked first.
  local charges = db:select([[SELECT CAST(COALESCE(SUM(price), 0) AS DOUBLE PRECISION) AS spent FROM (
    SELECT MAX(price) AS price FROM veo_charges WHERE ref IN (SELECT ref FROM veo_charges WHERE day = ?)
    GROUP BY ref HAVING MIN(day) = ?) AS charged]], day, day)[1]
  return budgets.rounded(orders.spent + charges.spent)
end

local function insert(db, request, clock)
  local now = clock.now
  db:run([[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, intent_key, price, day, client, owner, lease,
    boot, boot_lease, sending, created, updated, repeats, path)
    VALUES (?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)]],
    request.ref, request.operation, request.api, request.body, request.hash, not request.keyless and request.key or nil,
    request.price, floor(now / DAY), request.client, request.owner, now + request.lease, clock.boot,
    clock.up + request.lease, now, now, request.repeats, request.path)
end

---Writes an intent, unless an earlier order or the budget stands against it. With a slot of the rate window free it is
---taken in the same commit, so that the call may go at once; unless others of the client are to have one first.
---@param db veo.Database
---@param request table  ref operation api body hash older question key price day_limit on_duplicate client owner lease rate in_turn path overwrite look
---@return { kind: "new"|"earlier"|"asked"|"other_body"|"held"|"budget"|"upgraded", wait: number|nil, row: table|nil, spent: number|nil }
function M.open(db, request)
  local clock = clocks.read(db)
  -- The commit of a first try may have arrived although its answer did not.
  if not db:select("SELECT ref FROM veo_tasks WHERE ref = ?", request.ref)[1] then
    local found = earlier(db, request, clock)
    if found then return found end
    local holder = request.path
      and files.holder(db, request.path, request, request.overwrite and "replace" or nil, request.look, clock)
    if holder then return { kind = "held", row = holder } end
    local upgrade = request.source and db:select("SELECT what FROM veo_upgrades WHERE task_id = ?",
      canonical.name(request.source))[1]
    if upgrade then return { kind = "upgraded", what = upgrade.what } end
    if request.day_limit then
      local spent = M.spent(db, clock.now)
      if budgets.passes(spent, request.price, request.day_limit) then return { kind = "budget", spent = spent } end
    end
    insert(db, request, clock)
  end
  return { kind = "new", wait = not request.in_turn and M.reserve(db, request, clock) or nil }
end

---Takes a slot for an attempt of an open intent, and renews its lease; seconds to wait when there is none. Nil when
---the intent is no longer open: another process took this one for dead. `request.held`: seconds of them that the
---service asked for.
---@param clock veo.ledger.Clock|nil
---@return number|nil wait
function M.reserve(db, request, clock)
  clock = clock or clocks.read(db)
  local wait, held = rate_window.reserve(db, request.rate, clock.now)
  request.held, request.taken = held and wait or nil, wait == 0 and clock.now or nil
  return M.keep(db, request, clock, wait == 0 and 1 or 0) == 1 and wait or nil
end

---Keeps the lease of an open intent. Nothing is changed when it is no longer open.
---@param sending 0|1
---@param longer number|nil  seconds beyond its lease
---@return integer changed
function M.keep(db, request, clock, sending, longer)
  local seconds = request.lease + (longer or 0)
  return db:run("UPDATE veo_tasks SET sending = ?, updated = ?, " .. clocks.SET
    .. " WHERE ref = ? AND state = 'intent'", sending, clock.now,
    clock.now + seconds, clock.boot, clock.up + seconds, request.ref)
end

---A refusal for the rate holds the orders of all processes back.
---@param err veo.Error
function M.hold_back(db, request, err)
  if err.code == "rate_limited" then rate_window.refused(db, request.rate, db:time(), err.retry_after) end
end

---The attempt failed and may be repeated: until the next slot nothing is on its way.
---@param err veo.Error
function M.idle(db, request, err)
  local clock = clocks.read(db)
  M.hold_back(db, request, err)
  if err.sent == "no" and request.taken then rate_window.give_back(db, request.taken) end
  M.keep(db, request, clock, 0, err.retry_after)
end

-- Answers --------------------------------------------------------------------------------------------------------------

-- Rows whose task_id is their task; of an uncertain one it is a candidate, of a lost one nobody's.
local HAS_TASK = "state NOT IN ('uncertain', 'lost', 'refused')"

-- Another task was named for the order meanwhile, or the order was given up. This task is paid as well, so it gets a
-- row of its own, and the key if nobody has it.
local function accepted_too(db, ref, taskId, till, up, clock)
  local own = ref .. canonical.hash(taskId)
  local changed = db:run([[INSERT INTO veo_tasks (ref, state, operation, api, body, hash, task_id, price, day, client,
    owner, lease, boot, boot_lease, sending, created, updated, repeats)
    SELECT CAST(? AS TEXT), 'accepted', operation, api, body, hash, CAST(? AS TEXT), price, day, client, client,
    CAST(? AS DOUBLE PRECISION), CAST(? AS TEXT), CAST(? AS DOUBLE PRECISION), 0, created,
    CAST(? AS DOUBLE PRECISION), COALESCE(repeats, ref) FROM veo_tasks
    WHERE ref = ? AND NOT EXISTS (SELECT 1 FROM veo_tasks WHERE task_id = ? AND ]] .. HAS_TASK .. ")",
    own, taskId, till, clock.boot, up, clock.now, ref, taskId)
  if changed > 0 then resends.take_over(db, own) end
  return changed
end

---The service named the task. An answer that comes after the intent was given up still counts, and the key is its again
---unless another order has it by then.
---@return integer changed
function M.accepted(db, ref, taskId, lease)
  local clock = clocks.read(db)
  local till, up = clock.now + lease, clock.up + lease
  if lease == 0 then till, up = 0, 0 end -- nobody holds it
  -- One that others closed meanwhile is its client's again.
  local changed = db:run(format([[UPDATE veo_tasks SET state = 'accepted', task_id = ?, sending = 0, updated = ?,
    owner = CASE WHEN %d = 1 THEN client ELSE owner END, %s,
    intent_key = CASE WHEN EXISTS (SELECT 1 FROM veo_tasks AS other WHERE other.intent_key = veo_tasks.intent_key
      AND other.ref <> veo_tasks.ref AND other.state NOT IN ('refused', 'lost')) THEN NULL ELSE intent_key END
    WHERE ref = ? AND state IN ('intent', 'uncertain', 'lost', 'refused')]], lease > 0 and 1 or 0, clocks.SET),
    taskId, clock.now, till, clock.boot, up, ref)
  if changed == 0 then return accepted_too(db, ref, taskId, till, up, clock) end
  resends.reclaim(db, ref, taskId, clock)
  resends.take_over(db, ref)
  return changed
end

---Nothing was ordered: the price and the key are free again, also when others had thought that its process was dead.
function M.refused(db, ref, why)
  local changed = db:run([[UPDATE veo_tasks SET state = 'refused', sending = 0, lease = 0, owner = NULL, updated = ?,
    error = ? WHERE ref = ? AND (state = 'intent' OR state = 'uncertain' AND error = ?)]], db:time(), why, ref, ENDED)
  if changed > 0 then resends.hand_down(db, ref) end
  return changed
end

---It may have been ordered.
function M.uncertain(db, ref, why, taskId, evidence)
  return db:run([[UPDATE veo_tasks SET state = 'uncertain', sending = 0, lease = 0, owner = NULL, updated = ?,
    error = ?, task_id = ?, evidence = ? WHERE ref = ? AND state IN ('intent', 'uncertain')]],
    db:time(), why, taskId, evidence, ref)
end

---The task ended, as anybody saw it who asked.
function M.ended(db, taskId, state, result, why, consumed)
  local now = db:time()
  return db:run([[UPDATE veo_tasks SET state = ?, result = ?, error = ?, updated = ?, ended = ?, consumed = ?
    WHERE task_id = ? AND state = 'accepted']], state, result, why, now, now, consumed, taskId)
end

---A person or a confirmed callback names the task of an intent without an answer.
---@param beside boolean|nil  a task of an order that was settled otherwise, also as lost, gets a row of its own
---@return { outcome: "adopted"|"known"|"closed"|"beside"|"taken"|"unknown", row: table|nil, by: string|nil }
function M.adopt(db, ref, taskId, beside)
  local row = db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1]
  if not row then return { outcome = "unknown" } end
  local other = db:select("SELECT ref FROM veo_tasks WHERE task_id = ? AND ref <> ? AND " .. HAS_TASK, taskId, ref)[1]
  if other then return { outcome = "taken", row = row, by = other.ref } end
  local open = row.state == "uncertain" or row.state == "intent" or row.state == "refused"
  if open or row.state == "lost" and not beside then
    -- Whoever is still waiting for the answer keeps it.
    M.accepted(db, ref, taskId, row.state == "intent" and max(clocks.left(row, clocks.read(db)), 0) or 0)
    return { outcome = "adopted", row = row }
  end
  if row.state ~= "lost" and row.task_id == taskId then return { outcome = "known", row = row } end
  if not beside then return { outcome = "closed", row = row } end
  accepted_too(db, ref, taskId, 0, 0, clocks.read(db))
  return { outcome = "beside", row = row }
end

-- The states that each of them closes.
local CLOSES = { lost = "'uncertain'", saved = "'accepted', 'done', 'failed'", unknown = "'accepted', 'done'" }

---A person says what became of it: "lost" for an uncertain intent, "saved" for a finished task kept by other means.
---@param unknown boolean|nil  "lost" for a task that the service does not know
---@return integer changed
function M.close(db, ref, state, unknown)
  -- Whoever has claimed it finds out that it is settled.
  local changed = db:run(format([[UPDATE veo_tasks SET state = ?, owner = NULL, lease = 0, claim = NULL, updated = ?
    WHERE ref = ? AND state IN (%s)]], CLOSES[unknown and "unknown" or state]), state, db:time(), ref)
  if changed > 0 and state == "lost" then resends.hand_down(db, ref) end
  return changed
end

return M
