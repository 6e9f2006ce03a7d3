--- An order whose call was ended by an error between its first byte and its answer, as a watchdog's hook ends it: it goes on
--- as a job of its own, so that the answer is read and the intent closed. Nothing is sent again.

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

local function finish(ctx, intent, settle)
  local scheduler, sent = ctx.scheduler, intent.sent
  scheduler:shield()
  intent.sent = nil -- whatever ends this job leaves the order uncertain
  local cleanup = scheduler:on_drop { drop = function(_, how) return intent:dropped(how) end }
  local reply, failure = answer(ctx, sent)
  local task, err, verdict = wire.accepted(ctx.api, intent.operation, reply, failure, intent.source)
  intent:answered(task, err, verdict)
  if ctx.log then
    ctx.log { event = "reply", operation = intent.operation, code = reply and reply.code,
      taskId = task and task.taskId, err = err, http_status = (reply or failure).http_status }
  end
  settle(ctx, intent, task, err, verdict)
  scheduler:settled(cleanup)
  scheduler:unshield()
end

---Goes on with an order that is dropped while its answer is under way, or was read and not judged.
---@param ctx table
---@param intent veo.Intent
---@param settle fun(ctx: table, intent: veo.Intent, task: table|nil, err: veo.Error|nil, verdict: string|nil)  closes the intent
---@return veo.Error|nil err  what is known so far; nil when nothing was under way
return function(ctx, intent, settle)
  local sent = intent.sent
  if intent.closed or intent.task or intent.err or not sent or not (sent.transfer or sent.answer) then return nil end
  local job = ctx.scheduler:spawn(finish, ctx, intent, settle)
  job:on_end(job.result) -- nobody is told of a failure: the intent says what became of it
  return errors.new { code = "uncertain", operation = intent.operation, sent = "maybe", charged = "maybe",
    cause = "failed", ref = intent.request and intent.request.ref,
    message = intent.operation .. " was ended by an error while its answer was under way; the order goes on" }
end
