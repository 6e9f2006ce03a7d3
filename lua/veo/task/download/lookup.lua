--- A task given in place of a link: one look finds its video. Nothing is waited for.

local type = type
local format = string.format

local errors = require "veo.errors"
local journals = require "veo.task.download.journal"
local no_video = require "veo.util.no_video"
local query = require "veo.task.query"
local targets = require "veo.task.download.target"
local texts = require "veo.util.text"
local wire = require "veo.wire"

local M = {}

-- The states of a status, which says itself that it names no video; a ledger's record may have said so days ago.
local LOOKED = { generating = true, succeeded = true, failed = true }

---The taskId, when that is what was given to download.
---@param given any
---@return string|nil
function M.named(given)
  if type(given) == "string" then return not texts.is_link(given) and given or nil end
  if errors.is(given) or given.video_url or given.url or LOOKED[given.state] and not given.ref then return nil end
  return given.taskId
end

---The task's own file, which is there; or why it cannot be written. Asks nobody.
---@return table|nil file, veo.Error|nil err
function M.at_target(ctx, task, target, options)
  local taskId = task.taskId
  local journal = journals.new(ctx, { taskId = taskId, version = task.version }, target, options)
  local there = journal and journal:there()
  if there then return there end
  local err = targets.check(target, options.overwrite, options.mkdir)
  if err then err.operation, err.taskId = "download", taskId end
  return nil, err
end

-- Asks the service. Its answer is noted in the ledger, and so is that there is no video.
local function ask(ctx, taskId)
  local status, err = query.status(ctx, taskId, { free = ctx.defaults.patient, retry = ctx.retry })
  if status then err = no_video(status) elseif not err.taskId then err.taskId = taskId end
  if err then status = nil end
  if ctx.ledger then ctx.ledger:ended(taskId, status, err) end
  return status, err
end

---Why a task's video is not this caller's to save.
---@return veo.Error|nil
function M.refusal(taskId, given)
  local ok, err = wire.task_id(taskId, "download")
  if not ok then return err end
  if type(given) ~= "table" or given.state ~= "uncertain" then return nil end
  return errors.new { code = "uncertain", operation = "download", message = format("the order %s is uncertain, "
    .. "and nobody has confirmed that task %s is its own: see client:settle", wire.printable(given.ref or "", 80),
    taskId) }
end

---Looks where a task's video is. All nil: go on as with what was given.
---@param ctx table
---@param given any
---@param target string|function
---@param options table  the `download` options
---@return veo.Status|nil status
---@return veo.Error|nil err
---@return table|nil file  it is at the target already
function M.look(ctx, given, target, options)
  local taskId = M.named(given)
  if not taskId then return nil end
  local err = M.refusal(taskId, given)
  if err then return nil, err end
  if type(target) == "string" then
    local file
    file, err = M.at_target(ctx, { taskId = taskId }, target, options)
    if file or err then return nil, err, file end
  end
  return ask(ctx, taskId)
end

return M
