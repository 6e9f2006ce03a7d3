--- Saving a result, to a file or into a function of the caller's. Nothing but a whole video ever stands under the
--- target's name, and what was fetched once is not fetched again.
---
---   download/source.lua  what is fetched, and a fresh link when the old one has died
---   download/fetch.lua   tries until it is whole              download/part.lua    the unfinished file and its notes
---   download/file.lua    to a path                            download/stream.lua  to a function
---   gate.lua             how many at once

local lazy = require "veo.lazy"
local files = require "veo.download.file"
local gates = require "veo.gate"
local sheltered = require "veo.sheltered"
local sources = require "veo.download.source"
local streams = lazy "veo.download.stream"

local M = {}

local function save(ctx, source, target, options)
  local leave, err = gates.enter(ctx, ctx.downloads, "download")
  if not leave then return nil, err end
  local room = type(target) == "string" and files or streams
  local result
  result, err = room.run(ctx, source, target, options)
  leave()
  return result, err
end

---Saves a video.
---@param ctx table
---@param given veo.Status|string|{ url: string, taskId: string|nil }  a succeeded status, or a URL
---@param target string|fun(chunk: string): false|nil
---@param options table             the `download` options
---@return { path: string|nil, bytes: integer, taskId: string|nil, requests: integer }|nil file
---@return veo.Error|nil err
function M.download(ctx, given, target, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local source, err = sources.new(given)
  if not source then return nil, err end
  local file
  file, err = sheltered(ctx, save, ctx, source, target, options)
  if ctx.log then
    ctx.log { event = "save", taskId = source.taskId, path = type(target) == "string" and target or nil,
      bytes = file and file.bytes, err = err }
  end
  return file, err
end

return M
