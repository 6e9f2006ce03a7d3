--- `veo batch`: an order a row of a file, through the ledger, so that the same command again goes on where it was ended.
---
---   batch/rows.lua   the file's rows, checked       batch/csv.lua, batch/json.lua   what a file holds
---   batch/plan.lua   which rows are ordered         batch/board.lua                 the lines of a terminal
---   batch/order.lua  a row, from order to file

local lazy = require("veo.util.lazy").room -- help needs no core

local arguments = require "veo.cli.arguments"
local boards = lazy "veo.cli.commands.batch.board"
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local inputs = require "veo.cli.input"
local json = require "veo.cli.json"
local orders = require "veo.cli.commands.batch.order"
local phrases = require "veo.cli.phrases"
local plans = require "veo.cli.commands.batch.plan"
local rows_of = require "veo.cli.commands.batch.rows"
local texts = require "veo.util.text"
local veo = lazy "veo"

local M = {}

-- How often a terminal learns what credits are left (seconds).
local CREDITS_EVERY = 30

function M.arguments(parser)
  local batch = parser:command("batch", "Order, wait for and save a video for every row of a file. Costs credits.")
  batch:argument("file", "CSV with a header, a JSON array, or a JSON object a line; - is standard input. Columns: "
    .. table.concat(rows_of.COLUMNS, ", ") .. ".")
  arguments.pattern(batch)
  batch:option("--jobs", "Orders at a time (50)."):argname("N"):convert(arguments.some "--jobs")
  batch:flag("--repeat-failed", "Order rows again whose task failed.")
  batch:option("--max-credits", "Let the rows cost N credits at most, earlier runs included."):argname("N")
    :convert(arguments.number("--max-credits", 0, "credits"))
  batch:flag("--dry-run", "Check the rows and tell what they would cost; order nothing.")
  arguments.ledger(batch)
  arguments.waiting(batch)
  arguments.network(batch)
end

---@class veo.cli.batch.Run
---@field rows veo.cli.batch.Row[]
---@field running table<veo.cli.batch.Row, boolean>
---@field counts table<string, integer>  by a row's state
---@field stopping boolean|nil     Ctrl-C: nothing more is ordered
---@field halted string|nil    why    nothing more can be ordered, whatever the row
---@field credits number|nil       what the account had left when it was asked
---@field charged number           and what this run's orders had cost then
---@field exit integer

-- What is told -----------------------------------------------------------------------------------------------------------

local TOLD = { "saved", "saved before", "running", "not saved", "failed", "uncertain", "refused", "not ordered", "bad" }

local function told_counts(run)
  local parts = {}
  for _, name in ipairs(TOLD) do
    if run.counts[name] then parts[#parts + 1] = run.counts[name] .. " " .. name end
  end
  return table.concat(parts, ", ")
end

-- What the account had when it was asked, less what was ordered since.
local function credits_left(client, run)
  if not run.credits then return "" end
  return (", %.10g credits left"):format(run.credits - client:stats().credits_charged_total + run.charged)
end

local function look_at_credits(client, run)
  local charged = client:stats().credits_charged_total
  local credits = client:credits { deadline = 10 }
  if credits then run.credits, run.charged = credits, charged end
end

-- As a shell says it of a command that a signal ended, when nothing was ordered.
local SIGNALS = { INT = 130, TERM = 143, HUP = 129 }
-- The state that money asks for most is the run's.
local WORST = { [0] = 0, [1] = 1, [2] = 2, [130] = 3, [4] = 4, [3] = 5 }

-- A row's line.
local function told_row(run, row, out)
  local what = out.path or out.problem or ""
  if out.bytes then what = ("%s (%s)"):format(what, phrases.bytes(out.bytes)) end
  local known = out.exit == 0 and run.board.term.live -- a log tells more than a window has room for
  if out.taskId and not known and not what:find(out.taskId, 1, true) then
    what = ("%s, task %s"):format(what, out.taskId)
  end
  local took = row.began and out.state ~= "saved before" and " after " .. phrases.clock(veo.now() - row.began) or ""
  return ("line %d: %s%s: %s"):format(row.line, out.state, took, what)
end

-- A row has ended: its line, its result, its part of the exit code.
local function tell(session, run, row, out)
  run.ended, run.counts[out.state] = run.ended + 1, (run.counts[out.state] or 0) + 1
  if WORST[out.exit] > WORST[run.exit] then run.exit = out.exit end
  if not out.unbegun then
    run.board:note(session.term:fold(told_row(run, row, out), "  "), out.exit ~= 0) -- of the others only the sum is shown
  end
  local written = true
  if session.args.json then
    written = session.term:result(json.encode { line = row.line, ok = out.exit == 0, exit = out.exit,
      key = not row.problem and row.key or nil, operation = row.operation, state = out.state, taskId = out.taskId,
      ref = out.ref, path = out.path, bytes = out.bytes, error = out.error })
  elseif out.path and out.exit == 0 and not run.board.results_seen then
    written = session.term:result(out.path)
  end
  if not written then run.exit = 3 end
end

local function paint(session, client, run)
  if not run.board.on then return end
  local lines = {}
  for _, row in ipairs(run.rows) do
    if run.running[row] then
      lines[#lines + 1] = ("%5d  %-11s %7s  %s%s"):format(row.line, row.state, phrases.clock(veo.now() - row.began),
        row.rate and row.rate .. "  " or "", row.label)
    end
  end
  local ended = told_counts(run)
  local offline = session.offline and "no connection for " .. phrases.clock(veo.now() - session.offline) .. "; " or ""
  run.board:paint(lines, ("%s%d of %d ended after %s%s%s"):format(offline, run.ended, #run.rows,
    phrases.clock(veo.now() - run.began), credits_left(client, run), ended ~= "" and ": " .. ended or ""))
end

-- What the log tells of all rows at once; each row tells of itself.
local function listen(session, run)
  local said = {}
  local function once(text)
    if said[text] then return end
    said[text] = true
    run.board:note("note: " .. text)
  end
  local function heard(_, event)
    local offline = event.err and event.err.code == "network"
    session.offline = offline and (session.offline or veo.now()) or nil
    if event.offline == 0 then once("no connection, trying again until there is one: " .. tostring(event.err)) end
  end
  session.hears = { poll = heard, retry = heard, reply = heard,
    warning = function(_, event) once(event.message) end,
    ledger = function(_, event)
      once("the ledger could not be written; this is tried again until it can: " .. tostring(event.err))
    end }
end

-- The run ----------------------------------------------------------------------------------------------------------------

local function invalid(message)
  return errors.new { code = "invalid", operation = "batch", field = "file", sent = "no", message = message }
end

local function read(name)
  local file, why
  if name == "-" then file = io.stdin else file, why = inputs.open(name) end
  local text
  if file then text, why = file:read("*a") end
  if file and name ~= "-" then file:close() end
  if not text then return nil, invalid(tostring(why or name .. " cannot be read")) end
  local records, problem = rows_of.read(text)
  if not records then return nil, invalid(("%s: %s"):format(name == "-" and "standard input" or name, problem)) end
  return records
end

-- Why all rows cannot be saved under it.
local function common_name(output)
  local problem = filenames.problem(output)
  return problem and invalid(("-o %s: %s; or give a folder, with a slash at its end"):format(output,
    (problem:gsub("^path: ", ""))))
end

-- Rows of which nothing can be ordered are told before anything is.
local function tell_bad(session, run)
  local fine = {}
  for _, row in ipairs(run.rows) do
    if not row.problem then
      fine[#fine + 1] = row
    else
      tell(session, run, row, { state = row.over and "not ordered" or "bad", exit = row.over and 2 or 1,
        problem = row.problem, error = { code = row.over and "budget" or "invalid", message = row.problem } })
    end
  end
  return fine
end

-- Ends a row in its turn.
local function one(session, client, run, row)
  local out
  if run.stopping then
    out = orders.left(row, "interrupted", 130)
  elseif run.halted and not row.record then
    out = orders.left(row, "nothing more can be ordered: " .. run.halted, 2)
  else
    row.began, row.state, run.running[row] = veo.now(), "ordering", true
    row.job = client:spawn(orders.order, client, row, session.args)
    local ended, err = row.job:wait()
    out = ended or orders.failed(row, err)
    run.running[row] = nil
    if orders.halts(out) then run.halted = run.halted or out.error.message end
  end
  tell(session, run, row, out)
  return true
end

-- Ctrl-C: what is under way ends; an order that was sent still waits for its answer.
local function stop(run)
  if run.stopping then return end
  run.stopping = true
  run.board:note("stopping: nothing more is ordered; the answers of orders that were sent are waited for (Ctrl-C again "
    .. "ends at once)", true)
  for row in pairs(run.running) do row.job:cancel() end
end

-- The command as it was typed, without a database's password.
local function same_command()
  local words = { "veo" }
  for _, word in ipairs(rawget(_G, "arg") or {}) do
    words[#words + 1] = word:find("^%-[%w-]+$") and word or phrases.quote(texts.without_password(word))
  end
  return table.concat(words, " ")
end

-- What the same command again goes on with.
local LEFT = { "running", "not saved", "uncertain", "not ordered" }

local function sum_up(session, client, run)
  if not run.stopping then look_at_credits(client, run) end
  local charged, term = client:stats().credits_charged_total, session.term
  run.board:note(term:fold(("batch: %s in %s: %s%s%s"):format(phrases.count(#run.rows, "row"),
    phrases.clock(veo.now() - run.began), told_counts(run), charged > 0 and ("; %.10g credits"):format(charged) or "",
    credits_left(client, run)), "  "))
  if run.counts.failed then run.board:note("  failed rows are ordered again with --repeat-failed") end
  for _, state in ipairs(LEFT) do
    if run.counts[state] then
      return run.board:note("  to go on: " .. same_command() .. (session.args.file == "-" and "   (with the same rows)"
        or ""), true)
    end
  end
end

local function watch_credits(client, run)
  while client:sleep(CREDITS_EVERY) do look_at_credits(client, run) end
end

---@param session veo.cli.Session
---@param client veo.Client
function M.batch(session, client)
  local args = session.args
  local records, err = read(args.file)
  if records and records[2] and args.output and not args.output:find("/$") then err = common_name(args.output) end
  if not records or err then return nil, err end
  local run = { rows = rows_of.check(client, records, args.output), running = {}, counts = {}, charged = 0, ended = 0,
    exit = 0, board = boards.new(session), began = veo.now() }
  local plan
  plan, err = plans.plan(client, run.rows, args)
  if not plan then return nil, err end
  listen(session, run)
  local rows = tell_bad(session, run)
  if rows[1] then look_at_credits(client, run) end
  run.board:note("batch: " .. plans.words(plan, run.credits))
  if args.dry_run then return { told = true, exit = run.exit } end
  session.sending = "batch" -- should we fail ourselves, something may have been ordered
  session.on_stop = function() stop(run) end
  session.painter = function() paint(session, client, run) end
  local watcher = session.term.live and client:spawn(watch_credits, client, run)
  client:map(rows, function(row) return one(session, client, run, row) end, { limit = args.jobs or 50 })
  if watcher then watcher:cancel() end
  session.painter = nil
  sum_up(session, client, run)
  return { told = true, exit = run.exit == 130 and SIGNALS[session.signal] or run.exit }
end

return M
