--- The end of every order: waiting for the task and saving its video.

local clean = require("veo.cli.terminal").clean
local phrases = require "veo.cli.phrases"

local M = {}

local function outcome_of(status, file, task)
  task = task or {}
  return { text = file and file.path or nil, json = { taskId = status.taskId, state = status.state,
    path = file and file.path, bytes = file and file.bytes, video_url = status.video_url, ref = task.ref,
    key = task.key, joined = task.joined } }
end

---Why the video cannot be saved under its name. Nothing is asked of the service.
---@param session veo.cli.Session
---@param client veo.Client
---@return veo.Error|nil problem
function M.problem(session, client)
  local args = session.args
  if not args.output then return nil end
  local _, problem = client:check_path(args.output, { overwrite = args.force, mkdir = args.mkdir })
  return problem
end

---Saves a succeeded task.
---@param session veo.cli.Session
---@param client veo.Client
---@param status veo.Status
---@param task table|nil  what the order returned
function M.save(session, client, status, task)
  local path = session.args.output
  session.state = status.state
  local file, err = client:download(status, path, session:download_options(path))
  if not file then return nil, err end
  session.term:note(("%s: %s, %d bytes"):format(file.already and "saved before" or "saved", path, file.bytes))
  return outcome_of(status, file, task)
end

---The video of the same order is there already.
---@param session veo.cli.Session
---@param task table
function M.before(session, task)
  session.term:note(("saved before: %s, %d bytes"):format(task.path, task.bytes))
  return outcome_of({ taskId = task.taskId, state = "succeeded" }, task, task)
end

---@param session veo.cli.Session
---@param client veo.Client
---@param taskId string
---@param task table|nil
function M.wait_and_save(session, client, taskId, task)
  local status, err = client:wait(taskId, session:wait_options())
  if not status then return nil, err end
  if session.args.output then return M.save(session, client, status, task) end
  local outcome = outcome_of(status, nil, task)
  -- After an order the id is what the next order needs; after `veo wait ID` only the link is new.
  local text = task and status.taskId or status.video_url
  outcome.text = text and clean(text)
  if task then
    session.term:note(("succeeded; links expire, so save it soon: veo download %s -o FILE"):format(
      phrases.quote(status.taskId)))
  end
  return outcome
end

return M
