--- Orders that were sent again because an answer was lost and the caller allowed it (retry.ambiguous). Each attempt is
--- a row of its own; together they are a family with one key, which is never free while one of them may be paid. A
--- second task of an order belongs to its family.

local ipairs = ipairs
local format, sub = string.format, string.sub

local canonical = require "veo.util.canonical_json"

local M = {}

-- All tries of an order that the caller has repeated. The first that is without an answer keeps the key, so that it never
-- becomes free while one of them may be paid; a task takes it over.
local FAMILY = "(ref = ? OR repeats = ?)"
-- Word for word as in the schema: so an index is used.
local LIVE = "state NOT IN ('refused', 'lost')"

---What forbids another attempt: a task that became known meanwhile. An empty table: nothing does, and an attempt
---without an answer keeps the key. Nil: all were settled as lost.
function M.earlier(db, request)
  local open
  for _, row in ipairs(db:select("SELECT * FROM veo_tasks WHERE " .. FAMILY, request.repeats, request.repeats)) do
    if row.state == "uncertain" then
      open = {}
    elseif row.state ~= "lost" and row.state ~= "refused" then
      return { kind = "earlier", row = row }
    end
  end
  request.keyless = open ~= nil
  return open
end

-- Who has the key: an order that is neither refused nor lost, here or outside of the family.
local function holder_of(db, key)
  return db:select("SELECT ref, repeats, state FROM veo_tasks WHERE intent_key = ? AND " .. LIVE, key)[1]
end

---A task takes its family's key, unless that belongs to another task or another order by now.
function M.take_over(db, ref)
  local row = db:select("SELECT repeats, intent_key FROM veo_tasks WHERE ref = ?", ref)[1]
  if not row or row.intent_key then return end
  local root = row.repeats or ref
  local first = db:select("SELECT intent_key FROM veo_tasks WHERE " .. FAMILY .. " AND intent_key IS NOT NULL", root,
    root)[1]
  if not first then return end
  local holder = holder_of(db, first.intent_key)
  if holder then
    if holder.state ~= "uncertain" and holder.state ~= "intent" then return end
    if holder.ref ~= root and holder.repeats ~= root then return end
    db:run("UPDATE veo_tasks SET intent_key = NULL WHERE ref = ?", holder.ref)
  end
  db:run("UPDATE veo_tasks SET intent_key = ? WHERE ref = ?", first.intent_key, ref)
end

---The key of a lost or refused order goes to another try of it that may be paid: one with a task first, and also one that
---is just on its way.
function M.hand_down(db, ref)
  local row = db:select("SELECT ref, repeats, intent_key FROM veo_tasks WHERE ref = ?", ref)[1]
  if not row or not row.intent_key or holder_of(db, row.intent_key) then return end
  local root = row.repeats or ref
  local heir = db:select("SELECT ref FROM veo_tasks WHERE " .. FAMILY .. " AND intent_key IS NULL AND " .. LIVE
    .. " ORDER BY CASE WHEN state IN ('intent', 'uncertain') THEN 1 ELSE 0 END, created", root, root)[1]
  if heir then db:run("UPDATE veo_tasks SET intent_key = ? WHERE ref = ?", row.intent_key, heir.ref) end
end

-- The same task in two rows ---------------------------------------------------------------------------------------------

local ANSWERED_ELSEWHERE = '{"message":"the service named this task in its answer to another order"}'
local END, FILE = "state, result, error, ended, consumed", "path, size, digest"

local function move(db, columns, from, to)
  db:run(format("UPDATE veo_tasks SET (%s) = (SELECT %s FROM veo_tasks WHERE ref = ?) WHERE ref = ?", columns, columns),
    from, to)
end

---A callback named this order's task for another order before the answer came, and it got a row beside that one. The
---order's own answer decides: what is known of the task moves here, and its price counts once.
function M.reclaim(db, ref, taskId, clock)
  local beside = db:select([[SELECT ref, state, digest FROM veo_tasks WHERE task_id = ? AND ref <> ?
    AND state NOT IN ('uncertain', 'lost', 'refused')]] .. db.engine.lock, taskId, ref)[1] -- steps of a claim take no other
  if not beside or beside.ref ~= sub(beside.ref, 1, -17) .. canonical.hash(taskId) then return end
  if beside.state ~= "accepted" then move(db, END, beside.ref, ref) end
  if beside.digest then move(db, FILE, beside.ref, ref) end
  db:run([[UPDATE veo_tasks SET state = 'lost', owner = NULL, lease = 0, claim = NULL, path = NULL, intent_key = NULL,
    updated = ?, error = ? WHERE ref = ?]], clock.now, ANSWERED_ELSEWHERE, beside.ref)
end

return M
