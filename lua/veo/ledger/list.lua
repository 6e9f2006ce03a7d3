--- Tasks of the ledger as users see them: a filter becomes SQL with bound values, a row becomes a record.

local cjson = require "cjson.safe"

local suggest = require "veo.wire.suggest"

local M = {}

---@class veo.Record
---@field ref string            names the intent: for settle, and in the callback's URL
---@field state "intent"|"accepted"|"done"|"saved"|"failed"|"refused"|"uncertain"|"lost"
---@field operation string      "extend", …
---@field api string
---@field params table          what was ordered, as it went to the service
---@field key string|nil
---@field taskId string|nil
---@field price number|nil      credits
---@field created number        epoch seconds
---@field updated number
---@field status table|nil      the last status, of a task that has ended
---@field video_url string|nil
---@field path string|nil       where it was saved
---@field err table|nil         code and message of what went wrong
---@field evidence table|nil    credits before and after an uncertain call

-- Nothing of cjson's shared state is touched.
local json = cjson.new()

local function decode(text)
  if not text then return nil end
  local value = json.decode(text)
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
    key = row.intent_key, taskId = row.task_id, price = row.price, created = row.created, updated = row.updated,
    status = status, video_url = status and status.video_url, path = row.path, err = clean(decode(row.error)),
    evidence = clean(decode(row.evidence)), owner = row.owner, lease = row.lease,
  }
end

local COLUMNS = { ref = "ref", state = "state", key = "intent_key", taskId = "task_id", operation = "operation" }
local NAMES = { "ref", "state", "key", "taskId", "operation", "open", "since", "limit" }

---Nil, or what is wrong with a filter.
function M.problem(filter)
  if filter == nil then return nil end
  if type(filter) ~= "table" then return "a table expected, got " .. type(filter) end
  for name, value in pairs(filter) do
    if COLUMNS[name] then
      if type(value) ~= "string" or value:find("%z") then return name .. ": a string expected" end
    elseif name == "open" then
      if type(value) ~= "boolean" then return "open: true or false expected" end
    elseif name == "since" or name == "limit" then
      if type(value) ~= "number" or value ~= value or value < 0 or name == "limit" and value % 1 ~= 0 then
        return name .. ": a number from 0 up expected"
      end
    else
      local meant = suggest.nearest(name, NAMES)
      return "unknown filter " .. tostring(name) .. (meant and " (did you mean " .. meant .. "?)" or "")
    end
  end
  return nil
end

---@param db veo.Database
---@param filter table|nil
---@return veo.Record[]
function M.tasks(db, filter)
  local where, values = {}, {}
  for name, value in pairs(filter or {}) do
    if COLUMNS[name] then
      where[#where + 1], values[#values + 1] = COLUMNS[name] .. " = ?", value
    elseif name == "since" then
      where[#where + 1], values[#values + 1] = "created >= ?", value
    elseif name == "open" then
      where[#where + 1] = "state " .. (value and "" or "NOT ") .. "IN ('intent', 'accepted', 'done', 'uncertain')"
    end
  end
  local limit = filter and filter.limit
  local sql = "SELECT * FROM veo_tasks" .. (#where > 0 and " WHERE " .. table.concat(where, " AND ") or "")
    .. " ORDER BY created, ref" .. (limit and (" LIMIT %d"):format(limit) or "")
  local unpack = table.unpack or unpack -- luacheck: ignore
  local out = {}
  for i, row in ipairs(db:select(sql, unpack(values))) do out[i] = M.record(row) end
  return out
end

-- Only what tells something after years; never the whole reply.
local KEPT = { "taskId", "state", "video_url", "resultUrls", "fullResultUrls", "originUrls", "resolution", "seeds",
  "errorCode", "errorMessage", "createTime", "completeTime" }

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
    cause = type(err.cause) == "string" and err.cause or nil,
    http_status = err.http_status, service_code = err.service_code, curl_code = err.curl_code }
end


return M
