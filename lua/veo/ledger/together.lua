--- Writes that are ready together share a commit: those of orders whose jobs run in the same turn. Methods of the ledger.
--- Nothing here decides about money: a write finds what it would find by itself, and is made by itself where the shared
--- commit fails.
---
--- What an end in between leaves is what a commit for each of them leaves as well:
---   killed before the commit  no intent, and nothing was sent; an order with its answer is `uncertain`, as it was sent
---   killed behind it          intents that may have been sent, so `uncertain`; answers are noted
---   one is refused            it has written nothing; it sees those before it in the line, with their keys and prices
---   one raises, or the ledger is full or gone  nothing is written: each is tried by itself, and gets its own error
---   the ledger is busy        nothing is written, and each gets an error at once: it has waited for the lock already
---   lost at COMMIT            that may have arrived: each is tried by itself, and finds its own row
---   its job is cancelled, or the client closed  it leaves the line, and the end of its call notes what is known

local queues = require "veo.util.queue"

local function is_over(entry) return entry.over end

-- Makes the first writes of the line, as many as a short commit takes. Returns how many have an end by it.
local function share(self, scheduler)
  local line, entries, values = self.line, {}, {}
  local done, err = self:commit(nil, function(db)
    local began = self.now()
    entries, values = {}, {} -- it may run again
    for entry in line:each() do
      local n = #entries + 1
      entries[n], values[n] = entry, entry.write(db)
      if self.now() - began > db.engine.hold then break end
    end
    return true
  end)
  if not done then
    entries, values = {}, {}
    for entry in line:each() do entries[#entries + 1] = entry end
  end
  for i = 1, #entries do
    local entry = entries[i]
    entry.value, entry.err = values[i], err
    entry.over = true -- should an error come before this, it is written once more, which changes nothing
    scheduler:wake(entry, "done")
  end
  while line:first() and line:first().over do line:pop() end
  return #entries
end

local M = {}

---What waits to be written together.
---@return table
function M.line() return queues.new(is_over) end

---@param Ledger veo.Ledger   the class
function M.methods(Ledger)
  ---Makes a write in a commit that the current job shares with others that are ready. It waits for them until the next
  ---turn at most, and not at all where there are none.
  ---@param scheduler veo.Scheduler|nil  nil: it must not wait
  ---@param write fun(db: veo.Database): any  returns a value; may run again, also behind a commit that arrived
  ---@param more fun(): boolean|nil  whether others are ready
  ---@return any|nil value  nil: it is to be made by itself
  ---@return veo.Error|nil err  of the shared commit that failed
  function Ledger:together(scheduler, write, more)
    local line = self.line
    if not scheduler or not scheduler.current or scheduler:cancelling() then return nil end
    if not line:first() and not more() then return nil end
    local entry = { write = write, over = false, since = self.now() }
    function entry.drop()
      entry.over = true
      line:gone()
    end
    scheduler:on_drop(entry)
    line:push(entry)
    local last = not more() and share(self, scheduler) > 1 -- whom those before it precede
    while last or not entry.over do
      scheduler:expect(entry) -- it may have waited before
      scheduler:await(nil, self.now(), entry)
      if not entry.over then share(self, scheduler) end
      last = false
    end
    scheduler:settled(entry)
    return entry.value, entry.err
  end
end

return M
