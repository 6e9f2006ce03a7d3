--- What all orders cost. Methods of the ledger.

local ipairs = ipairs
local floor = math.floor
local format = string.format
local date = os and os.date

local budgets = require "veo.policy.budget"

local DAY = 24 * 3600

-- Orders, and what was charged without one: once, on the day of the client that asked first.
local SUMS = [[SELECT %s CAST(COUNT(*) AS DOUBLE PRECISION) AS orders,
    CAST(COALESCE(SUM(consumed), 0) AS DOUBLE PRECISION) AS consumed,
    CAST(COALESCE(SUM(CASE WHEN consumed IS NULL THEN price END), 0) AS DOUBLE PRECISION) AS reserved,
    CAST(COALESCE(SUM(CASE WHEN consumed IS NULL AND price IS NULL THEN 1 END), 0) AS DOUBLE PRECISION) AS unpriced
  FROM (SELECT day, operation, price, consumed FROM veo_tasks WHERE created >= ? AND state NOT IN ('refused', 'lost')
    UNION ALL SELECT MIN(day) AS day, 'get_1080p' AS operation, MAX(price) AS price,
      CAST(NULL AS DOUBLE PRECISION) AS consumed FROM veo_charges GROUP BY ref HAVING MIN(at) >= ?) AS spent %s]]

local function summed(row)
  return { credits = budgets.rounded(row.consumed + row.reserved), consumed = budgets.rounded(row.consumed),
    reserved = budgets.rounded(row.reserved), orders = floor(row.orders), unpriced = floor(row.unpriced) }
end

---@param Ledger veo.Ledger   the class
return function(Ledger)
  ---@param since number            epoch seconds
  ---@param by "day"|"operation"|nil
  ---@return table|nil, veo.Error|nil
  function Ledger:spent(since, by)
    return self:read("spent", function(db)
      local out = summed(db:select(format(SUMS, "", ""), since, since)[1])
      if not by then return out end
      for i, row in ipairs(db:select(format(SUMS, by .. ",", "GROUP BY " .. by .. " ORDER BY " .. by), since, since)) do
        out[i] = summed(row)
        out[i][by] = by == "day" and date("!%Y-%m-%d", row.day * DAY) or row.operation
      end
      return out
    end)
  end
end
