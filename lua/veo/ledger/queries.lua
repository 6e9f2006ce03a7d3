--- Reads of the ledger. None of them makes a writer wait: they take no lock, read a page at a time, and write only to
--- close the intents of dead processes. Methods of the ledger.

local ipairs = ipairs
local floor, huge, min = math.floor, math.huge, math.min
local format = string.format
local date = os and os.date

local alike = require "veo.ledger.alike"
local budgets = require "veo.policy.budget"
local canonical = require "veo.util.canonical_json"
local clocks = require "veo.ledger.clock"
local intents = require "veo.ledger.intents"
local rows = require "veo.ledger.rows"

-- Rows read at once: some 600 KiB of records.
local PAGE = 200

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
  ---One read of one state of the database; writes that failed earlier are made before.
  ---@param operation string|nil
  ---@param fn fun(db: veo.Database): any
  function Ledger:read(operation, fn)
    if self.pending[1] then return self:commit(operation, fn) end
    local value, problem = self.db:transaction(fn, "reading")
    if self.closed then self.db:disconnect() end
    if value == nil then return nil, self:error(problem, operation) end
    return value
  end

  ---Iterates over the records that fit, oldest first. What a page brings is as it was then; no record comes twice.
  ---@param filter table|nil
  ---@return nil|fun(): veo.Record|false|nil, veo.Error|nil each  false and an error where it cannot go on
  ---@return veo.Error|nil err
  function Ledger:each(filter)
    local closed, problem = self:close_dead("tasks")
    if not closed then return nil, problem end
    local page, at, left, size = {}, 0, filter and filter.limit or huge, 0
    local function turn()
      size = min(PAGE, left)
      local found, err = self:read("tasks", function(db) return rows.page(db, filter, page[#page], size) end)
      if found then page, at, left = found, 0, left - #found end
      return found, err
    end
    local first, err = turn()
    if not first then return nil, err end
    return function()
      if at == #page and #page == size and left > 0 then
        local more, why = turn()
        if not more then
          left = 0
          return false, why
        end
      end
      at = at + 1
      return page[at]
    end
  end

  ---The ledger's records that fit, oldest first, all of them; intents of dead processes are closed before.
  ---@return veo.Record[]|nil, veo.Error|nil
  function Ledger:tasks(filter)
    local out = {}
    local each, err = self:each(filter)
    if not each then return nil, err end
    for record, problem in each do
      if not record then return nil, problem end
      out[#out + 1] = record
    end
    return out
  end

  ---The newest record that fits, or false.
  ---@return veo.Record|false|nil, veo.Error|nil
  function Ledger:find(filter)
    return self:read("tasks", function(db) return rows.newest(db, filter) or false end)
  end

  ---One row as it is now; an intent whose process is dead is closed before.
  ---@return table|false|nil row, veo.Error|nil
  function Ledger:row(ref)
    local function look(db) return db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1] or false end
    local row, err = self:read("tasks", look)
    if not row or row.state ~= "intent" then return row, err end
    return self:commit("tasks", function(db)
      row = look(db)
      if row then row.state = intents.close_dead(db, row, clocks.read(db)) end
      return row
    end)
  end

  ---Rows of the same order that have a task, latest first.
  ---@param order veo.ledger.Order
  ---@return table[]|nil, veo.Error|nil
  function Ledger:alike(order)
    return self:read(order.operation, function(db)
      return alike.rows(db, order, "task_id IS NOT NULL AND state IN ('accepted', 'done', 'saved')")
    end)
  end

  ---How many open orders others hold, and how many of this client's are on their way.
  ---@return { others: integer, mine: integer }|nil, veo.Error|nil
  function Ledger:count_held()
    return self:read("resume", function(db)
      local held = db:select([[SELECT
        CAST(COALESCE(SUM(CASE WHEN owner <> ? THEN 1 END), 0) AS DOUBLE PRECISION) AS others,
        CAST(COALESCE(SUM(CASE WHEN owner = ? AND state = 'intent' THEN 1 END), 0) AS DOUBLE PRECISION) AS mine
        FROM veo_tasks WHERE owner IS NOT NULL AND state IN ('intent', 'accepted', 'done')]], self.owner,
        self.owner)[1]
      return { others = floor(held.others), mine = floor(held.mine) }
    end)
  end

  ---What all orders cost.
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

  ---@return string|false|nil what  nil when the ledger cannot be read
  function Ledger:is_upgraded(taskId)
    return (self:read(nil, function(db)
      local row = db:select("SELECT what FROM veo_upgrades WHERE task_id = ?", canonical.name(taskId))[1]
      return row and row.what or false
    end))
  end

  ---Reads all of the ledger, on the calling thread.
  ---@return true|nil, veo.Error|nil
  function Ledger:check()
    local ok, problem = self.db:check()
    if ok then return true end
    return nil, self:error(problem, "check_ledger")
  end
end
