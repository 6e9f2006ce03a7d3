--- Prunes the ledger in short commits, with room between them for whoever orders.

local ended = require "veo.async.ended"
local errors = require "veo.errors"

local M = {}

local DAY = 24 * 3600

---@param ctx table
---@param options { before: number|nil, days: number|nil, dry_run: boolean|nil }
---@return { pruned: integer, bytes: integer, charges: integer }|nil summary
---@return veo.Error|nil err
function M.prune(ctx, options)
  local now, problem = ctx.ledger:read("prune", function(db) return db:time() end)
  if not now then return nil, problem end
  local before = options.before or now - options.days * DAY
  local sum, began = { pruned = 0, bytes = 0, charges = 0 }, nil
  local function give_way()
    local why = ctx.scheduler:sleep_until(ctx.ledger:turn(began))
    if why == "timeout" then return true end
    return nil, errors.new { code = ended.code(why), operation = "prune",
      message = "prune was " .. why .. "; what was pruned by then stays so" }
  end
  local after
  repeat
    began = ctx.now()
    local found, err = ctx.ledger:prune(before, after, options.dry_run)
    if not found then return nil, err end
    sum.pruned, sum.bytes, after = sum.pruned + found.pruned, sum.bytes + found.bytes, found.after
    local on, stopped = give_way()
    if not on then return nil, stopped end
  until not after
  while not options.dry_run do
    began = ctx.now()
    local folded, err = ctx.ledger:prune_charges(before)
    if not folded then return nil, err end
    if folded == 0 then break end
    sum.charges = sum.charges + folded
    local on, stopped = give_way()
    if not on then return nil, stopped end
  end
  return sum
end

return M
