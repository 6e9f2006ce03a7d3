--- Who holds tasks: a row for each client that does. Its heartbeat renews that one row, however many tasks it holds. A task
--- is held for as long as its own lease or its holder's goes on, unless the holder's process is provably dead.

local ipairs = ipairs
local format = string.format

local clocks = require "veo.ledger.clock"
local processes = require "veo.ledger.process"

local M = {}

-- Word for word as in the schema: so an index is used.
local HELD = "owner IS NOT NULL AND state IN ('intent', 'accepted', 'done')"

---Renews the row of a client, or makes it.
---@param db veo.Database
---@param me string
---@param clock veo.ledger.Clock
---@param seconds number
function M.beat(db, me, clock, seconds)
  local till, up = clock.now + seconds, clock.up + seconds
  if db:run("UPDATE veo_workers SET " .. clocks.SET .. " WHERE owner = ?", till, clock.boot, up, me) == 0 then
    db:run("INSERT INTO veo_workers (lease, boot, boot_lease, owner) VALUES (?, ?, ?, ?)", till, clock.boot, up, me)
  end
end

---It holds nothing any more.
function M.leave(db, me)
  return db:run("DELETE FROM veo_workers WHERE owner = ?", me)
end

---The clients that are known, and whether each one lives.
---@param db veo.Database
---@param clock veo.ledger.Clock
---@return table<string, boolean> lives  by name
---@return integer count  of the living but `me`
function M.known(db, me, clock)
  local lives, count = {}, 0
  for _, row in ipairs(db:select("SELECT owner, lease, boot, boot_lease FROM veo_workers")) do
    local living = not clocks.over(row, clock) and not processes.dead(row.owner)
    lives[row.owner] = living
    if living and row.owner ~= me then count = count + 1 end
  end
  return lives, count
end

---Whether somebody holds a task: `row` with its lease and owner.
---@param row table
---@param clock veo.ledger.Clock
---@return boolean
function M.holds(db, row, clock)
  if row.owner == nil or processes.dead(row.owner) then return false end
  if not clocks.over(row, clock) then return true end
  local worker = db:select("SELECT lease, boot, boot_lease FROM veo_workers WHERE owner = ?", row.owner)[1]
  return worker ~= nil and not clocks.over(worker, clock)
end

-- From one name to the next in the index: DISTINCT reads every open task.
local OWNERS = format([[WITH RECURSIVE owners (owner) AS (
    SELECT (SELECT owner FROM veo_tasks WHERE %s ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (SELECT owner FROM veo_tasks WHERE owner > owners.owner AND %s ORDER BY owner LIMIT 1) FROM owners
      WHERE owners.owner IS NOT NULL)
  SELECT owner FROM owners WHERE owner IS NOT NULL]], HELD, HELD)

---The names that hold tasks or have an order on its way.
---@return { owner: string }[]
function M.holders(db)
  if db.engine.by_index then db:select(db.engine.by_index) end
  return db:select(OWNERS)
end

---Whether a client that is not known to live holds a task whose own lease is over: an earlier lua-veo's, which is not among
---the workers, and one that has just ordered and not yet made its first heartbeat, have those alone.
function M.has_lapsed(db, owner, clock)
  return db:select("SELECT ref FROM veo_tasks WHERE " .. HELD .. " AND state <> 'intent' AND owner = ? AND "
    .. clocks.OVER .. " LIMIT 1", owner, clock.boot, clock.up, clock.now)[1] ~= nil
end

return M
