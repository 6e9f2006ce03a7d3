--- Who holds which open task. A claim holds for its lease and is renewed by a heartbeat; one whose process is provably
--- dead, or whose lease is over, is free. A claim has a token, so that a worker that was cut off notices that it lost
--- it.

local ipairs = ipairs
local format = string.format
local concat = table.concat
local unpack = table.unpack or unpack -- luacheck: ignore

local clocks = require "veo.ledger.clock"
local intents = require "veo.ledger.intents"
local processes = require "veo.ledger.process"

local M = {}

-- Word for word as in the schema: so an index is used.
local OPEN = "('intent', 'accepted', 'done')"

---What dead processes left: which of them hold tasks, and the intents that nobody holds. Only reads.
---@param db veo.Database
---@param me string
---@return { owners: string[], intents: string[] }
function M.left(db, me)
  local clock, left, dead = clocks.read(db), { owners = {}, intents = {} }, {}
  for _, row in ipairs(db:select("SELECT DISTINCT owner FROM veo_tasks WHERE owner IS NOT NULL AND state IN " .. OPEN))
  do
    if row.owner ~= me and processes.dead(row.owner) then
      dead[row.owner] = true
      left.owners[#left.owners + 1] = row.owner
    end
  end
  for _, row in ipairs(db:select([[SELECT ref, owner, lease, boot, boot_lease FROM veo_tasks
    WHERE state IN ('intent', 'accepted', 'done', 'uncertain') AND state = 'intent']])) do
    if clocks.over(row, clock) or row.owner and dead[row.owner] then left.intents[#left.intents + 1] = row.ref end
  end
  return left
end

---Closes such an intent.
function M.close_dead(db, ref)
  local row = db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1]
  return row and intents.close_dead(db, row, clocks.read(db))
end

---Frees tasks that a dead process held.
---@return integer freed  `limit` when there may be more
function M.free(db, owner, limit)
  return db:run(format([[UPDATE veo_tasks SET lease = 0, owner = NULL, claim = NULL WHERE ref IN (
    SELECT ref FROM veo_tasks WHERE owner = ? AND state IN %s AND state <> 'intent' LIMIT %d)]], OPEN, limit), owner)
end

---Renews the lease of everything `me` holds. An intent may be held for longer already: for as long as its exchange
---takes.
---@return integer held
function M.beat(db, me, lease)
  local clock = clocks.read(db)
  local till, up = clock.now + lease, clock.up + lease
  return db:run("UPDATE veo_tasks SET lease = CASE WHEN state = 'intent' AND lease > ? THEN lease ELSE ? END, "
    .. "boot_lease = CASE WHEN state = 'intent' AND boot = ? AND boot_lease > ? THEN boot_lease ELSE ? END, boot = ? "
    .. "WHERE owner = ? AND lease > 0 AND state IN " .. OPEN, till, till, clock.boot, up, up, clock.boot, me)
end

-- Open tasks that nobody holds, or this client itself, and that were not claimed in this round.
local FREE = "state IN ('accepted', 'done') AND task_id IS NOT NULL AND (owner IS NULL OR owner = ? OR " .. clocks.OVER
  .. ") AND (claim IS NULL OR claim NOT LIKE ?)"

---Finds open tasks to claim, oldest first. Only reads: however many there are, nobody waits.
---@param db veo.Database
---@param request { owner: string, round: string }
---@param after { created: number, ref: string }|nil  the last one of the page before
---@param limit integer
---@return { created: number, ref: string }[]
function M.candidates(db, request, after, limit)
  local clock = clocks.read(db)
  return db:select(format([[SELECT created, ref FROM veo_tasks
    WHERE state IN ('intent', 'accepted', 'done', 'uncertain') AND %s
      AND (created, ref) > (CAST(? AS DOUBLE PRECISION), ?) ORDER BY created, ref LIMIT %d]], FREE, limit),
    request.owner, clock.boot, clock.up, clock.now, request.round .. "%", db:exact(after and after.created or 0),
    after and after.ref or "")
end

---Claims those of the candidates that are still free.
---@param db veo.Database
---@param request { owner: string, token: string, lease: number, round: string }
---@param found { ref: string }[]
---@param limit integer  of them
---@return table[] rows
function M.claim(db, request, found, limit)
  local clock, refs, marks = clocks.read(db), {}, {}
  -- One statement for any number of them.
  for i = 1, limit do refs[i], marks[i] = (found[i] or found[1]).ref, "?" end
  marks = concat(marks, ",")
  refs[limit + 1] = request.token
  db:run(format("UPDATE veo_tasks SET %s, owner = ?, claim = ? WHERE %s AND ref IN (%s)", clocks.SET, FREE, marks),
    clock.now + request.lease, clock.boot, clock.up + request.lease, request.owner, request.token,
    request.owner, clock.boot, clock.up, clock.now, request.round .. "%", unpack(refs, 1, limit))
  return db:select(format("SELECT * FROM veo_tasks WHERE ref IN (%s) AND claim = ? ORDER BY created, ref", marks),
    unpack(refs))
end

---A step of a claimed task; 0 when the claim is lost.
---@return integer changed
function M.step(db, ref, token, fields, clock)
  return db:run(format([[UPDATE veo_tasks SET state = ?, result = COALESCE(?, result), error = ?,
    consumed = COALESCE(?, consumed), updated = ?, ended = COALESCE(ended, ?), %s WHERE ref = ? AND claim = ?]],
    clocks.SET), fields.state, fields.result, fields.error, fields.consumed, clock.now, clock.now,
    clock.now + fields.lease, clock.boot, clock.up + fields.lease, ref, token)
end

---Lets a claimed task go: somebody else may take it at once. The round stays, so that this one does not.
function M.release(db, ref, token)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE ref = ? AND claim = ?", ref, token)
end

---Lets go of everything `me` holds. An intent under way keeps its lease.
function M.release_all(db, me)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE owner = ? AND state IN " .. OPEN
    .. " AND state <> 'intent'", me)
end

return M
