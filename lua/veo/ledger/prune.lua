--- Pruning: a closed row shrinks to what duplicates and sums need. The key, the task, the price and what was charged,
--- the day and the saved file stay; the body becomes hashes that stand for it in every comparison, so that no key
--- becomes payable again. Open and uncertain rows are left alone. Methods of the ledger.

local ipairs = ipairs
local format = string.format
local max, min = math.max, math.min

local equality = require "veo.ledger.equality"

-- Rows in one commit: a few milliseconds.
local BATCH = 100
-- A charge this young may still be taken back by the client that asked (seconds).
local SETTLED = 24 * 3600

local CLOSED = "('saved', 'failed', 'refused', 'lost')"

-- Closed rows that nobody touched since, after one of them. Only reads.
local function page(db, before, after)
  return db:select(format([[SELECT created, ref, operation, body, result, evidence, veo_tasks.error FROM veo_tasks
    WHERE (created, ref) > (CAST(? AS DOUBLE PRECISION), ?) AND created < ? AND updated < ? AND state IN %s
      AND body NOT LIKE 'sha256:%%' ORDER BY created, ref LIMIT %d]], CLOSED, BATCH),
    db:exact(after and after.created or 0), after and after.ref or "", before, before)
end

local function shrink(db, row, stand_in)
  return db:run("UPDATE veo_tasks SET body = ?, result = NULL, error = NULL, evidence = NULL, owner = NULL, "
    .. "claim = NULL WHERE ref = ? AND state IN " .. CLOSED, stand_in, row.ref)
end

-- Each client that asked for a charge has a row of it; they count once, on the day of the first. That row stays.
local function fold(db, ref, before)
  local rows = db:select("SELECT client, price, at FROM veo_charges WHERE ref = ? ORDER BY day, at, client", ref)
  local price = 0
  for _, row in ipairs(rows) do
    if row.at >= before then return 0 end
    price = max(price, row.price)
  end
  db:run("UPDATE veo_charges SET price = ? WHERE ref = ? AND client = ?", price, ref, rows[1].client)
  return db:run("DELETE FROM veo_charges WHERE ref = ? AND client <> ?", ref, rows[1].client)
end

---@param Ledger veo.Ledger   the class
return function(Ledger)
  ---Shrinks the next rows. `after` is nil when there are no more.
  ---@param before number     epoch seconds: made, and last touched, earlier than that
  ---@param after table|nil   where the last call stopped
  ---@param dry_run boolean|nil
  ---@return { pruned: integer, bytes: integer, after: table|nil }|nil, veo.Error|nil
  function Ledger:prune(before, after, dry_run)
    local rows, err = self:read("prune", function(db) return page(db, before, after) end)
    if not rows then return nil, err end
    local pruned, bytes, stand_ins = #rows, 0, {}
    for i, row in ipairs(rows) do
      stand_ins[i] = equality.stand_in(row.operation, row.body)
      bytes = bytes + #row.body + #(row.result or "") + #(row.error or "") + #(row.evidence or "")
    end
    if rows[1] and not dry_run then
      pruned, err = self:commit("prune", function(db)
        local changed = 0
        for i, row in ipairs(rows) do changed = changed + shrink(db, row, stand_ins[i]) end
        return changed
      end, "bulk_rows")
      if not pruned then return nil, err end
    end
    return { pruned = pruned, bytes = bytes, after = #rows == BATCH and rows[#rows] or nil }
  end

  ---Keeps one row of each old charge. The day's sum stays, and so does that it was ordered.
  ---@return integer|nil folded, veo.Error|nil
  function Ledger:prune_charges(before)
    local found, err = self:read("prune", function(db)
      before = min(before, db:time() - SETTLED)
      return db:select(format([[SELECT ref FROM veo_charges GROUP BY ref HAVING COUNT(*) > 1 AND MAX(at) < ?
        LIMIT %d]], BATCH), before)
    end)
    if not found or not found[1] then return found and 0, err end
    return self:commit("prune", function(db)
      local folded = 0
      for _, row in ipairs(found) do folded = folded + fold(db, row.ref, before) end
      return folded
    end, "bulk")
  end
end
