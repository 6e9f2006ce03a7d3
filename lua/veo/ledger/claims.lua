--- Holding orders and tasks: the heartbeat for what this client holds, the last check before an order is sent, and
--- claims on what nobody holds. Methods of the ledger.

local ipairs, next = ipairs, next
local huge, max, min = math.huge, math.max, math.min

local canonical = require "veo.util.canonical_json"
local clocks = require "veo.ledger.clock"
local errors = require "veo.errors"
local files = require "veo.ledger.files"
local intents = require "veo.ledger.intents"
local leases = require "veo.ledger.lease"
local row_forms = require "veo.ledger.rows"
local workers = require "veo.ledger.workers"

-- Rows written in one commit: an order of another process waits a few milliseconds for it.
local BATCH = 100

---@param Ledger veo.Ledger   the class
---@param nonce fun(bytes: integer): string
return function(Ledger, nonce)
  ---When the next one of many commits may be made, so that other processes can order in between.
  ---@param began number  when the last one did
  ---@param gather boolean|nil  also where nobody waits for it: what comes meanwhile shares the next one. With one commit
  ---  behind the other, where a disk takes 40 ms for each, three workers told 10,000 ends up to 84 s late, 3 a commit
  ---@return number
  function Ledger:turn(began, gather)
    local now, room = self.now(), self.db.engine.room
    return (gather or room > 0) and now + max(room, now - began) or now
  end

  function Ledger:hold()
    local at = self.now() + self.lease / 3
    if at < self.beat_at then self.beat_at = at end
  end

  ---Has the heartbeat keep an order for as long as the client steps, however long it waits.
  ---@param what string
  function Ledger:tend(what)
    self.tended[what] = true
    self:hold()
  end

  ---When the next heartbeat is due for what is tended.
  ---@return number
  function Ledger:due()
    return next(self.tended) and self.beat_at or huge
  end

  local function closed(request)
    return errors.new { code = "ledger", operation = request.operation, sent = "no", cause = "lost",
      message = request.operation .. ": another process closed this intent in the ledger while it waited" }
  end

  ---A slot for the next attempt: seconds to wait, 0 to go.
  ---@return number|nil wait, veo.Error|nil
  function Ledger:reserve(request)
    local wait, err = self:commit(request.operation, function(db) return intents.reserve(db, request) or -1 end)
    if wait ~= -1 then return wait, err end
    return nil, closed(request)
  end

  ---Whether an order that waited for a connection is still to be sent: nobody settled it meanwhile, or took its process
  ---for dead.
  ---@return true|nil, veo.Error|nil
  function Ledger:confirm(request)
    local changed, err = self:commit(request.operation, function(db)
      return intents.keep(db, request, clocks.read(db), 1)
    end)
    if changed == 1 then return true end
    return nil, err or closed(request)
  end

  ---The heartbeat, when it is due: one commit for everything that this client holds. False when it failed.
  ---@return boolean
  function Ledger:beat()
    if self.now() < self.beat_at then return true end
    self.beat_at = self.now() + self.lease / 3
    local living, err = self:commit(nil, function(db)
      return leases.beat(db, self.owner, self.lease) or false
    end, "row")
    if living ~= nil then
      self.share(living and living + 1 or 1) -- who holds nothing is not counted by the others either
      if not living then self.beat_at = huge end
      return true
    end
    self.beat_at = self.now() + min(self.lease / 10, 5)
    if self.log then self.log { event = "ledger", err = err, pending = #self.pending } end
    return false
  end

  -- Closes the intents of dead processes. What else they left is for `sweep`.
  local function close_dead(self, operation)
    local left, err = self:read(operation, function(db) return leases.left(db, self.owner) end)
    if not left then return nil, err end
    self.share(left.living + 1)
    for from = 1, #left.intents, BATCH do
      local done
      done, err = self:commit(operation, function(db)
        for i = from, min(from + BATCH - 1, #left.intents) do leases.close_dead(db, left.intents[i]) end
        return true
      end, "bulk")
      if not done then return nil, err end
    end
    return left
  end

  ---Closes the intents of dead processes.
  ---@return true|nil, veo.Error|nil
  function Ledger:close_dead(operation)
    local left, err = close_dead(self, operation)
    return left and true, err
  end

  ---Frees what the dead held, so that whoever has room may claim it: one commit a call.
  ---@return integer|nil freed  0 when nothing is left
  ---@return veo.Error|nil err
  local function sweep(self)
    local left, err = close_dead(self, "resume")
    if not left then return nil, err end
    for _, owner in ipairs(left.owners) do
      local freed
      freed, err = self:commit("resume", function(db) return leases.free(db, owner, BATCH) end, "bulk_rows")
      if freed ~= 0 then return freed, err end
    end
    if left.gone[1] then
      self:note(function(db)
        for _, owner in ipairs(left.gone) do workers.leave(db, owner) end
        return true
      end, "bulk_rows")
    end
    return 0
  end

  -- On SQLite one that looks makes no writer wait; PostgreSQL locks what it finds, and nothing else.
  local function take(self, request)
    local limit, after, found, rows, err = min(request.limit, BATCH), request.after, nil
    local function find(db) return leases.candidates(db, request, after, limit) end
    request.after = nil
    local apart = self.db.kind == "sqlite"
    if apart then
      found, err = self:read("resume", find)
      if not found or not found[1] then return found, err end
    end
    rows, err = self:commit("resume", function(db)
      if not apart then found = find(db) end
      return found[1] and leases.claim(db, request, found, BATCH) or {}
    end, "bulk_rows")
    request.after = rows and #found == limit and found[#found] or nil
    return rows, err
  end

  ---Claims open tasks, oldest first, after what the dead held was freed. Looking for them holds nobody up; only taking them
  ---does, for some milliseconds. One commit a call: `request.more` says that there is something left for the next one. With
  ---a `limit` of 0 it only frees: whoever has no room sees to it that others may take over.
  ---@param request { limit: integer, round: string, after: table|nil, more: boolean|nil, rest: boolean|nil }  `rest`: something was there when there was no room for it
  ---@return table[]|nil rows, veo.Error|nil
  function Ledger:claim(request)
    local freed, err = sweep(self)
    request.more = freed ~= nil and freed > 0
    if request.more then request.after, request.rest = nil, true end -- they may be older
    if freed ~= 0 or request.limit < 1 then return freed and {}, err end
    request.owner, request.token, request.lease = self.owner, request.round .. "." .. nonce(4), self.lease
    request.more, request.rest = false, false
    local rows, problem = take(self, request)
    request.more = rows ~= nil and request.after ~= nil
    request.rest = request.more
    if rows and rows[1] then self:hold() end
    return rows, problem
  end

  local function encode(self, fields)
    fields.result = fields.status and canonical.encode(row_forms.kept_status(fields.status)) or nil
    fields.error = fields.err and canonical.encode(row_forms.kept_error(fields.err)) or nil
    fields.consumed = fields.status and fields.status.creditsConsumed
    fields.lease = self.lease
  end

  -- The next of them, as many as one statement makes. With a file it is one: its name may be another task's.
  local function make_steps(db, entries, mine, limit, clock)
    local from, count = #mine + 1, 0
    while count < db.engine.steps and from + count <= limit and not entries[from + count].fields.file do
      count = count + 1
    end
    if count > 1 then
      local changed = leases.steps(db, entries, from, count, clock)
      for i = from, from + count - 1 do mine[i] = changed[entries[i].row.ref] or false end
      return
    end
    local entry = entries[from]
    local row, fields = entry.row, entry.fields
    local held = leases.step(db, row.ref, row.claim, fields, clock) == 1
    entry.held = held and fields.file
      and files.note(db, row.task_id, fields.file, "ref = ?", row.ref, clock).held
    mine[from] = held
  end

  ---Steps of claimed tasks, as many of the first ones as a short commit takes: for each whether the claim still held. Nil
  ---when the ledger is out of reach; all of them may then be made again.
  ---@param entries { row: table, fields: { state: string, status: veo.Status|nil, err: veo.Error|nil, file: table|nil } }[]
  ---@param limit integer
  ---@return boolean[]|nil mine, veo.Error|nil
  function Ledger:steps(entries, limit)
    local kind = "bulk_rows"
    for i = 1, limit do
      if not entries[i].fields.lease then encode(self, entries[i].fields) end
      if entries[i].fields.file then kind = "bulk" end -- whose name it is, orders decide as well
    end
    return self:commit("resume", function(db)
      local clock, began, mine = clocks.read(db), self.now(), {}
      repeat make_steps(db, entries, mine, limit, clock) until #mine == limit or self.now() - began > db.engine.hold
      return mine
    end, kind)
  end

  function Ledger:release(row)
    return self:note(function(db) return leases.release(db, row.ref, row.claim) end, "row")
  end
end
