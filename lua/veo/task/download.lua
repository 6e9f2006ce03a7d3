--- Saves a result, to a file or into a function of the caller's. Only a whole video ever has the target's name, and
--- what was fetched once is not fetched again.
---
---   download/lookup.lua  a task in place of its link
---   download/source.lua  what is fetched, and a fresh link when the old one has died
---   download/attempts.lua  tries until it is whole    download/partial.lua  the unfinished file and its notes
---   download/content.lua what is a video              download/extent.lua  what is all of it
---   download/verify.lua  what its boxes say of that      download/part_names.lua  its name until then
---   download/encoding.lua  what comes encoded
---   download/to_file.lua  to a path                            download/to_function.lua  to a function
---   async/semaphore.lua  how many at once

local type = type

local lazy = require("veo.util.lazy").room
local as_job = require "veo.async.as_job"
local destinations = require "veo.task.download.destination"
local lookup = require "veo.task.download.lookup"
local semaphores = require "veo.async.semaphore"
local sources = require "veo.task.download.source"
local to_file = require "veo.task.download.to_file"
local to_function = lazy "veo.task.download.to_function"

local M = {}

-- A download of a task is counted before it waits for a place, so that a resume of the same client leaves it alone.
local function attend(ctx, taskId)
  local saving = ctx.saving
  saving[taskId] = (saving[taskId] or 0) + 1
  local place = {}
  function place.drop()
    if place.left then return end
    place.left = true
    saving[taskId] = saving[taskId] > 1 and saving[taskId] - 1 or nil
  end
  ctx.scheduler:on_drop(place)
  return function()
    place.drop()
    ctx.scheduler:settled(place)
  end
end

---Whether a call of this client saves the task just now.
---@param ctx table
---@param taskId string
---@return boolean
function M.is_saving(ctx, taskId)
  return ctx.saving[taskId] ~= nil
end

local function save(ctx, source, target, options)
  local done = source.taskId and attend(ctx, source.taskId)
  local leave, err = semaphores.enter(ctx, ctx.downloads, "download")
  local result
  if leave then
    local room = type(target) == "string" and to_file or to_function
    result, err = room.run(ctx, source, target, options)
    leave()
  end
  if done then done() end
  return result, err
end

---Saves a video.
---@param ctx table
---@param given veo.Status|string|{ url: string, taskId: string|nil }|{ taskId: string }  a succeeded status, a URL, or a task
---@param target string|fun(chunk: string): false|nil
---@param options table             the `download` options
---@return { path: string|nil, bytes: integer, taskId: string|nil, requests: integer, verified: boolean|nil }|nil file
---@return veo.Error|nil err
function M.download(ctx, given, target, options)
  local status, err, file = lookup.look(ctx, given, target, options)
  if file or err then return file, err end
  local source
  source, err = sources.new(status or given)
  if not source then return nil, err end
  if type(target) == "string" then
    err = destinations.busy(ctx, target, options.destination)
    if err then
      err.operation, err.taskId = "download", source.taskId
      return nil, err
    end
  end
  file, err = as_job(ctx, save, ctx, source, target, options)
  if ctx.log then
    ctx.log { event = "save", taskId = source.taskId, path = type(target) == "string" and target or nil,
      bytes = file and file.bytes, err = err }
  end
  return file, err
end

return M
