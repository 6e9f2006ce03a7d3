--- Tasks of the ledger as users see them: a filter becomes SQL with bound values, a row becomes a record.

local ipairs, pairs, type = ipairs, pairs, type
local find, format = string.find, string.format
local concat = table.concat
local floor = math.floor
local unpack = table.unpack or unpack -- luacheck: ignore

local cjson = require "cjson.safe"

local canonical = require "veo.util.canonical_json"
local equality = require "veo.ledger.equality"
local options = require "veo.util.options"

local M = {}

-- Nothing of cjson's shared state is touched.
local json = cjson.new()

local function decode(text)
  if not text then return nil end
  local value = json.decode(canonical.raw(text))
  return type(value) == "table" and value or nil
end

-- A null of JSON is nothing.
local function clean(value)
  if type(value) ~= "table" then return value end
  for name, inner in pairs(value) do
    if type(inner) == "userdata" then value[name] = nil else clean(inner) end
  end
  return value
end

---@return veo.Record
function M.record(row)
  local status = clean(decode(row.result))
  return {
    ref = row.ref, state = row.state, operation = row.operation, api = row.api, params = clean(decode(row.body)) or {},
    pruned = equality.is_stand_in(row.body) and row.body or nil,
    key = row.intent_key, taskId = row.task_id, price = row.price,
    consumed = row.consumed, created = row.created, updated = row.updated,
    status = status, video_url = status and status.video_url,
    path = row.path, size = row.size and floor(row.size), digest = row.digest, err = clean(decode(row.error)),
    repeats = row.repeats, evidence = clean(decode(row.evidence)), owner = row.owner, lease = row.lease,
  }
end

local COLUMNS = { ref = "ref", state = "state", key = "intent_key", taskId = "task_id", operation = "operation" }

local function is_text(value) return type(value) == "string" and not find(value, "%z") end
local function is_flag(value) return type(value) == "boolean" end
local function is_amount(value) return type(value) == "number" and value >= 0 end -- NaN is none
local function is_count(value) return is_amount(value) and value % 1 == 0 end

local TEXT, FLAG = { is_text, "a string expected" }, { is_flag, "true or false expected" }
local KINDS = { ref = TEXT, state = TEXT, key = TEXT, taskId = TEXT, operation = TEXT, open = FLAG,
  since = { is_amount, "a number from 0 up expected" }, limit = { is_count, "a number from 0 up expected" } }

---Nil, or what is wrong with a filter.
function M.problem(filter)
  if filter == nil then return nil end
  if type(filter) ~= "table" then return "a table expected, got " .. type(filter) end
  local unknown = options.unknown("filter", filter, KINDS)
  if unknown then return unknown end
  for name, value in pairs(filter) do
    local kind = KINDS[name]
    if not kind[1](value) then return name .. ": " .. kind[2] end
  end
  return nil
end

-- The states as an index of the schema has them, word for word, or it is not used.
local OPEN = "state IN ('intent', 'accepted', 'done', 'uncertain')"
local IS_OPEN = { intent = true, accepted = true, done = true, uncertain = true }

-- What one field of a filter asks of a row: SQL, and the value in it. `named`: the filter has a name, which is what finds
-- a row: the index of operations, which has the order too, must not look better.
local function condition(name, value, named)
  local column = COLUMNS[name]
  if name == "operation" and named then return "operation || '' = ?", value end
  -- Few among many open ones, and each `resume` asks for them.
  if name == "state" and not named and value == "uncertain" then return "state = 'uncertain'" end
  if name == "state" and not named and IS_OPEN[value] then return "state = ? AND " .. OPEN, value end
  if column then return column .. " = ?", value end
  if name == "since" then return "created >= ?", value end
  if name == "open" then return value and OPEN or "NOT " .. OPEN end
  return nil
end

local function query(filter, order, limit, after, db)
  local where, values = {}, {}
  filter = filter or {}
  local named = filter.ref or filter.key or filter.taskId
  for name, value in pairs(filter) do
    if not (after and name == "since") then -- `after` is later, and the better start
      where[#where + 1], values[#values + 1] = condition(name, value, named)
    end
  end
  if after then
    where[#where + 1] = "(created, ref) > (CAST(? AS DOUBLE PRECISION), ?)"
    values[#values + 1] = db:exact(after.created)
    values[#values + 1] = after.ref
  end
  return format("SELECT * FROM veo_tasks%s ORDER BY %s LIMIT %d",
    where[1] and " WHERE " .. concat(where, " AND ") or "", order, limit), values
end

---A page of the records that fit, oldest first.
---@param db veo.Database
---@param filter table|nil
---@param after veo.Record|nil  the last one of the page before
---@param limit integer
---@return veo.Record[]
function M.page(db, filter, after, limit)
  local sql, values = query(filter, "created, ref", limit, after, db)
  local out = {}
  for i, row in ipairs(db:select(sql, unpack(values))) do out[i] = M.record(row) end
  return out
end

---The newest record that fits.
---@return veo.Record|nil
function M.newest(db, filter)
  local sql, values = query(filter, "created DESC, ref DESC", 1)
  local row = db:select(sql, unpack(values))[1]
  return row and M.record(row)
end

-- Only what tells something after years; never the whole reply.
local KEPT = { "taskId", "state", "video_url", "resultUrls", "fullResultUrls", "originUrls", "resolution", "seeds",
  "errorCode", "errorMessage", "createTime", "completeTime", "creditsConsumed" }

---A status, as the ledger keeps it.
function M.kept_status(status)
  if not status then return nil end
  local out = {}
  for _, name in ipairs(KEPT) do out[name] = status[name] end
  return out
end

---An error, as the ledger keeps it.
---@param err veo.Error|nil
function M.kept_error(err)
  if not err then return nil end
  return { code = err.code, message = err.message, sent = err.sent,
    cause = type(err.cause) == "table" and err.cause.code or type(err.cause) == "string" and err.cause or nil,
    http_status = err.http_status, service_code = err.service_code, curl_code = err.curl_code,
    charged = err.charged, candidate = err.candidate, recordId = err.recordId, excerpt = err.excerpt }
end

return M
