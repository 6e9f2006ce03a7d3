--- A task's video, saved: its name is taken and looked at first, then the task is waited for, then its video is fetched.

local pairs, type = pairs, type

local as_job = require "veo.async.as_job"
local core = require "veo.core"
local destinations = require "veo.task.download.destination"
local downloads = require "veo.task.download"
local lookup = require "veo.task.download.lookup"
local partials = require "veo.task.download.partial"
local waits = require "veo.task.wait"

local M = {}

-- A ledger's `done` is older than a look.
local function has_video(task)
  return task.video_url ~= nil and (task.state == nil or task.state == "succeeded")
end

---Waits for a task, unless its video is known, and fetches that.
---@param ctx veo.Context
---@param task table
---@param target string|function
---@param options { wait: table, download: table }
---@return table|nil file, veo.Error|nil err
function M.fetch(ctx, task, target, options)
  local status, err = task, nil
  if not has_video(task) then status, err = waits.wait(ctx, task.taskId, options.wait) end
  if not status then return nil, err end
  return downloads.download(ctx, status, target, options.download)
end

-- Another order's name.
local function held(ctx, task, path, download)
  if not ctx.ledger then return nil end
  local row = ctx.ledger:keeper(core.absolute(path), task.taskId, download.overwrite, partials.look)
  return row and destinations.held("save", path, row) or nil
end

local function under_name(ctx, task, path, options)
  local download = {} -- those given may be shared with other calls
  for name, value in pairs(options.download) do download[name] = value end
  local destination, err = destinations.take(ctx, path, download.mkdir)
  if not destination then
    err.operation, err.taskId = "save", task.taskId
    return nil, err
  end
  destination.idle = true -- whatever becomes of this call, the name is the order's that it was given to
  download.destination = destination
  local file
  file, err = lookup.at_target(ctx, task, path, download)
  if not file and not err then err = held(ctx, task, path, download) end
  if not file and not err then file, err = M.fetch(ctx, task, path, { wait = options.wait, download = download }) end
  destinations.leave(destination, true)
  return file, err
end

---Why a task may not be used: nobody has confirmed that it is the order's.
---@return veo.Error|nil
function M.refusal(task)
  return lookup.refusal(task.taskId, task)
end

---@param ctx veo.Context
---@param task table
---@param target string|function
---@param options { wait: table, download: table }
---@return table|nil file, veo.Error|nil err
function M.save(ctx, task, target, options)
  local err = M.refusal(task)
  if err then return nil, err end
  return as_job(ctx, type(target) == "string" and under_name or M.fetch, ctx, task, target, options)
end

return M
