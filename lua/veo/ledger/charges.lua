--- What was charged without an order of its own: get_1080p is a question that costs once, has no task, and may be asked
--- again for nothing. It counts in the day's limit like everything else. Beside it, what was upgraded. Methods of the
--- ledger.

local ipairs = ipairs
local floor, min = math.floor, math.min

local accounts = require "veo.ledger.account"
local alike = require "veo.ledger.alike"
local budgets = require "veo.policy.budget"
local canonical = require "veo.util.canonical_json"
local clocks = require "veo.ledger.clock"
local intents = require "veo.ledger.intents"

local DAY = 24 * 3600

local function reserve(db, charge, client)
  local clock = clocks.read(db)
  local now = clock.now
  local mine, others = false, false
  local day = floor(now / DAY)
  for _, row in ipairs(db:select("SELECT client, day FROM veo_charges WHERE ref = ?", charge.ref)) do
    if row.client == client then mine = true else others = true end
    day = min(day, row.day) -- that of the first who asked, also when that one was refused
  end
  if not others and not mine then
    local row = intents.standing(db, charge.order, clock) -- the other family has it as an order
    if row then return { kind = "order", row = row } end
    local spent = charge.day_limit and intents.spent(db, now)
    if spent and budgets.passes(spent, charge.price, charge.day_limit) then return { kind = "budget",
      spent = spent } end
  end
  -- The commit of a first try may have arrived although its answer did not.
  if not mine then
    db:run("INSERT INTO veo_charges (ref, client, price, day, at) VALUES (?, ?, ?, ?, ?)", charge.ref, client,
      charge.price, day, now)
  end
  local upgraded = others and db:select("SELECT what FROM veo_upgrades WHERE task_id = ?",
    canonical.name(charge.taskId))[1]
  return { kind = others and "earlier" or "new", ordered = upgraded and upgraded.what == "1080P" }
end

---@param Ledger veo.Ledger   the class
---@param is_unsure fun(err: veo.Error): boolean  whether a commit that failed so may have arrived
return function(Ledger, is_unsure)
  ---Reserves a price, once for each `ref`, before anything is sent. Each client that asks has a row of its own, so that one
  ---that was refused takes nothing away from another.
  ---@param charge { ref: string, operation: string, api: string, body: table, taskId: string, price: number, day_limit: number|nil }
  ---@return { kind: "new"|"earlier"|"order"|"budget", ordered: boolean|nil, row: table|nil, spent: number|nil }|nil found  `row`: the same is an order, which is to be joined
  ---@return veo.Error|nil err
  function Ledger:charge(charge)
    charge.order = alike.order(charge.operation, charge.api, charge.body)
    charge.ref = canonical.name(charge.ref)
    local found, err = self:commit(charge.operation, function(db)
      return accounts.order(db, self.account, function() return reserve(db, charge, self.client) end)
    end)
    if not found and is_unsure(err) then self:uncharge(charge.ref) end -- nothing will be sent
    return found, err
  end

  ---This client ordered nothing after all.
  ---@param ref string
  function Ledger:uncharge(ref)
    local client = self.client
    ref = canonical.name(ref)
    return self:note(function(db)
      return db:run("DELETE FROM veo_charges WHERE ref = ? AND client = ?", ref, client)
    end)
  end

  ---Notes a paid upgrade: an upgraded video cannot be extended any more.
  function Ledger:upgraded(taskId, what)
    taskId = canonical.name(taskId)
    return self:note(function(db)
      if db:select("SELECT task_id FROM veo_upgrades WHERE task_id = ?", taskId)[1] then return 0 end
      return db:run("INSERT INTO veo_upgrades (task_id, what, at) VALUES (?, ?, ?)", taskId, what, db:time())
    end)
  end
end
