--- What an earlier order means for the same one made now: it is refused, has another body, or is joined.

local floor, max = math.floor, math.max
local format = string.format
local date, time = os and os.date, os and os.time

local lazy = require("veo.util.lazy").room
local ended = require "veo.async.ended"
local errors = require "veo.errors"
local ledgers = lazy "veo.ledger"
local waits = require "veo.task.wait"

local M = {}

-- How often to look whether another process's order that is under way has its answer (seconds).
local LOOK_EVERY = 0.25

local function joined(row)
  local record = ledgers.record(row)
  local status = record.status or {}
  return { taskId = record.taskId, ref = record.ref, key = record.key, joined = true, state = record.state,
    last_status = record.status, path = record.path, video_url = status.video_url, resultUrls = status.resultUrls }
end

-- What became of it, and what to do about that.
local function where_it_is(record)
  if record.path and record.state == "saved" then return "its video is in " .. record.path end
  if record.state == "done" or record.state == "saved" then return "it is finished, and its result can be fetched" end
  if record.state == "uncertain" and record.taskId then
    return "it may be task " .. record.taskId, "look at it ({status}), or let {resume} do so, and settle the order "
      .. "({settle}, or {settle_lost}) before ordering again"
  end
  if record.state == "uncertain" then
    return "it has no answer", "settle it ({settle}, or {settle_lost}) before ordering again"
  end
  return "it is " .. record.state
end

local function about(record, code, operation, message, hint)
  local known = record.state == "uncertain" and record.err or {}
  return errors.new { candidate = record.state == "uncertain" and record.taskId ~= nil or nil,
    recordId = known.recordId, excerpt = known.excerpt, code = code, operation = operation, sent = "no",
    charged = code == "uncertain" and "maybe" or "no", ref = record.ref, taskId = record.taskId, key = record.key,
    state = record.state, status = record.status, path = record.path,
    message = format("%s: %s", operation, message), hint = hint }
end

local function name_of(record)
  return record.taskId and "task " .. record.taskId or "intent " .. record.ref
end

function M.duplicate(row, operation)
  local record = ledgers.record(row)
  local state, hint = where_it_is(record)
  return about(record, "duplicate", operation, format("the same request was made %s as %s; %s",
    date("!%Y-%m-%d %H:%M:%SZ", floor(record.created)), name_of(record), state), hint)
end

function M.other_body(row, operation, key)
  local record = ledgers.record(row)
  local err = about(record, "invalid", operation,
    format("key %q belongs to another request, made as %s; take another key", key, name_of(record)))
  err.field = "key"
  return err
end

-- Joins the earlier order; one that another process has just under way is waited for.
function M.join(ctx, row, operation, deadline)
  while row.state == "intent" and ctx.now() < deadline do
    local why = ctx.scheduler:sleep_until(ctx.now() + LOOK_EVERY)
    if why ~= "timeout" then
      return nil, errors.new { code = ended.code(why), operation = operation, sent = "no",
        message = operation .. " was " .. why .. " while the same order was under way elsewhere" }
    end
    local found, err = ctx.ledger:row(row.ref)
    if found == nil then return nil, err end
    row = found or row
  end
  local record = ledgers.record(row)
  if record.state == "uncertain" then return nil, about(record, "uncertain", operation, where_it_is(record)) end
  if not record.taskId then
    return nil, about(record, record.state == "intent" and "busy" or "duplicate", operation,
      "the same order is " .. record.state .. " in another process")
  end
  -- A task that was just ordered elsewhere may not be visible yet: waiting for it has the same grace.
  local age = time() - record.created
  if age < 90 and not ctx.created[record.taskId] then
    waits.made(ctx, record.taskId, ctx.now() - max(0, age))
  end
  if ctx.log then ctx.log { event = "joined", operation = operation, taskId = record.taskId, ref = record.ref } end
  return joined(row)
end

return M
