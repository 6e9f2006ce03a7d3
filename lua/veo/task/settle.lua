--- Orders without an answer find their task: through a callback whose URL carries the order's reference, or because a
--- person names the task. Either is believed only after the service's own record was seen.

local type = type
local floor = math.floor
local time = os and os.time
local find, format, gmatch, gsub, match = string.find, string.format, string.gmatch, string.gsub, string.match

local errors = require "veo.errors"
local ledgers = require "veo.ledger"
local text = require "veo.util.text"
local urls = require "veo.wire.urls"
local wire = require "veo.wire"

local M = {}

-- What a task was made of, as its record has it.
local function parameters_of(status)
  local params = status.paramJson
  if type(params) == "string" then params = urls.decode(params) end
  return type(params) == "table" and params or {}
end

-- What was ordered, from a body of either family.
local function order_of(params)
  local inner = type(params.input) == "table" and params.input or params
  return { source = inner.taskId or inner.task_id, prompt = inner.prompt, translates = inner.enableTranslation,
    callback = params.callBackUrl or inner.callBackUrl }
end

-- Reference -----------------------------------------------------------------------------------------------------------

-- The query's own parameter, whole; the order's stands last.
local function in_query(url)
  local query, found = type(url) == "string" and match(url, "^[^?#]*%?([^#]*)"), nil
  for parameter in gmatch(query or "", "[^&]+") do found = match(parameter, "^veo_ref=(%x+)$") or found end
  return found
end

---The order's reference in the callback URL of the record's own parameters or, failing that, in the target that was
---called. What a prompt holds is none.
---@param target string|nil
---@param status veo.Status|nil
---@return string|nil ref
---@return boolean own  the record itself has it: the task was ordered with that URL
function M.reference(target, status)
  local own = status and in_query(order_of(parameters_of(status)).callback)
  return own or in_query(target), own ~= nil
end

-- Whether a record fits ---------------------------------------------------------------------------------------------------

-- The service's clock may be behind ours, or the ledger's, by this much (seconds). Where more than its age speaks for a
-- task, clocks may also differ by a time zone or by ten minutes that nobody has set right: then only a day counts.
local CLOCKS = 60
local CLOCKS_OF_NAMED = 24 * 3600

-- Blanks may be lost on the way.
local function same_text(a, b)
  return match(gsub(a, "%s+", " "), "^ ?(.-) ?$") == match(gsub(b, "%s+", " "), "^ ?(.-) ?$")
end

local function differs(ours, theirs)
  return type(ours) == "string" and type(theirs) == "string" and not same_text(ours, theirs)
end

-- A generation's prompt may be translated into English on the way: it is when that is asked for, and the service may take
-- it for asked where neither side says no.
local function may_be_translated(ours, theirs, operation)
  if ours.translates == true or theirs.translates == true then return true end
  return operation == "generate" and ours.translates == nil and theirs.translates == nil
    and find(ours.prompt or "", "[\128-\255]") ~= nil
end

local OWN_SOURCE = "it is the order's own source"

---What in a task's record contradicts that it is this order's: its source, its prompt, its age. Nil when nothing does;
---what the record does not say is no evidence.
---@param record veo.Record
---@param taskId string
---@param status veo.Status
---@param named boolean|nil  a callback carries the order's own reference
---@return string|nil why
function M.contradiction(record, taskId, status, named)
  local ours, theirs = order_of(record.params), order_of(parameters_of(status))
  if taskId == ours.source then return OWN_SOURCE end
  -- A record may also repeat its own id there.
  if theirs.source ~= taskId and differs(ours.source, theirs.source) then return "it has another source" end
  if not may_be_translated(ours, theirs, record.operation) and differs(ours.prompt, theirs.prompt) then
    return "it has another prompt"
  end
  local made = wire.time(status.createTime)
  -- The answer of an uncertain order named its candidate.
  named = named or record.state == "uncertain" and record.taskId == taskId
  if made and made < record.created - (named and CLOCKS_OF_NAMED or CLOCKS) then
    return format("it is older than the order, by %d s if the clocks agree", floor(record.created - made))
  end
  return nil
end

-- The order that has the task as a candidate which its record does not contradict.
local function candidate_of(ledger, taskId, status)
  local record = ledger:find { state = "uncertain", taskId = taskId }
  return record and not M.contradiction(record, taskId, status) and record.ref or nil
end

-- Adopting ------------------------------------------------------------------------------------------------------------

-- What the status says about its end is kept as well.
local function note_end(ctx, taskId, status)
  if status.state == "succeeded" and status.video_url then
    ctx.ledger:ended(taskId, status)
  elseif status.state == "failed" then
    ctx.ledger:ended(taskId, nil,
      { code = "failed", message = status.errorMessage or "no reason given", status = status })
  end
end

-- Why a task is not the order's that a callback names. A record that has the order's own callback URL was ordered with
-- it, whatever became of its prompt; a target alone may be anybody's.
local function objection(ledger, ref, own, taskId, status)
  local record, err = ledger:find { ref = ref }
  local why = record and M.contradiction(record, taskId, status, true)
  return (not own or why == OWN_SOURCE) and why or nil, err
end

---A callback about a task whose record was seen: an order without an answer is adopted. Without a ledger, or when the
---order is none of its, nothing happens. One that was settled otherwise keeps that, and the task gets a row beside it.
---@param ctx table
---@param taskId string
---@param status veo.Status|nil   as the service gave it just now; without one nothing is believed
---@param target string|nil       path and query that were called
---@return veo.Record|nil record
---@return veo.Error|nil err      the ledger's
function M.callback(ctx, taskId, status, target)
  local ledger = ctx.ledger
  if not ledger or not status then return nil end
  local ref, own = M.reference(target, status)
  local why, err
  if ref then why, err = objection(ledger, ref, own, taskId, status) else ref = candidate_of(ledger, taskId, status) end
  if err then return nil, err end
  if why and ctx.log then
    ctx.log { event = "warning", operation = "callback", taskId = taskId, ref = ref,
      message = format("task %s is not adopted for the order %s: %s", text.printable(taskId), ref, why) }
  end
  if ref and not why then
    local found
    found, err = ledger:adopt(ref, taskId, true)
    if not found then return nil, err end
    if ctx.log and (found.outcome == "adopted" or found.outcome == "beside") then
      ctx.log { event = "adopted", ref = ref, taskId = taskId, beside = found.outcome == "beside" or nil }
    end
  end
  note_end(ctx, taskId, status)
  local record
  record, err = ledger:find { taskId = taskId }
  return record or nil, err
end

---Names the task of an order, once its record was seen.
---@param status veo.Status|nil  keeps its end as well, unless the caller goes on to wait for that
---@return veo.Record|nil record
---@return veo.Error|nil err
function M.name(ctx, ref, taskId, status)
  local ledger = ctx.ledger
  local found, err = ledger:adopt(ref, taskId)
  if not found then return nil, err end
  if found.outcome == "adopted" or found.outcome == "known" then
    if status then note_end(ctx, taskId, status) end
    return ledger:find { ref = ref }
  end
  local why = "the ledger knows no such order"
  if found.outcome == "taken" then
    why = format("task %s belongs to the order %s already", taskId, found.by)
  elseif found.outcome == "closed" then
    local record = ledgers.record(found.row)
    why = format("it is %s%s", record.state, record.taskId and " as task " .. record.taskId or "")
  end
  return nil, errors.new { code = "invalid", operation = "settle", ref = ref,
    field = found.outcome == "taken" and "taskId" or "ref", message = format("settle %s: %s", ref, why) }
end

local FORCE = "{force} settles it all the same" -- what a refusal says that can be overruled

-- Whether a person may give an order that task.
local function refusal(ledger, ref, taskId, status, force)
  local record, err = ledger:find { ref = ref }
  local why = record and M.contradiction(record, taskId, status)
  if not why or force and why ~= OWN_SOURCE then return err end
  return errors.new { code = "invalid", operation = "settle", ref = ref, taskId = taskId, field = "taskId",
    message = format("settle %s: task %s is not this order's: %s", ref, text.printable(taskId), why),
    hint = why ~= OWN_SOURCE and FORCE or nil }
end

local function invalid(ref, hint, message, ...)
  return errors.new { code = "invalid", operation = "settle", ref = ref, field = "ref", hint = hint,
    message = format("settle %s: " .. message, ref, ...) }
end

-- Why a task cannot be lost: the service knows it, or may not show it yet. Nil when it does not know it.
local function known(ctx, row, look)
  local taskId, grace = text.printable(row.task_id), ctx.defaults.wait.grace
  local status, err = look(row.task_id)
  if status then
    return invalid(row.ref, FORCE, "the service knows its task %s, which is %s", taskId, status.state)
  end
  if err.code ~= "not_found" then return err end
  if row.state ~= "accepted" or time() - row.updated >= grace then return nil end
  return invalid(row.ref, FORCE, "the service does not know its task %s yet, which it named less than %d s ago",
    taskId, grace)
end

-- A person names the task of an order.
local function name_by_hand(ctx, ref, taskId, look, force)
  local status, err = look(taskId)
  if not status then return nil, err end
  err = refusal(ctx.ledger, ref, taskId, status, force)
  if err then return nil, err end
  return M.name(ctx, ref, taskId, status)
end

---Closes an order as a person says.
---@param look fun(taskId: string): veo.Status|nil, veo.Error|nil   asks the service for a task
---@param force boolean|nil   also when the task's record contradicts the order, or what is to be lost is known
---@return veo.Record|nil record
---@return veo.Error|nil err
function M.settle(ctx, ref, word, look, force)
  if word ~= "lost" and word ~= "saved" then return name_by_hand(ctx, ref, word, look, force) end
  local ledger = ctx.ledger
  local row, err = ledger:row(ref) -- closed, if its process died meanwhile
  if row == nil then return nil, err end
  if not row then return nil, invalid(ref, nil, "the ledger knows no such order") end
  local has_task = word == "lost" and (row.state == "accepted" or row.state == "done")
  err = has_task and not force and known(ctx, row, look) or nil
  if err then return nil, err end
  local changed
  changed, err = ledger:settle(ref, word, has_task)
  if not changed then return nil, err end
  if changed > 0 then return ledger:find { ref = ref } end
  return nil, invalid(ref, nil, "it is %s, and only %s can be settled as %s", row.state,
    word == "lost" and "an uncertain order, or one whose task the service does not know," or "a task", word)
end

return M
