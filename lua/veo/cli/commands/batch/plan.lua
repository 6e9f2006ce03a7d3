--- Which rows of a batch are ordered: not those that the ledger has, and no more than the credits allow.

local phrases = require "veo.cli.phrases"
local targets = require "veo.cli.target"

local M = {}

-- The order under a key; false when there is none.
local function standing(client, key)
  local found, err = client:tasks { key = key }
  if not found then return nil, err end
  for i = #found, 1, -1 do
    if found[i].state ~= "refused" and found[i].state ~= "lost" then return found[i] end
  end
  return false
end

local function cost_of(record) return record and (record.consumed or record.price) or 0 end

-- The row's last order. One whose task failed may have been made again, under a key that nobody gives: were it "a.2", it
-- could be another row's.
local function find(client, row, again)
  local base, n, cost = row.key, 1, 0
  local record, err = standing(client, base)
  while record and record.state == "failed" do
    local key = ("%s (repeat %d)"):format(base, n)
    local later
    later, err = standing(client, key)
    if later == nil then return nil, err end
    if not later and not again then break end
    n, cost, row.key, record = n + 1, cost + cost_of(record), key, later
  end
  if record == nil then return nil, err end
  row.record = record or nil
  -- By a key that follows from what is asked for, another callback or a default that is spelt out is the same order.
  if record and row.own_key == nil and record.api == "veo" and next(record.params) then row.params = record.params end
  return cost + cost_of(record)
end

-- Why a video cannot be saved where it is to be; of a pattern, whether its folder takes a file.
local function unwritable(client, row, force, known)
  local target = targets.new { output = row.output }
  if row.output:find("{%w+}.*/") then return nil end -- which folder is not known yet
  if known[row.output] ~= nil then return known[row.output] end
  local fine, err = client:check_path(target:probe() or row.output, { overwrite = force, mkdir = true })
  local problem = not fine and "output: " .. phrases.message(err)
  known[row.output] = problem
  return problem
end

-- What the limit leaves no room for.
local function passes(plan, row, limit)
  if not limit then return nil end
  if not row.price then return "its price is not known, so --max-credits cannot be kept" end
  if plan.spent + plan.price + row.price <= limit then return nil end
  return ("its %.10g credits would pass --max-credits %.10g"):format(row.price, limit)
end

---@class veo.cli.batch.Plan
---@field before integer    rows that were ordered before
---@field new integer       rows to order
---@field price number      what those cost, as far as it is known
---@field unpriced integer  those of them whose price is not known
---@field spent number      what the earlier orders cost

---Looks each row up in the ledger. A row that would pass the limit, or cannot be saved, gets a problem.
---@param client veo.Client
---@param rows veo.cli.batch.Row[]
---@param args { max_credits: number|nil, repeat_failed: boolean|nil, force: boolean|nil }  credits over all runs; those whose task failed are ordered again
---@return veo.cli.batch.Plan|nil, veo.Error|nil err
function M.plan(client, rows, args)
  local plan = { before = 0, new = 0, price = 0, unpriced = 0, spent = 0 }
  local new, known = {}, {}
  for _, row in ipairs(rows) do
    if not row.problem then
      local cost, err = find(client, row, args.repeat_failed)
      if not cost then return nil, err end
      plan.spent = plan.spent + cost
      if row.record then plan.before = plan.before + 1 else new[#new + 1] = row end
    end
  end
  for _, row in ipairs(new) do
    row.problem = unwritable(client, row, args.force, known) or nil
    local over = not row.problem and passes(plan, row, args.max_credits)
    if over then
      row.problem, row.over = over, true
    elseif not row.problem then
      plan.new, plan.price = plan.new + 1, plan.price + (row.price or 0)
      if not row.price then plan.unpriced = plan.unpriced + 1 end
    end
  end
  return plan
end

---The plan in a line.
---@param plan veo.cli.batch.Plan
---@param credits number|nil  what the account has
---@return string
function M.words(plan, credits)
  local parts = { phrases.count(plan.new, "row") .. " to order" }
  if plan.before > 0 then parts[2] = plan.before .. " ordered before" end
  local text = table.concat(parts, ", ")
  if plan.price > 0 then text = ("%s: %.10g credits"):format(text, plan.price) end
  if plan.unpriced > 0 then text = ("%s (of %d the price is not known)"):format(text, plan.unpriced) end
  if not credits then return text end
  return ("%s; the account has %.10g%s"):format(text, credits, credits < plan.price and ", too few for all" or "")
end

return M
