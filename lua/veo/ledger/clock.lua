--- When a lease is over. A wall clock may jump by minutes, and a living process's tasks would be taken from it. So on
--- SQLite, whose file is one machine's, a lease holds on the clock of the boot in which it was written; after another boot
--- only the wall clock is left. On PostgreSQL it holds on the server's clock, the same for everybody.

local core = require "veo.core"

local M = {}

---@class veo.ledger.Clock
---@field now number        epoch seconds, the database's
---@field boot string|nil   this boot, on SQLite
---@field up number         seconds of that boot

---@param db veo.Database
---@return veo.ledger.Clock
function M.read(db)
  local up = db.boot and core.boottime()
  return { now = db:time(), boot = up and db.boot or nil, up = up or 0 }
end

---Sets a lease; to be given `now` and `up` with its seconds added, as `now + s, boot, up + s`.
M.SET = "lease = ?, boot = ?, boot_lease = ?"

---Whether a row's lease is over; to be given `boot, up, now`. Who lets a task go sets its lease to 0.
M.OVER = "(lease <= 0 OR CASE WHEN boot = ? THEN boot_lease < ? ELSE lease < ? END)"

---Seconds that the lease of a row still has.
---@param row table
---@param clock veo.ledger.Clock
---@return number  below 0 when it is over
function M.left(row, clock)
  if row.lease <= 0 then return -1 end
  if clock.boot and row.boot == clock.boot then return row.boot_lease - clock.up end
  return row.lease - clock.now
end

---The same as OVER of a row that was read.
---@param row table
---@param clock veo.ledger.Clock
---@return boolean
function M.over(row, clock) return M.left(row, clock) < 0 end

return M
