--- Whose ledger it is: the service's address and a salted hash of the API key are noted in it, never the key itself. Under
--- another address its orders are none, and the same key would pay twice, so that is refused; another API key is told,
--- because keys are rotated.
---
--- The address is noted with the first order, not by a look; and where nothing came of the orders since, as with one that
--- was spelt wrong, another takes its place.

local error, tonumber = error, tonumber
local format = string.format

local address = require "veo.util.address"
local core = require "veo.core"

local M = {}

-- Hashes that guessing one key costs whoever has the ledger; 1.5 ms once a connection.
local ROUNDS = 1000

local function slow_hash(salt, secret)
  local hash = core.digest(salt .. secret)
  for _ = 2, ROUNDS do hash = core.digest(salt .. hash) end
  return hash
end

---What a client brings: nothing of it gives the key away.
---@param base_url string|nil  without one nothing is compared
---@param api_key string|nil
---@return veo.ledger.Account
function M.new(base_url, api_key)
  ---@class veo.ledger.Account
  return { address = base_url and address(base_url), secret = api_key and core.digest(api_key),
    salt = nil, -- the ledger's, once it was seen: a ledger in its place that has another one is another ledger
    last = nil } -- this client's last order in it
end

local function note(db, name, value)
  if db:run("UPDATE veo_meta SET value = ? WHERE name = ?", value, name) == 0 then
    db:run("INSERT INTO veo_meta (name, value) VALUES (?, ?)", name, value)
  end
end

local function noted(db, name)
  local row = db:select("SELECT value FROM veo_meta WHERE name = ?", name)[1]
  return row and row.value
end

-- Raises when orders were made of another address since that was noted. One that was noted with the ledger itself, as
-- before there was an order, has no such time.
local function compare(db, account, theirs)
  theirs = theirs and address(theirs)
  if not theirs or not account.address or theirs == account.address then return theirs ~= nil end
  local since = tonumber(noted(db, "base_url_since")) or 0
  local paid = db:select([[SELECT ref FROM veo_tasks WHERE created >= CAST(? AS DOUBLE PRECISION) AND state <> 'refused'
    UNION ALL SELECT ref FROM veo_charges WHERE at >= CAST(? AS DOUBLE PRECISION) LIMIT 1]], db:exact(since),
    db:exact(since))[1]
  if not paid then return false end
  error({ cause = "account", message = format("it holds orders of %s, and this client orders from %s: give it a ledger "
    .. "of its own, or base_url = %q where both are the same service", theirs, account.address, theirs) }, 0)
end

-- Both in one statement: 10 us an order, where a counter would be another write.
local KEPT = [[SELECT (SELECT value FROM veo_meta WHERE name = 'base_url') AS address,
  (SELECT ref FROM veo_tasks WHERE ref = ?) AS last]]

---Makes an order, inside its transaction. The ledger may have got its address since it was opened; and an earlier copy may
---have been put in its place, in the same file or under the same name, which does not know what was paid since: then the
---client's last order is not there.
---@param db veo.Database
---@param account veo.ledger.Account
---@param make fun(): { kind: string }
function M.order(db, account, make)
  local kept = db:select(KEPT, account.last or "")[1]
  if account.last and not kept.last then
    error({ cause = "gone", message = "this client's last order is not in it any more, so an earlier copy was put in "
      .. "its place: put the newer one back, or make a new client for what stands there now" }, 0)
  end
  local known = kept.address == account.address or not account.address or compare(db, account, kept.address)
  local since = not known and db:time()
  local made = make()
  if since and made.kind == "new" then
    note(db, "base_url", account.address)
    note(db, "base_url_since", format("%.17g", since))
  end
  return made
end

---Compares, and notes what is not there yet but for the address. Inside the transaction that opens the ledger: raises what is refused.
---@param db veo.Database
---@param account veo.ledger.Account
---@param nonce string  the salt of a ledger that has none
---@return string salt  the account's, once this is committed
---@return string|nil warning
function M.check(db, account, nonce)
  local salt, theirs, key = noted(db, "salt"), noted(db, "base_url"), noted(db, "key_hash")
  if account.salt and account.salt ~= salt then
    error({ cause = "gone", message = "another ledger stands in its place since it was opened" }, 0)
  end
  compare(db, account, theirs)
  if not salt then note(db, "salt", nonce) end
  salt = salt or nonce
  local ours = account.secret and slow_hash(salt, account.secret)
  if not ours or key == ours then return salt end
  note(db, "key_hash", ours)
  return salt, key and "the ledger was last used with another API key: a ledger belongs to one account, so if this is "
    .. "another account's key and not a new one of the same, its tasks cannot be found" or nil
end

return M
