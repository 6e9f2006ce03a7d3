--- The account's rate window (20 orders in 10 s), shared by all processes of a ledger. The same rule as limiter.window,
--- with the database as its memory and its clock. All of it runs inside a transaction.

local ipairs, tonumber = ipairs, tonumber
local max, min = math.max, math.min
local format = string.format

local retry = require "veo.policy.retry"

local M = {}

-- A hold is for all orders of all processes: one far Retry-After must not stop them for days.
local LONGEST = retry.retry_after_limit
-- Without a Retry-After, how long a refusal holds all orders back, as a share of the window.
local REFUSED_SHARE = 0.1
-- What a driver may take off an instant (seconds).
local SAME = 0.001
-- How much longer a hold may seem, by clocks that differ (seconds).
local CLOCKS = 1

-- Seconds for which orders are held back. A clock that was set back must not make them more than were asked for: with
-- one ten minutes off, an order stood still for as long.
local function held(db, now)
  local kept = {}
  for _, row in ipairs(db:select("SELECT name, value FROM veo_meta WHERE name IN ('hold', 'hold_for')")) do
    kept[row.name] = tonumber(row.value)
  end
  local left = (kept.hold or 0) - now
  return left > 0 and left <= min(kept.hold_for or LONGEST, LONGEST) + CLOCKS and left or 0
end

local function keep(db, name, value)
  local text = format("%.3f", value)
  if db:run("UPDATE veo_meta SET value = ? WHERE name = ?", text, name) == 0 then
    db:run("INSERT INTO veo_meta (name, value) VALUES (?, ?)", name, text)
  end
end

---Takes a slot and returns 0, or returns the seconds after which to ask again and takes none.
---@param db veo.Database
---@param rate { count: integer, window: number }
---@param now number  epoch seconds, the database's
---@return number
---@return boolean|nil held  because the service said so
function M.reserve(db, rate, now)
  local left = held(db, now)
  if left > 0 then return left, true end
  db:run("DELETE FROM veo_slots WHERE at <= ? OR at > ?", now - rate.window, now + rate.window)
  local row = db:select("SELECT CAST(COUNT(*) AS DOUBLE PRECISION) AS taken, MIN(at) AS oldest FROM veo_slots")[1]
  if row.taken >= rate.count then return max(row.oldest + rate.window - now, 0.01) end
  db:run("INSERT INTO veo_slots (at) VALUES (?)", now)
  return 0
end

---An order of which nothing left: the service knows nothing of it, so its slot is another's.
---@param taken number  when it was taken
function M.give_back(db, taken)
  local row = db.kind == "sqlite" and "rowid" or "ctid"
  db:run(format("DELETE FROM veo_slots WHERE %s = (SELECT %s FROM veo_slots WHERE at >= ? AND at <= ? LIMIT 1)", row,
    row), taken - SAME, taken + SAME)
end

---The service refused an order for its rate: holds those of all processes back.
---@param db veo.Database
---@param rate { window: number }
---@param now number
---@param retry_after number|nil
function M.refused(db, rate, now, retry_after)
  local seconds = min(retry_after and retry_after > 0 and retry_after or rate.window * REFUSED_SHARE, LONGEST)
  if seconds <= held(db, now) then return end
  keep(db, "hold", now + seconds)
  keep(db, "hold_for", seconds)
end

return M
