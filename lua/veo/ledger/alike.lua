--- Finds the rows that are the same order. Most orders are known by their text, in one family. An upgrade is known by what
--- it asks for, whichever family it was made over and wherever it is called back: its hash is that of what it asks for.

local ipairs = ipairs

local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"

local M = {}

---@class veo.ledger.Order
---@field operation string
---@field api string
---@field body string          its text
---@field hash string          to look it up by
---@field older string[]|nil   of an upgrade: what the same had as hash before, by its text, and with its defaults spelt out
---@field question string|nil  of a 1080P version: the charge that asks for the same

---An order as the ledger knows it.
---@param operation string
---@param api string
---@param body table
---@return veo.ledger.Order
function M.order(operation, api, body)
  local text = canonical.encode(body)
  local order = { operation = operation, api = api, body = text }
  if not equality.is_once(operation) then
    order.hash = canonical.hash(text)
    return order
  end
  order.hash = canonical.hash(equality.spelling(operation, body))
  order.older = { canonical.hash(text), canonical.hash(equality.spelt_out(operation, body)) }
  order.question = equality.as_question(operation, body)
  return order
end

---The rows that are the same order, latest first. The hash is to find them: with an index of operations in reach, SQLite
---takes that for the sake of the order (130 ms at 30,000 rows, under the write lock).
---@param db veo.Database
---@param order veo.ledger.Order
---@param condition string  SQL that they have to meet, with the values that follow
---@return table[]
function M.rows(db, order, condition, ...)
  if not order.older then
    return db:select([[SELECT * FROM veo_tasks WHERE hash = ? AND (body = ? OR body = ?) AND operation || '' = ?
      AND api = ? AND ]] .. condition .. " ORDER BY created DESC", order.hash, order.body,
      equality.stand_in(order.operation, order.body), order.operation, order.api, ...)
  end
  local out = {}
  for _, row in ipairs(db:select("SELECT * FROM veo_tasks WHERE hash IN (?, ?, ?) AND operation || '' = ? AND "
    .. condition .. " ORDER BY created DESC", order.hash, order.older[1], order.older[2], order.operation, ...)) do
    if equality.is(row, order) then out[#out + 1] = row end
  end
  return out
end

return M
