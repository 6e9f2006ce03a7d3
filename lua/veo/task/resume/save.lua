--- Saves the video of a claimed task, where a pattern or a function of the user's says. Each step is one of the claim: a
--- worker that lost it goes no further.

local pairs, setmetatable, type = pairs, setmetatable, type
local format = string.format

local core = require "veo.core"
local downloads = require "veo.task.download"
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local fingerprints = require "veo.task.download.fingerprint"
local journals = require "veo.task.download.journal"
local part_names = require "veo.task.download.part_names"
local texts = require "veo.util.text"

-- What the ledger is told of the download, by the steps of the claim.
local Claimed = setmetatable({}, { __index = journals.class })
Claimed.__index = Claimed

function Claimed:note(identity)
  local mine, held = self.step { state = "done", status = self.status, file = self:file(identity) }
  self.lost = not mine
  if mine then return journals.problem(self, held) end
  return errors.new { code = "busy", operation = "resume", taskId = self.taskId,
    message = "another worker has taken the task over" }
end

function Claimed:saved()
  self.lost = not self.step { state = "saved", file = self:file(self.identity) }
end

function Claimed.there() return nil end -- looked for already
function Claimed.failed() end

-- The file of a worker that was killed before it said so.
local function find(ctx, step, record, status, path)
  local noted = journals.there(ctx, record.taskId, path)
  if not noted then return nil end
  if not step { state = "saved", status = status, file = { path = noted.at, size = noted.size, digest = noted.digest } }
  then
    return nil, true
  end
  return { path = path, bytes = noted.size, taskId = record.taskId, already = true }
end

-- All of it has come and was noted, and it has no name yet.
local function is_whole(ctx, record, path)
  local part = not core.kind(path) and part_names.find(path)
  return part and fingerprints.agrees(ctx, record, part)
end

local M = {}

---The noted end of a task whose whole video is here, under its name or not yet: nothing is asked of the service, which may
---have forgotten it.
---@param ctx table
---@param record veo.Record
---@return veo.Status|nil
function M.here(ctx, record)
  local status, path = record.status, record.path
  if not path or not status or not status.video_url then return nil end
  return (fingerprints.agrees(ctx, record, path) or is_whole(ctx, record, path)) and status or nil
end

-- The function may raise and may wait, so it gets a job of its own: Lua 5.1 cannot yield across pcall.
local function ask(ctx, name, record, status)
  local job = ctx.scheduler:spawn(name, record, status)
  local cleanup = ctx.scheduler:on_drop { drop = function() job:cancel() end }
  local path, err = job:wait()
  ctx.scheduler:settled(cleanup)
  return path, err
end

-- Where to save it. What is wrong with the function's answer concerns its own task alone.
local function path_of(ctx, name, record, status)
  if type(name) == "string" then return filenames.fill(name, record) end
  local path, err = ask(ctx, name, record, status)
  if not texts.path_problem(path) then return path end
  if path ~= nil or not errors.is(err) then
    err = errors.new { code = "invalid", sent = "no", given = type(path), expected = "a file name",
      message = format("path: the function returned %s instead of a file name",
        type(path) == "string" and "text that no file can be named" or type(path)) }
  end
  err.operation, err.field, err.taskId, err.charged = "resume", "path", record.taskId, "no"
  return nil, err
end

-- Notes the end of a task whose video is not saved. The error is returned while the claim holds.
local function give_up(step, status, err)
  return nil, step { state = "done", status = status } and err or nil
end

-- Fetches it to the path.
local function fetch(ctx, options, record, status, step, path)
  local journal = setmetatable({ ctx = ctx, taskId = record.taskId, path = path, step = step, status = status,
    take = core.kind(path) == "file" and "free" or nil }, Claimed)
  local own = { journal = journal }
  for name, value in pairs(options.download) do own[name] = value end
  local file, err = downloads.download(ctx, status, path, own)
  if journal.lost then return nil end
  if not file and not journal.at then return give_up(step, status, err) end -- nothing could be begun
  return file, err
end

---@param ctx table
---@param options table  of resume
---@param record veo.Record
---@param status veo.Status
---@param step fun(fields: table): true|nil, table|nil  makes a step of the claim: whether it is still ours, and which other task has the name
---@return table|nil file
---@return veo.Error|nil err  without a file nor this, the claim is lost
function M.save(ctx, options, record, status, step)
  local path = record.path
  local file, lost, err
  if path then
    file, lost = find(ctx, step, record, status, path)
    if file or lost then return file end
  end
  if not path or not is_whole(ctx, record, path) then
    path, err = path_of(ctx, options.path, record, status)
    if not path then return give_up(step, status, err) end
  end
  if core.kind(path) ~= "file" or options.download.overwrite then
    return fetch(ctx, options, record, status, step, path)
  end
  file, lost = find(ctx, step, record, status, path)
  if file or lost then return file end
  return give_up(step, status, errors.new { code = "exists", operation = "resume", path = path,
    taskId = record.taskId, message = path .. " exists already, and is not known to be this task's video" })
end

return M
