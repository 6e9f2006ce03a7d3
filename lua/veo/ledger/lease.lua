--- Who sees to which open task. A claim holds for its lease and is kept by a heartbeat; one whose process is dead, or
--- whose lease has passed, is free. A claim has a token, so that a worker that was cut off finds out that it lost it.

local intents = require "veo.ledger.intents"
local owners = require "veo.ledger.owner"

local M = {}

local OPEN = "('intent', 'accepted', 'done')"

---Gives every intent without a living process its last word, and frees what the dead held.
---@param db veo.Database
---@param me string
---@return integer buried
function M.sweep(db, me)
  local now, buried = db:time(), 0
  for _, row in ipairs(db:select("SELECT DISTINCT owner FROM veo_tasks WHERE owner IS NOT NULL AND state IN " .. OPEN))
  do
    if row.owner ~= me and owners.dead(row.owner) then
      db:run([[UPDATE veo_tasks SET lease = 0, owner = NULL, claim = NULL WHERE owner = ? AND state <> 'intent']],
        row.owner)
      db:run("UPDATE veo_tasks SET lease = 0 WHERE owner = ? AND state = 'intent'", row.owner)
    end
  end
  for _, row in ipairs(db:select("SELECT * FROM veo_tasks WHERE state = 'intent' AND lease < ?", now)) do
    if intents.bury(db, row, now) ~= "intent" then buried = buried + 1 end
  end
  return buried
end

---Keeps everything `me` holds. An intent may be held for longer already, as long as its exchange may take.
---@return integer held
function M.beat(db, me, lease)
  local till = db:time() + lease
  return db:run("UPDATE veo_tasks SET lease = CASE WHEN state = 'intent' AND lease > ? THEN lease ELSE ? END "
    .. "WHERE owner = ? AND lease > 0 AND state IN " .. OPEN, till, till, me)
end

---Claims up to `limit` open tasks, oldest first: those nobody sees to. Own ones too when `token` is not theirs.
---@param db veo.Database
---@param request { owner: string, token: string, lease: number, limit: integer, since: number, round: string, own: boolean }
---@return table[] rows
function M.claim(db, request)
  local now = db:time()
  -- SKIP LOCKED: a row that another worker is just claiming is not waited for.
  db:run(([[UPDATE veo_tasks SET owner = ?, claim = ?, lease = ? WHERE ref IN (
    SELECT ref FROM veo_tasks WHERE state IN ('accepted', 'done') AND task_id IS NOT NULL AND created > ?
      AND (lease < ? OR owner IS NULL OR owner = ?) AND (claim IS NULL OR claim NOT LIKE ?)
    ORDER BY created LIMIT %d%s)]]):format(request.limit, db.skip_locked),
    request.owner, request.token, now + request.lease, request.since, now, request.owner, request.round .. "%")
  return db:select("SELECT * FROM veo_tasks WHERE claim = ? AND state IN ('accepted', 'done') ORDER BY created",
    request.token)
end

---A step of a claimed task; 0 when the claim is lost.
---@return integer changed
function M.step(db, ref, token, fields)
  local now = db:time()
  return db:run([[UPDATE veo_tasks SET state = ?, result = COALESCE(?, result), error = ?, path = COALESCE(?, path),
    updated = ?, lease = ? WHERE ref = ? AND claim = ?]], fields.state, fields.result, fields.error,
    db:file_name(fields.path), now, now + fields.lease, ref, token)
end

---Lets a claimed task go: somebody else may take it at once. The round stays, so that this one does not.
function M.release(db, ref, token)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE ref = ? AND claim = ?", ref, token)
end

---Lets go of everything `me` holds. An intent under way keeps its lease.
function M.release_all(db, me)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE owner = ? AND state IN ('accepted', 'done')", me)
end

return M
