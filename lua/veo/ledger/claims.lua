--- Holding tasks: the heartbeat for what this client sees to, and claims on what nobody does. Methods of the ledger.

local canonical = require "veo.ledger.canonical"
local leases = require "veo.ledger.lease"
local list = require "veo.ledger.list"

---@param Ledger veo.Ledger   the class
---@param nonce fun(bytes: integer): string
return function(Ledger, nonce)
  function Ledger:hold()
    local at = self.now() + self.lease / 3
    if at < self.beat_at then self.beat_at = at end
  end

  ---The heartbeat, when it is due: one commit for everything this client holds. False when it could not be made.
  ---@return boolean
  function Ledger:beat()
    if self.now() < self.beat_at then return true end
    self.beat_at = self.now() + self.lease / 3
    local held, err = self:commit(nil, function(db) return leases.beat(db, self.owner, self.lease) end)
    if held then
      if held == 0 then self.beat_at = math.huge end
      return true
    end
    self.beat_at = self.now() + math.min(self.lease / 10, 5)
    if self.log then self.log { event = "ledger", err = err, pending = #self.pending } end
    return false
  end

  ---@param request { limit: integer, since: number, round: string }
  ---@return table[]|nil rows, veo.Error|nil
  function Ledger:claim(request)
    local token = request.round .. "." .. nonce(4)
    local rows, err = self:commit("resume", function(db)
      leases.sweep(db, self.owner)
      return leases.claim(db, { owner = self.owner, token = token, lease = self.lease, limit = request.limit,
        since = db:time() - request.since, round = request.round })
    end)
    if rows and #rows > 0 then self:hold() end
    return rows, err
  end

  ---Steps of claimed tasks, in one commit: for each whether the claim still held. Nil when the ledger is out of reach.
  ---@param entries { row: table, fields: { state: string, status: veo.Status|nil, err: veo.Error|nil, path: string|nil } }[]
  ---@return boolean[]|nil mine, veo.Error|nil
  function Ledger:steps(entries)
    for _, entry in ipairs(entries) do
      local fields = entry.fields
      fields.result = fields.status and canonical.encode(list.kept_status(fields.status)) or nil
      fields.error = fields.err and canonical.encode(list.kept_error(fields.err)) or nil
      fields.lease = self.lease
    end
    return self:commit("resume", function(db)
      local mine = {}
      for i, entry in ipairs(entries) do
        mine[i] = leases.step(db, entry.row.ref, entry.row.claim, entry.fields) == 1
      end
      return mine
    end)
  end

  function Ledger:release(row)
    self.active[row.task_id] = nil
    return self:note(function(db) return leases.release(db, row.ref, row.claim) end)
  end
end
