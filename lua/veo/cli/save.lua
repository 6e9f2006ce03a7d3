--- The end of every order: waiting for the task and saving its video.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local phrases = require "veo.cli.phrases"

local M = {}

-- Standard output has one line: the file, or with `--print id` the task.
local function text_of(session, taskId, path)
  return session.args.print ~= "id" and path or taskId and clean(taskId) or path
end

local function outcome_of(session, status, file, task)
  task = task or {}
  return { text = file and text_of(session, status.taskId, file.path) or nil, json = { taskId = status.taskId,
    state = status.state, path = file and file.path, bytes = file and file.bytes, video_url = status.video_url,
    ref = task.ref, key = task.key, joined = task.joined } }
end

---The file that a task's video is saved in; nil where it is not saved in one.
---@param session veo.cli.Session
---@param known table  taskId, and what else is known of the order
---@return string|nil
function M.path(session, known)
  return session.target:path { taskId = known.taskId, ref = known.ref, key = known.key,
    operation = known.operation or session.args.command, created = known.created }
end

---Why the video cannot be saved under its name. Nothing is asked of the service.
---@param session veo.cli.Session
---@param client veo.Client
---@param path string|nil
---@return veo.Error|nil problem
function M.problem(session, client, path)
  path = path or session.target.pattern and not session.target.open and session.target.pattern
  if not path then return nil end
  local _, problem = client:check_path(path, { overwrite = session.args.force, mkdir = true })
  return problem
end

-- Before an order whose file has no name yet: whether its folder can take one.
function M.folder_problem(session, client)
  local probe = session.target:probe()
  if not probe then return nil end
  local _, problem = client:check_path(probe, { overwrite = true, mkdir = true })
  return problem
end

-- To standard output, which may be a pipe that is closed before the end.
local function pour(session, client, source)
  local closed
  local options = session:download_options("standard output")
  local file, err = client:download(source, function(chunk)
    if io.stdout:write(chunk) then return end
    closed = true
    return false
  end, { on_progress = options.on_progress })
  if file and not io.stdout:flush() then closed = true end
  if closed then
    err = errors.new { code = "io", operation = "download", taskId = session.taskId, charged = "no",
      reader_gone = true, message = "standard output cannot be written, or was closed before the end of the video" }
  end
  if err then return nil, err end
  session.term:note(("written to standard output: %s"):format(phrases.bytes(file.bytes)), "good")
  return { json = {} }
end
M.pour = pour

---Saves a succeeded task.
---@param session veo.cli.Session
---@param client veo.Client
---@param status veo.Status
---@param task table|nil  what the order returned
function M.save(session, client, status, task)
  session.state = status.state
  if session.target.stdout then return pour(session, client, status) end
  local known = task and task.taskId and task or session.known or { taskId = status.taskId }
  local path = M.path(session, known)
  session.path = path
  local file, err = client:download(status, path, session:download_options(path))
  if not file then return nil, err end
  session.term:note(("%s: %s, %d bytes"):format(file.already and "saved before" or "saved", path, file.bytes), "good")
  return outcome_of(session, status, file, task)
end

---The video of the same order is there already.
---@param session veo.cli.Session
---@param task table
function M.before(session, task)
  session.term:note(("saved before: %s, %d bytes"):format(task.path, task.bytes), "good")
  return outcome_of(session, { taskId = task.taskId, state = "succeeded" }, task, task)
end

---The status of a task whose video may be the file that exists: the download knows that file. The service is not asked,
---because it may have forgotten the task.
---@param client veo.Client
---@param taskId string
---@param problem veo.Error|nil
---@return veo.Status|nil
function M.saved_before(client, taskId, problem)
  if not problem or problem.code ~= "exists" then return nil end
  local known = client:tasks { taskId = taskId }
  local record = known and known[#known]
  return record and record.digest and record.video_url
    and { taskId = taskId, video_url = record.video_url, state = "succeeded" } or nil
end

---@param session veo.cli.Session
---@param client veo.Client
---@param taskId string
---@param task table|nil
function M.wait_and_save(session, client, taskId, task)
  local status, err = client:wait(taskId, session:wait_options())
  if not status then return nil, err end
  if not session.target.none then return M.save(session, client, status, task) end
  local outcome = outcome_of(session, status, nil, task)
  -- After an order the id is what the next order needs; after `veo wait ID` only the link is new.
  local text = (task or session.args.print == "id") and status.taskId or status.video_url
  outcome.text = text and clean(text)
  if task then
    session.term:note("succeeded; links expire, so save it soon: veo download " .. phrases.quote(status.taskId)
      .. phrases.ledger)
  end
  return outcome
end

return M
