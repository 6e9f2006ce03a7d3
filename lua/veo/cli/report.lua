--- How a run ends: its result or its error, what to do next, and the exit code.

local errors = require "veo.errors"
local json = require "veo.cli.json"
local phrases = require "veo.cli.phrases"
local terminal = require "veo.cli.terminal"
local texts = require "veo.util.text"
local transient = require "veo.util.transient"

local M = {}

-- What an error tells a program; never what may hold a secret.
local FIELDS = { "code", "message", "operation", "field", "given", "expected", "suggestion", "sent", "http_status",
  "service_code", "service_msg", "curl_code", "retry_after", "attempts", "path", "ref", "hop",
  "candidate", "recordId", "charged", "location" }

-- These mean that money may be gone and that the task may still come to something.
local UNSETTLED = { uncertain = true, timeout = true, no_result = true, job_failed = true }
local WRONG_USE = { invalid = true, missing = true }
-- As a shell says it of a command that a signal ended.
local SIGNALS = { INT = 130, TERM = 143, HUP = 129 }

---@param err veo.Error
---@param session veo.cli.Session
---@return integer
function M.exit_code(err, session)
  if err.code == "failed" then return 4 end
  if UNSETTLED[err.code] or err.charged == "maybe" or #session.orders > 0 or session.sending then return 3 end
  -- A task that is known to be there is paid, and its video is not here.
  if session.state == "succeeded" or session.state == "generating" then return 3 end
  if session.waiting and (session.interrupted or transient.is(err)) then return 3 end
  if session.interrupted then return SIGNALS[session.signal] or 130 end
  return WRONG_USE[err.code] and 1 or 2
end

-- The rest of a chain as a command. Only without a ledger: with one, the same command goes on by itself.
local function rest_of_chain(session, err, options)
  local args, source = session.args, session.orders[#session.orders]
  local first = #session.orders + 1
  if err.code == "failed" then
    source, first = session.orders[#session.orders - 1] or args.task, math.max(first - 1, 1)
  end
  if not args.prompts[first] then return "veo wait " .. phrases.quote(source) .. options end
  local parts = { "veo chain", phrases.quote(source) }
  for n = first, #args.prompts do parts[#parts + 1] = phrases.quote(args.prompts[n]) end
  return table.concat(parts, " ") .. options
end

-- Without the password of a database, because this is printed and logged; the environment still has it.
local function ledger_of(session)
  local where = session.args.ledger
  local shown = where and texts.without_password(where)
  if not shown or session.own_ledger or shown ~= where and session.usual_ledger then return "" end
  return " --ledger " .. phrases.quote(shown)
end

---@type fun(session: veo.cli.Session): string
M.ledger_of = ledger_of

local SAME = "the same command again"
-- The task has come to its end, or is none.
local ENDED = { failed = true, invalid = true, not_found = true }

-- Each of these gives the command that goes on, false when there is none, or nil when another may know one.

local function chain_command(session, err, options)
  local args = session.args
  local known = err.code ~= "uncertain" or err.taskId and not err.candidate -- what became of its last order
  if args.command ~= "chain" or not session.taskId or not known then return nil end
  if args.ledger then return SAME .. (err.code == "failed" and ", with --repeat-failed or another prompt" or "") end
  return session.orders[1] and rest_of_chain(session, err, options) or nil
end

local function settle_command(session, err, taskId)
  if not err.ref or err.code ~= "uncertain" and err.charged ~= "maybe" then return nil end
  for _, accepted in ipairs(session.orders) do
    if accepted == taskId then return nil end -- it was interrupted, and its answer came all the same
  end
  return ("veo settle %s %s%s%s"):format(err.ref, taskId and phrases.quote(taskId) or "TASK", ledger_of(session),
    taskId and "" or "   (lost in place of TASK when there is none)")
end

-- The order has no answer yet, and so no error that names it.
local function find_command(session, err)
  if err.code ~= "uncertain" or err.ref or not session.args.ledger then return nil end
  return "veo tasks --open" .. ledger_of(session) .. "   (it names the order; then veo settle)"
end

local function output_of(session, err)
  local args = session.args
  local path = err.code == "exists" and "OTHER.mp4" or args.command ~= "resume" and args.output
  return path and " -o " .. phrases.quote(path) .. (args.force and " --force" or "") or ""
end

local function task_command(session, err, taskId, options)
  if session.args.command == "resume" then return session.interrupted and SAME end
  if not taskId or ENDED[err.code] then return false end
  -- A 1080P version has no task of its own: by its source's another video would be saved.
  if session.args.command == "upgrade" and taskId == session.args.task then return SAME end
  local verb = session.state == "succeeded" and not session.target.none and "download" or "wait"
  return ("veo %s %s%s"):format(verb, phrases.quote(taskId), options)
end

---The command that goes on from here, if there is one.
---@param session veo.cli.Session
---@param err veo.Error
---@return string|nil
function M.go_on(session, err)
  local options = output_of(session, err) .. ledger_of(session)
  local taskId = type(err.taskId) == "string" and err.taskId or session.taskId
  local command = chain_command(session, err, options)
  if command == nil then command = find_command(session, err) end
  if command == nil then command = settle_command(session, err, taskId) end
  if command == nil then command = task_command(session, err, taskId, options) end
  return command or nil
end

local function error_of(err, session, exit)
  local out = { explain = phrases.explain(err), summary = errors.codes[err.code] and errors.codes[err.code].summary }
  for _, name in ipairs(FIELDS) do
    local value = err[name]
    if name == "message" then value = phrases.message(err) end
    if type(value) ~= "table" then out[name] = value end
  end
  return { ok = false, exit = exit, taskId = type(err.taskId) == "string" and err.taskId or session.taskId,
    orders = session.orders[1] and session.orders or nil, error = out, next = M.go_on(session, err) }
end

-- The result belongs on standard output; when that cannot be written, the result must not be lost.
local function print_result(session, text, exit)
  if not text or session.term:result(text) then return exit end
  session.term:problem("veo: standard output cannot be written; the result is:\n" .. text)
  return 3
end

---Tells how a command ended well.
---@param session veo.cli.Session
---@param outcome { text: string|nil, json: table, exit: integer|nil }
---@return integer exit
function M.done(session, outcome)
  local exit = outcome.exit or 0
  if outcome.told then return exit end
  if not session.args.json then return print_result(session, outcome.text, exit) end
  outcome.json.ok = exit == 0
  outcome.json.exit = exit ~= 0 and exit or nil
  return print_result(session, json.encode(outcome.json), exit)
end

-- How to report a Ctrl-C; nil when something else went wrong as well.
local function interruption(session, err, exit)
  if err.code ~= "cancelled" and not (err.cause == "cancelled" and err.taskId) then return nil end
  if exit > 4 then return "interrupted; nothing was ordered" end
  if exit ~= 3 then return "interrupted" end
  if session.state == "succeeded" then return "interrupted; what was fetched so far is kept, and the rest is free" end
  return "interrupted; the task goes on at the service, and waiting for it is free"
end

---Tells what went wrong, and for every paid task how to go on.
---@param session veo.cli.Session
---@param err veo.Error
---@return integer exit
function M.failed(session, err)
  local term = session.term
  local exit = M.exit_code(err, session)
  if session.orders[1] then errors.paid(err) end
  local text = session.interrupted and interruption(session, err, exit) or phrases.explain(err)
  term:problem(term:fold("veo: " .. terminal.clean(text), "  "))
  if err.code == "job_failed" and err.traceback then term:problem(err.traceback) end
  local known = type(err.taskId) == "string" and err.taskId or session.taskId
  for _, taskId in ipairs(session.orders) do
    if taskId ~= known then term:problem("  paid:     task " .. terminal.clean(taskId)) end
  end
  if err.hops and err.path then term:problem("  saved:    " .. terminal.clean(err.path)) end
  if known then term:problem("  task:     " .. terminal.clean(known)) end
  local next_command = M.go_on(session, err)
  if next_command then term:problem("  to go on: " .. terminal.clean(next_command)) end
  if session.args.json then print_result(session, json.encode(error_of(err, session, exit)), exit) end
  return exit
end

---Tells that the command was not understood or cannot work; nothing was sent.
---@param term veo.cli.Terminal
---@param args table|nil
---@param problem string
---@return integer exit
function M.misused(term, args, problem)
  term:problem(term:fold("veo: " .. problem, "  "))
  if args and args.json then
    term:result(json.encode { ok = false, exit = 1, error = { code = "invalid", message = problem } })
  end
  return 1
end

return M
