--- The free commands about one task or the account: wait, status, download, credits.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local no_video = require "veo.util.no_video"
local save = require "veo.cli.save"
local targets = require "veo.cli.target"

local M = {}

-- What the ledger knows of a task: its order may give the file its name.
local function known_of(session, client, taskId)
  local records = session.args.ledger and client:tasks { taskId = taskId }
  return records and records[#records] or { taskId = taskId }
end

-- A file that is there already: the outcome when it is the task's own video, else an error. Nil when it can be saved.
local function look(session, client, known)
  session.taskId, session.known = known.taskId, known
  local problem = save.problem(session, client, save.path(session, known))
  local before = save.saved_before(client, known.taskId, problem)
  if before then return save.save(session, client, before, known) end
  return nil, problem
end

---@param session veo.cli.Session
---@param client veo.Client
function M.wait(session, client)
  local known = known_of(session, client, session.args.task)
  local before, problem = look(session, client, known)
  if before or problem then return before, problem end
  return save.wait_and_save(session, client, session.args.task)
end

local SHOWN = { { "task", "taskId" }, { "state", "state" }, { "video", "video_url" }, { "resolution", "resolution" },
  { "code", "errorCode" }, { "error", "errorMessage" } }

---@param session veo.cli.Session
---@param client veo.Client
function M.status(session, client)
  session.taskId = session.args.task
  local status, err = client:status(session.args.task)
  if not status then return nil, err end
  local lines, json = {}, {}
  for _, pair in ipairs(SHOWN) do
    local value = status[pair[2]]
    if value ~= nil then lines[#lines + 1] = ("%-11s%s"):format(pair[1], clean(value)) end
  end
  for name, value in pairs(status) do
    if name ~= "raw" and name ~= "json" then json[name] = value end
  end
  return { text = table.concat(lines, "\n"), json = json }
end

-- A link has its own name, where none is given.
local function download_link(session, client, link)
  if session.target.stdout then return save.pour(session, client, link) end
  local known = { taskId = targets.name_in(link) }
  local path = save.path(session, known)
  local problem = save.problem(session, client, path)
  if problem then return nil, problem end
  local file, err = client:download(link, path, session:download_options(path))
  if not file then return nil, err end
  session.term:note(("saved: %s, %d bytes"):format(path, file.bytes), "good")
  return { text = file.path, json = { path = file.path, bytes = file.bytes } }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.download(session, client)
  local source = session.args.source
  if session.target.none then
    return nil, errors.new { code = "invalid", field = "output", sent = "no", message = "download saves a video" }
  end
  if targets.is_link(source) then return download_link(session, client, source) end
  local known = known_of(session, client, source)
  local before, problem = look(session, client, known)
  if before or problem then return before, problem end
  local status, err = client:status(source)
  if not status then return nil, err end
  err = no_video(status)
  if err then return nil, err end
  return save.save(session, client, status, known)
end

---@param session veo.cli.Session
---@param client veo.Client
function M.credits(session, client)
  local credits, err = client:credits()
  if not credits then return nil, err end
  return { text = ("%.14g"):format(credits), json = { credits = credits } }
end

return M
