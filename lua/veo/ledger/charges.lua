--- What was charged without an order of its own: get_1080p is a question that costs once, has no task, and may be asked
--- again for nothing. It counts in the day's limit like everything else. Methods of the ledger.

local intents = require "veo.ledger.intents"

local DAY = 24 * 3600

local function reserve(db, charge)
  local now = db:time()
  if db:select("SELECT ref FROM veo_charges WHERE ref = ?", charge.ref)[1] then return { kind = "earlier" } end
  if charge.day_limit then
    local spent = intents.spent(db, now)
    if spent + charge.price > charge.day_limit then return { kind = "budget", spent = spent } end
  end
  db:run("INSERT INTO veo_charges (ref, price, day, at) VALUES (?, ?, ?, ?)", charge.ref, charge.price,
    math.floor(now / DAY), now)
  return { kind = "new" }
end

---@param Ledger veo.Ledger   the class
return function(Ledger)
  ---Reserves a price, once for each `ref`, before anything is sent.
  ---@param charge { ref: string, operation: string, price: number, day_limit: number|nil }
  ---@return { kind: "new"|"earlier"|"budget", spent: number|nil }|nil, veo.Error|nil
  function Ledger:charge(charge)
    return self:commit(charge.operation, function(db) return reserve(db, charge) end)
  end

  ---Nothing was ordered after all.
  ---@param ref string
  function Ledger:uncharge(ref)
    return self:note(function(db) return db:run("DELETE FROM veo_charges WHERE ref = ?", ref) end)
  end
end
