--- Orders without an answer find their task: through a callback whose URL carries the order's reference, or because a
--- person names the task. Either is believed only after the service's own record was seen.

local errors = require "veo.errors"
local ledgers = require "veo.ledger"

local M = {}

local REFERENCE = "veo_ref=(%x+)"

---The reference in a callback's target or, failing that, in the callBackUrl of the record's own parameters.
---@param target string|nil
---@param status veo.Status|nil
---@return string|nil
function M.reference(target, status)
  local found = type(target) == "string" and target:match(REFERENCE)
  if found then return found end
  local params = status and status.paramJson
  return type(params) == "string" and params:match(REFERENCE) or nil
end

-- What the status says about its end is kept as well.
local function note_end(ctx, taskId, status)
  if status.state == "succeeded" and status.video_url then
    ctx.ledger:ended(taskId, status)
  elseif status.state == "failed" then
    ctx.ledger:ended(taskId, nil,
      { code = "failed", message = status.errorMessage or "no reason given", status = status })
  end
end

---A callback about a task whose record was seen: an order without an answer is adopted. Without a ledger, or when the
---order is none of its, nothing happens.
---@param ctx table
---@param taskId string
---@param status veo.Status|nil   as the service gave it just now; without one nothing is believed
---@param target string|nil       path and query that were called
---@return veo.Record|nil record
---@return veo.Error|nil err      the ledger's
function M.callback(ctx, taskId, status, target)
  local ledger = ctx.ledger
  if not ledger or not status then return nil end
  local ref = M.reference(target, status)
  if ref then
    local found, err = ledger:adopt(ref, taskId)
    if not found then return nil, err end
    if ctx.log and found.outcome == "adopted" then ctx.log { event = "adopted", ref = ref, taskId = taskId } end
    if found.outcome == "taken" or found.outcome == "closed" then return nil end
  end
  note_end(ctx, taskId, status)
  local record, err = ledger:find { taskId = taskId }
  return record or nil, err
end

---Names the task of an order, once its record was seen.
---@return veo.Record|nil record
---@return veo.Error|nil err
function M.name(ctx, ref, taskId, status)
  local ledger = ctx.ledger
  local found, err = ledger:adopt(ref, taskId)
  if not found then return nil, err end
  if found.outcome == "adopted" or found.outcome == "known" then
    note_end(ctx, taskId, status)
    return ledger:find { ref = ref }
  end
  local why = "the ledger knows no such order"
  if found.outcome == "taken" then
    why = ("task %s belongs to the order %s already"):format(taskId, found.by)
  elseif found.outcome == "closed" then
    local record = ledgers.record(found.row)
    why = ("it is %s%s"):format(record.state, record.taskId and " as task " .. record.taskId or "")
  end
  return nil, errors.new { code = "invalid", operation = "settle", ref = ref,
    field = found.outcome == "taken" and "taskId" or "ref", message = ("settle %s: %s"):format(ref, why) }
end

---Closes an order by a person's word.
---@param look fun(): veo.Status|nil, veo.Error|nil   asks the service for the task
---@return veo.Record|nil record
---@return veo.Error|nil err
function M.settle(ctx, ref, word, look)
  local ledger = ctx.ledger
  if word ~= "lost" and word ~= "saved" then
    local status, err = look()
    if not status then return nil, err end
    return M.name(ctx, ref, word, status)
  end
  -- A process that died meanwhile first gets its last word.
  local row, err = ledger:row(ref)
  if row == nil then return nil, err end
  local changed
  if row then
    changed, err = ledger:settle(ref, word)
    if not changed then return nil, err end
    if changed > 0 then return ledger:find { ref = ref } end
  end
  return nil, errors.new { code = "invalid", operation = "settle", field = "ref", ref = ref,
    message = row and ("settle %s: it is %s, and only %s can be settled as %s"):format(ref, row.state,
      word == "lost" and "an uncertain order" or "a task", word) or ("settle %s: the ledger knows no such order")
      :format(ref) }
end

return M
