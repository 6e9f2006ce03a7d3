--- The free commands about one task or the account: wait, status, download, credits.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local no_video = require "veo.util.no_video"
local save = require "veo.cli.save"
local texts = require "veo.util.text"

local M = {}

-- The status of a task whose video may be the file that exists: the download knows that file. The service is not asked:
-- it may have forgotten the task.
local function saved_before(client, taskId, problem)
  if not problem or problem.code ~= "exists" then return nil end
  local known = client:tasks { taskId = taskId }
  local record = known and known[#known]
  return record and record.digest and record.video_url
    and { taskId = taskId, video_url = record.video_url, state = "succeeded" } or nil
end

---@param session veo.cli.Session
---@param client veo.Client
function M.wait(session, client)
  local args = session.args
  local problem = save.problem(session, client)
  session.taskId = args.task
  local before = saved_before(client, args.task, problem)
  if before then return save.save(session, client, before) end
  if problem then return nil, problem end
  return save.wait_and_save(session, client, args.task)
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
    local empty = type(value) == "table" and next(value) == nil -- JSON could not tell whether it was a list
    if name ~= "raw" and name ~= "json" and not empty then json[name] = value end
  end
  return { text = table.concat(lines, "\n"), json = json }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.download(session, client)
  local args = session.args
  if not args.output then
    return nil, errors.new { code = "invalid", field = "output", message = "download needs -o FILE", sent = "no" }
  end
  local problem = save.problem(session, client)
  local before = saved_before(client, args.source, problem)
  if before then return save.save(session, client, before) end
  if problem then return nil, problem end
  if texts.is_link(args.source) then
    local file, err = client:download(args.source, args.output, session:download_options(args.output))
    if not file then return nil, err end
    session.term:note(("saved: %s, %d bytes"):format(args.output, file.bytes))
    return { text = file.path, json = { path = file.path, bytes = file.bytes } }
  end
  session.taskId = args.source
  local status, err = client:status(args.source)
  if not status then return nil, err end
  err = no_video(status)
  if err then return nil, err end
  return save.save(session, client, status)
end

---@param session veo.cli.Session
---@param client veo.Client
function M.credits(session, client)
  local credits, err = client:credits()
  if not credits then return nil, err end
  return { text = ("%.14g"):format(credits), json = { credits = credits } }
end

return M
