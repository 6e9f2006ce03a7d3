--- `veo watch`: tasks, until they have ended. Nothing is saved.

local lazy = require("veo.util.lazy").room -- help needs no core

local arguments = require "veo.cli.arguments"
local boards = lazy "veo.cli.commands.batch.board"
local json = require "veo.cli.json"
local phrases = require "veo.cli.phrases"
local veo = lazy "veo"
local visible = require "veo.util.visible"

local M = {}

function M.arguments(parser)
  local watch = parser:command("watch", "Show tasks until they end: the ledger's open ones, or those named. Free.")
  watch:argument("tasks", "taskIds."):args("*")
  arguments.waiting(watch)
  arguments.ledger(watch)
  arguments.network(watch)
end

-- Those that are named; else the ledger's that have not ended.
local function subjects(session, client)
  if session.args.tasks[1] or not session.args.ledger then return session.args.tasks end
  local open, err = client:tasks { open = true }
  if not open then return nil, err end
  local ids = {}
  for _, record in ipairs(open) do
    if record.taskId and record.state ~= "uncertain" then
      if record.state ~= "done" then ids[#ids + 1] = record.taskId end
    else
      session.term:problem(("uncertain: order %s has no confirmed task; see veo settle%s"):format(record.ref,
        phrases.ledger))
    end
  end
  return ids
end

local function paint(board, ids, states, ended, began)
  local lines, last = {}, ("%d of %d ended after %s"):format(ended, #ids, phrases.clock(veo.now() - began))
  for _, taskId in ipairs(ids) do
    if states[taskId] then lines[#lines + 1] = ("%-11s %s"):format(states[taskId], taskId) end
  end
  board:paint(lines, last)
end

local EXITS = { failed = 4, timeout = 3 }

-- A task has ended, or is given up: its exit code.
local function tell(session, board, taskId, status, err, began)
  local exit = err and (EXITS[err.code] or 2) or 0
  local out = { ok = exit == 0, exit = exit, taskId = taskId, state = err and err.code or status.state,
    video_url = status and status.video_url }
  out.error = err and { code = err.code, message = phrases.message(err) }
  board:note(("task %s: %s after %s%s"):format(visible(taskId), out.state, phrases.clock(veo.now() - began),
    err and ": " .. out.error.message or ""), exit ~= 0)
  if session.args.json then
    session.term:result(json.encode(out))
  elseif not board.results_seen then
    session.term:result(visible(("%s %s %s"):format(taskId, out.state, out.video_url or "")))
  end
  return exit
end

---@param session veo.cli.Session
---@param client veo.Client
function M.watch(session, client)
  local ids, problem = subjects(session, client)
  if not ids then return nil, problem end
  if not ids[1] then
    session.term:note("nothing is open")
    return { told = true }
  end
  local board, began, states, ended, exit = boards.new(session), veo.now(), {}, 0, 0
  local wait = session:wait_options()
  session.waiting = nil
  for _, taskId in ipairs(ids) do states[taskId] = "waiting" end
  wait.on_progress = function(status) states[status.taskId] = states[status.taskId] and status.state end
  session.painter = function() paint(board, ids, states, ended, began) end
  local each = client:wait_each(ids, wait)
  local taskId, status, err = each()
  while taskId do
    states[taskId], ended = nil, ended + 1
    exit = math.max(exit, tell(session, board, taskId, status, err, began))
    taskId, status, err = each()
  end
  session.painter = nil
  board:wipe()
  return { told = true, exit = exit }
end

return M
