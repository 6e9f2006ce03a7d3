--- The account's rate window (20 orders in 10 s), shared by all processes of a ledger. The same rule as limiter.window,
--- with the database as its memory and its clock. All of it runs inside a transaction.

local M = {}

-- Without a Retry-After, how long a refusal holds all orders back, as a share of the window.
local REFUSED_SHARE = 0.1

local function hold(db)
  local row = db:select("SELECT value FROM veo_meta WHERE name = 'hold'")[1]
  return row and tonumber(row.value) or 0
end

---Takes a slot and returns 0, or returns the seconds after which to ask again and takes none.
---@param db veo.Database
---@param rate { count: integer, window: number }
---@param now number  epoch seconds, the database's
---@return number
function M.reserve(db, rate, now)
  local held = hold(db) - now
  -- A clock set back must not hold orders for longer than anybody asked.
  if held > 0 and held < 600 then return held end
  db:run("DELETE FROM veo_slots WHERE at <= ? OR at > ?", now - rate.window, now + rate.window)
  local row = db:select("SELECT CAST(COUNT(*) AS DOUBLE PRECISION) AS taken, MIN(at) AS oldest FROM veo_slots")[1]
  if row.taken >= rate.count then return math.max(row.oldest + rate.window - now, 0.01) end
  db:run("INSERT INTO veo_slots (at) VALUES (?)", now)
  return 0
end

---The service refused an order for its rate: holds those of all processes back.
---@param db veo.Database
---@param rate { window: number }
---@param now number
---@param retry_after number|nil
function M.refused(db, rate, now, retry_after)
  local till = now + (retry_after and retry_after > 0 and retry_after or rate.window * REFUSED_SHARE)
  if till <= hold(db) then return end
  local value = ("%.3f"):format(till)
  if db:run("UPDATE veo_meta SET value = ? WHERE name = 'hold'", value) == 0 then
    db:run("INSERT INTO veo_meta (name, value) VALUES ('hold', ?)", value)
  end
end

return M
