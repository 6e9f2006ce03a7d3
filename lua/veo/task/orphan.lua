--- An order whose call was ended by an error between its first byte and its answer, as a watchdog's hook ends it: it goes on
--- as a job of its own, so that the answer is read and the record gets its word. Nothing is sent again.

local errors = require "veo.errors"
local wire = require "veo.wire"

-- The answer to what was sent, once it is there.
local function answer(ctx, sent)
  while not sent.answer do
    local transfer = sent.transfer
    if transfer:running() then ctx.scheduler:await(transfer) else sent.answer = { transfer:result() } end
  end
  return sent.answer[1], sent.answer[2]
end

local function see_to(ctx, record, settle)
  local scheduler, sent = ctx.scheduler, record.sent
  scheduler:shield()
  record.sent = nil -- whatever ends this one leaves it uncertain
  local cleanup = scheduler:on_drop { drop = function(_, how) return record:dropped(how) end }
  local reply, failure = answer(ctx, sent)
  local task, err, verdict = wire.accepted(ctx.api, record.operation, reply, failure, record.source)
  record:answered(task, err, verdict)
  if ctx.log then
    ctx.log { event = "reply", operation = record.operation, code = reply and reply.code,
      taskId = task and task.taskId, err = err, http_status = (reply or failure).http_status }
  end
  settle(ctx, record, task, err, verdict)
  scheduler:settled(cleanup)
  scheduler:unshield()
end

---Goes on with a record that is dropped while its answer is under way, or was read and not judged.
---@param ctx table
---@param record veo.Intent
---@param settle fun(ctx: table, record: veo.Intent, task: table|nil, err: veo.Error|nil, verdict: string|nil)  the record's last word
---@return veo.Error|nil err  what is known so far; nil when nothing was under way
return function(ctx, record, settle)
  local sent = record.sent
  if record.closed or record.task or record.err or not sent or not (sent.transfer or sent.answer) then return nil end
  local job = ctx.scheduler:spawn(see_to, ctx, record, settle)
  job.asked = true -- the record says what became of it
  return errors.new { code = "uncertain", operation = record.operation, sent = "maybe", charged = "maybe",
    cause = "failed", ref = record.request and record.request.ref,
    message = record.operation .. " was ended by an error while its answer was under way; the order goes on" }
end
