--- Saving a result, to a file or into a function of the caller's. Nothing but a whole video ever stands under the
--- target's name, and what was fetched once is not fetched again.
---
---   download/task.lua    a task in place of its link
---   download/source.lua  what is fetched, and a fresh link when the old one has died
---   download/fetch.lua   tries until it is whole              download/part.lua    the unfinished file and its notes
---   download/content.lua what is a video              download/extent.lua  what is all of it
---   download/verify.lua  what its boxes say of that      download/unfinished.lua  its name until then
---   download/encoding.lua  what comes encoded
---   download/file.lua    to a path                            download/stream.lua  to a function
---   gate.lua             how many at once

local type = type

local lazy = require("veo.lazy").room
local files = require "veo.download.file"
local gates = require "veo.gate"
local goals = require "veo.download.goal"
local sheltered = require "veo.sheltered"
local sources = require "veo.download.source"
local streams = lazy "veo.download.stream"
local tasks = require "veo.download.task"

local M = {}

-- A download of a task is counted from before it stands in line, so that a resume of the same client leaves it alone.
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
  local leave, err = gates.enter(ctx, ctx.downloads, "download")
  local result
  if leave then
    local room = type(target) == "string" and files or streams
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
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local status, err, file = tasks.look(ctx, given, target, options)
  if file or err then return file, err end
  local source
  source, err = sources.new(status or given)
  if not source then return nil, err end
  if type(target) == "string" then
    err = goals.busy(ctx, target, options.goal)
    if err then
      err.operation, err.taskId = "download", source.taskId
      return nil, err
    end
  end
  file, err = sheltered(ctx, save, ctx, source, target, options)
  if ctx.log then
    ctx.log { event = "save", taskId = source.taskId, path = type(target) == "string" and target or nil,
      bytes = file and file.bytes, err = err }
  end
  return file, err
end

return M
