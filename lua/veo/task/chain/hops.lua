--- Which order in the ledger is which hop of a chain. A hop's key follows from what is asked for up to that hop, and
--- not from how, so that the same chain finds it, and so does one whose later hops were edited.

local ipairs, select = ipairs, select
local format = string.format

local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"

local M = {}

local function hash(value)
  return canonical.hash(canonical.encode(value))
end

-- The name by the rule of earlier versions, in which the family and spelt-out defaults counted. `given`: the checked
-- hops.
local function older(family, taskId, given, n)
  local before = {}
  for i = 1, n do before[i] = given[i] end
  return hash { api = family, taskId = taskId, hops = before }
end

---The names that each hop may have in the ledger; an order gets the first one.
---@param taskId string      the source
---@param hops table[]       the order of each hop
---@param key string|nil     the caller's; the first hop under it is one order, whatever its later hops are
---@return string[][]
function M.names(taskId, hops, key)
  local names, before = {}, {}
  for n, hop in ipairs(hops) do
    before[n] = equality.essence("extend", hop)
    before[n].taskId = nil
    if not key then
      names[n] = { hash { taskId = taskId, hops = before }, older("veo", taskId, hops, n),
        older("jobs", taskId, hops, n) }
    elseif n == 1 then
      names[n] = { key }
    else
      names[n] = { key .. ":" .. hash { taskId = taskId, hops = before }, key }
    end
  end
  return names
end

---The key of a hop's first, second, … order.
---@return string
function M.key(name, n, again)
  return format("chain:%s/%d%s", name, n, again > 1 and "." .. again or "")
end

local function live(ledger, key)
  local record = ledger:find { key = key }
  return record and record.state ~= "refused" and record.state ~= "lost" and record or nil
end

---The last order of a hop that is in the ledger. One that failed may have been made again.
---@param ledger veo.Ledger
---@param names string[]
---@param n integer
---@param order table  with its source
---@return string name, integer again
---@return veo.Record|nil record  nil when there is none
function M.find(ledger, names, n, order)
  local wanted = equality.spelling("extend", order)
  for _, name in ipairs(names) do
    local record, again = live(ledger, M.key(name, n, 1)), 1
    if record and equality.asks(record, wanted) then
      local more = record
      while more and more.state == "failed" do
        more = live(ledger, M.key(name, n, again + 1))
        if more then record, again = more, again + 1 end
      end
      return name, again, record
    end
  end
  return names[1], 1, nil
end

---The last hop's order, when all up to there are in the ledger.
---@param hops table[]  each gets its source
---@return veo.Record|nil
function M.last(ledger, names, hops, source)
  local record
  for n, hop in ipairs(hops) do
    hop.taskId = source
    record = select(3, M.find(ledger, names[n], n, hop))
    if not record or not record.taskId then return nil end
    source = record.taskId
  end
  return record
end

---Every hop is contained in the last one: nothing is left for resume to save.
---@param ledger veo.Ledger
---@param hops { ref: string }[]
function M.close(ledger, hops)
  local refs = {}
  for n = 1, #hops - 1 do refs[n] = hops[n].ref end
  ledger:contained(refs)
end

return M
