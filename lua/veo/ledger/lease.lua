--- Who holds which open task. A claim holds for its lease, and for as long as its worker's heartbeat goes on; one whose
--- process is provably dead, or whose leases are over, is free. A claim has a token, so that a worker that was cut off
--- notices that it lost it.
---
--- On PostgreSQL none of this takes the orders' lock (engines.lua), but for closing the intents of the dead. Each statement
--- names its rows by their token or locks them, and passes over those that another one is writing.

local ipairs, pairs = ipairs, pairs
local format, gsub, rep, sub = string.format, string.gsub, string.rep, string.sub
local concat = table.concat
local unpack = table.unpack or unpack -- luacheck: ignore

local clocks = require "veo.ledger.clock"
local intents = require "veo.ledger.intents"
local processes = require "veo.ledger.process"
local workers = require "veo.ledger.workers"

local M = {}

-- Word for word as in the schema: so an index is used.
local OPEN = "('intent', 'accepted', 'done')"

---What dead processes left: which of them hold tasks, and the intents that nobody holds. Only reads.
---@param db veo.Database
---@param me string
---@return { owners: { owner: string, dead: boolean }[], gone: string[], intents: string[], living: integer }  `gone`: workers that hold nothing; `living`: those beside `me`
function M.left(db, me)
  local clock, left, dead = clocks.read(db), { owners = {}, gone = {}, intents = {} }, {}
  local lives, living = workers.known(db, me, clock)
  left.living = living
  for _, row in ipairs(workers.holders(db)) do
    local owner = row.owner
    if owner ~= me and not lives[owner] then
      dead[owner] = processes.dead(owner)
      if dead[owner] or workers.has_lapsed(db, owner, clock) then
        left.owners[#left.owners + 1] = { owner = owner, dead = dead[owner] }
      end
    end
    lives[owner] = true
  end
  for owner, is_held in pairs(lives) do
    if not is_held and owner ~= me then left.gone[#left.gone + 1] = owner end
  end
  for _, row in ipairs(db:select("SELECT ref, owner, lease, boot, boot_lease FROM veo_tasks WHERE state = 'intent'")) do
    if clocks.over(row, clock) or row.owner and dead[row.owner] then left.intents[#left.intents + 1] = row.ref end
  end
  return left
end

---Closes such an intent.
function M.close_dead(db, ref)
  local row = db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1]
  return row and intents.close_dead(db, row, clocks.read(db))
end

---Frees tasks that a dead process held, or one that was not heard of in time: of that one those whose own lease is over.
---@param left { owner: string, dead: boolean }
---@return integer freed  `limit` when there may be more
function M.free(db, left, limit)
  local clock, from, to = clocks.read(db), db.engine.these[1], db.engine.these[2]
  return db:run(format([[UPDATE veo_tasks SET lease = 0, owner = NULL, claim = NULL WHERE ref %s
    SELECT ref FROM veo_tasks WHERE owner = ? AND state IN %s AND state <> 'intent' AND (%d = 1 OR %s) LIMIT %d%s%s]],
    from, OPEN, left.dead and 1 or 0, clocks.OVER, limit, db.engine.skip, to), left.owner, clock.boot, clock.up,
    clock.now)
end

---The heartbeat: renews the lease of `me`, and of its intents, each of which may be held for longer already: for as long
---as its exchange takes.
---@return integer|nil living  workers beside `me`; nil when it holds nothing
function M.beat(db, me, lease)
  local clock = clocks.read(db)
  local till, up = clock.now + lease, clock.up + lease
  db:run("UPDATE veo_tasks SET lease = CASE WHEN lease > ? THEN lease ELSE ? END, "
    .. "boot_lease = CASE WHEN boot = ? AND boot_lease > ? THEN boot_lease ELSE ? END, boot = ? "
    .. "WHERE owner = ? AND lease > 0 AND state = 'intent'", till, till, clock.boot, up, up, clock.boot, me)
  if not db:select("SELECT ref FROM veo_tasks WHERE owner = ? AND state IN " .. OPEN .. " LIMIT 1", me)[1] then
    workers.leave(db, me)
    return nil
  end
  workers.beat(db, me, clock, lease)
  local _, living = workers.known(db, me, clock)
  return living
end

-- Open tasks that nobody holds, or this client itself, and that were not claimed in this round.
local FRESH = "(claim IS NULL OR claim NOT LIKE ?)"
local FREE = "state IN ('accepted', 'done') AND (owner IS NULL OR owner = ?) AND " .. FRESH
-- Each half by an index of its own.
local PAGE = [[SELECT created, ref FROM (SELECT created, ref FROM veo_tasks WHERE %s AND ]] .. FRESH .. [[
  AND (created, ref) > (CAST(? AS DOUBLE PRECISION), ?)
  ORDER BY created, ref LIMIT CAST(CAST(? AS DOUBLE PRECISION) AS BIGINT)%s) AS %s]]

---Finds open tasks to claim, oldest first. On SQLite it only reads: however many there are, nobody waits. On PostgreSQL
---they are locked for this transaction, without those that another one is about to claim.
---@param db veo.Database
---@param request { owner: string, round: string }
---@param after { created: number, ref: string }|nil  the last one of the page before
---@param limit integer
---@return { created: number, ref: string }[]
function M.candidates(db, request, after, limit)
  local skip, round, from, ref = db.engine.skip, request.round .. "%", db:exact(after and after.created or 0),
    after and after.ref or ""
  local found = db:select(format("%s UNION ALL %s ORDER BY created, ref",
    format(PAGE, "owner IS NULL AND state IN ('accepted', 'done')", skip, "unheld"),
    format(PAGE, "owner = ? AND state IN " .. OPEN .. " AND state <> 'intent'", skip, "own")),
    round, from, ref, limit, request.owner, round, from, ref, limit)
  for i = #found, limit + 1, -1 do found[i] = nil end
  return found
end

---Claims those of the candidates that are still free, and notes the worker.
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
  local changed = db:run(format("UPDATE veo_tasks SET %s, owner = ?, claim = ? WHERE %s AND ref IN (%s)", clocks.SET,
    FREE, marks), clock.now + request.lease, clock.boot, clock.up + request.lease, request.owner, request.token,
    request.owner, request.round .. "%", unpack(refs, 1, limit))
  if changed == 0 then return {} end
  workers.beat(db, request.owner, clock, request.lease)
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

-- One step's row among several; the types are PostgreSQL's.
local STEP = "(" .. gsub("TTTTTD", ".", { T = "CAST(? AS TEXT),", D = "CAST(? AS DOUBLE PRECISION)" }) .. ")"

---Steps of claimed tasks in one statement, for PostgreSQL, where each is a round trip: with one for each of 10,000 tasks
---that ended within a minute, three workers took 104 s.
---@param entries { row: table, fields: table }[]
---@param from integer
---@param count integer
---@return table<string, true> changed  by ref
function M.steps(db, entries, from, count, clock)
  local most, first = db.engine.steps, entries[from].fields
  local values, n = { clock.now, clock.now, clock.now + first.lease, clock.boot, clock.up + first.lease }, 5
  for i = 0, most - 1 do -- the same statement for any number of them
    local entry = entries[i < count and from + i or from]
    local fields = entry.fields
    values[n + 1], values[n + 2], values[n + 3] = entry.row.ref, entry.row.claim, fields.state
    values[n + 4], values[n + 5], values[n + 6] = fields.result, fields.error, fields.consumed
    n = n + 6
  end
  local changed = {}
  for _, row in ipairs(db:select(format([[UPDATE veo_tasks AS task SET state = step.state,
    result = COALESCE(step.result, task.result), error = step.why, consumed = COALESCE(step.consumed, task.consumed),
    updated = ?, ended = COALESCE(task.ended, ?), %s
    FROM (VALUES %s) AS step (ref, claim, state, result, why, consumed)
    WHERE task.ref = step.ref AND task.claim = step.claim RETURNING task.ref AS ref]], clocks.SET,
    sub(rep("," .. STEP, most), 2)), unpack(values, 1, n))) do
    changed[row.ref] = true
  end
  return changed
end

---Lets a claimed task go: somebody else may take it at once. The round stays, so that this one does not.
function M.release(db, ref, token)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE ref = ? AND claim = ?", ref, token)
end

---Lets go of everything `me` holds. An intent under way keeps its lease.
function M.release_all(db, me)
  workers.leave(db, me)
  return db:run("UPDATE veo_tasks SET owner = NULL, lease = 0 WHERE owner = ? AND state IN " .. OPEN
    .. " AND state <> 'intent'", me)
end

return M
