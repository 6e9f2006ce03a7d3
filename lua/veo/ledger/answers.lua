--- What the ledger says when it is asked. Methods of the ledger.

local intents = require "veo.ledger.intents"
local leases = require "veo.ledger.lease"
local list = require "veo.ledger.list"

---@param Ledger veo.Ledger   the class
return function(Ledger)
  ---The ledger's records that fit, oldest first; intents of dead processes get their last word before.
  ---@return veo.Record[]|nil, veo.Error|nil
  function Ledger:tasks(filter)
    return self:commit("tasks", function(db)
      leases.sweep(db, self.owner)
      return list.tasks(db, filter)
    end)
  end

  ---One record, or false.
  ---@return veo.Record|false|nil, veo.Error|nil
  function Ledger:find(filter)
    local found, err = self:commit("tasks", function(db) return list.tasks(db, filter) end)
    if not found then return nil, err end
    return found[#found] or false
  end

  ---One row as it is now, its intent buried when its process is dead.
  ---@return table|false|nil row, veo.Error|nil
  function Ledger:row(ref)
    return self:commit("tasks", function(db)
      local row = db:select("SELECT * FROM veo_tasks WHERE ref = ?", ref)[1]
      if row then row.state = intents.bury(db, row, db:time()) end
      return row or false
    end)
  end

  ---@return string|false|nil what  nil when the ledger cannot be read
  function Ledger:is_upgraded(taskId)
    return (self:commit(nil, function(db)
      local row = db:select("SELECT what FROM veo_upgrades WHERE task_id = ?", taskId)[1]
      return row and row.what or false
    end))
  end

  ---Credits reserved or spent today (UTC).
  ---@return number|nil, veo.Error|nil
  function Ledger:spent_today()
    return self:commit("budget", function(db) return intents.spent(db, db:time()) end)
  end
end
