--- The commands around the ledger: tasks, resume, settle, prune.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local phrases = require "veo.cli.phrases"
local veo = require "veo"

local M = {}

local KEPT = { "ref", "state", "operation", "key", "taskId", "price", "consumed", "created", "updated", "video_url",
  "path", "params", "err", "evidence" }
local COUNTS = { "saved", "done", "failed", "open", "busy", "elsewhere", "lost", "adopted" }
local COUNTED = { elsewhere = "held by other processes" } -- where the name alone says too little

local function record_of(record)
  local out = {}
  for _, name in ipairs(KEPT) do out[name] = record[name] end
  return out
end

local function line_of(record)
  local parts = { os.date("%Y-%m-%d %H:%M", math.floor(record.created)), ("%-9s"):format(record.state),
    ("%-8s"):format(record.operation), record.taskId or "(no taskId; ref " .. record.ref .. ")" }
  if record.key then parts[#parts + 1] = "key " .. record.key end
  if record.path then parts[#parts + 1] = record.path end
  if record.state == "uncertain" and record.taskId then parts[#parts + 1] = "ref " .. record.ref end
  return clean(table.concat(parts, "  "))
end

-- Lines are printed a page at a time, so that a long list is never held.
local PAGE = 200

---@param session veo.cli.Session
---@param client veo.Client
function M.tasks(session, client)
  local args = session.args
  local each, err = client:each_task { open = args.open or nil, state = args.state }
  if not each then return nil, err end
  local lines, list = {}, {}
  local function print_page()
    local written = not lines[1] or session.term:result(table.concat(lines, "\n"))
    lines = {}
    client:sleep(0) -- Ctrl-C is heard
    return written
  end
  for record, why in each do
    if not record then return nil, why end
    if args.json then list[#list + 1] = record_of(record) else lines[#lines + 1] = line_of(record) end
    if #lines == PAGE and not print_page() then return { exit = 2 } end
  end
  return { text = lines[1] and table.concat(lines, "\n") or nil, json = { tasks = list } }
end

-- What is left to say after a resume, and the exit code that goes with it.
local function sum_up(session, summary)
  local parts = {}
  for _, name in ipairs(COUNTS) do
    if summary[name] > 0 then parts[#parts + 1] = ("%d %s"):format(summary[name], COUNTED[name] or name) end
  end
  local uncertain = #summary.uncertain
  if uncertain > 0 then parts[#parts + 1] = uncertain .. " uncertain" end
  session.term:note("resume: " .. (parts[1] and table.concat(parts, ", ") or "nothing was open"))
  for _, record in ipairs(summary.uncertain) do
    session.term:note(("uncertain: %s of %s; find out, then: veo settle %s %s%s%s"):format(record.operation,
      os.date("%Y-%m-%d %H:%M", math.floor(record.created)), record.ref, record.taskId or "TASK", phrases.ledger,
      record.taskId and "" or "   (or lost)"))
  end
  if uncertain > 0 or summary.open > 0 then return 3 end
  return summary.failed > 0 and 4 or 0
end

-- What is finished and waits to be fetched, when no pattern says where to.
local function finished(client)
  local lines = {}
  for i, record in ipairs(client:tasks { state = "done" } or {}) do
    lines[i] = clean(record.taskId .. " " .. (record.video_url or ""))
  end
  return lines
end

---@param session veo.cli.Session
---@param client veo.Client
function M.resume(session, client)
  local args, term = session.args, session.term
  local problem = args.output and filenames.problem(args.output)
  if problem then
    return nil, errors.new { code = "invalid", field = "output", message = "-o: " .. problem:gsub("^path: ", "") }
  end
  local wait, ended, list, unwritten = session:wait_options(), 0, {}, false
  session.waiting = nil
  wait.on_progress = nil
  local began = veo.now()
  session:showing("resuming", function()
    return ("resuming for %s, %s ended"):format(phrases.clock(veo.now() - began), phrases.count(ended, "task"))
  end)
  local summary, err = client:resume { path = args.output, wait = wait,
    download = { overwrite = args.force, mkdir = true },
    -- Without a file name nothing is handed over: the ledger goes on listing what is finished.
    on_result = args.output and function(_, record, why, file)
      ended = ended + 1
      list[#list + 1] = { taskId = record.taskId, ref = record.ref, key = record.key, state = record.state,
        path = file and file.path, error = why and { code = why.code, message = why.message } or nil }
      if why then
        term:note(clean(("task %s: %s"):format(record.taskId, tostring(why))))
      elseif file and not args.json and not term:result(file.path) then
        unwritten = true
        term:problem("saved, though standard output cannot be written: " .. clean(file.path))
      end
    end or nil }
  if not summary then return nil, err end
  local exit = sum_up(session, summary)
  if unwritten then exit = 3 end
  local json = { tasks = list, uncertain = {} }
  for i, record in ipairs(summary.uncertain) do json.uncertain[i] = record_of(record) end
  for _, name in ipairs(COUNTS) do json[name] = summary[name] end
  local lines = not args.output and finished(client) or {}
  return { text = lines[1] and table.concat(lines, "\n") or nil, json = json, exit = exit }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.settle(session, client)
  local args = session.args
  local record, err = client:settle(args.ref, args.word, { force = args.force })
  if not record then return nil, err end
  session.term:note(("settled: %s is %s"):format(record.ref, record.state))
  return { text = record.taskId or record.state, json = record_of(record) }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.prune(session, client)
  local args = session.args
  session:showing("pruning", function() return "pruning" end)
  local found, err = client:prune { days = args.days, dry_run = args.dry_run or nil }
  if not found then return nil, err end
  return { json = found, text = ("%s%s, %s of text"):format(args.dry_run and "would prune " or "pruned ",
    phrases.count(found.pruned, "order"), phrases.bytes(found.bytes)) }
end

return M
