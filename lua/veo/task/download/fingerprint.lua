--- What identifies a file: its length, and a hash of its first and last 64 KiB. That a file of some name exists does
--- not show whose it is.

local core = require "veo.core"
local descriptors = require "veo.async.descriptors"

local M = {}

---Reads it from the file, on a thread: 2 ms of hashing, and the disk's time.
---@param ctx table
---@param path string
---@return { size: number, digest: string, boxes: "whole"|"open"|"cut"|"strange"|nil, box_at: number|nil }|nil identity  `boxes`: whether those of an MP4 file fill it; "open": the last one goes on to the end, wherever that is
---@return table|nil failure  of the core
function M.of(ctx, path)
  return descriptors.patiently(ctx, function() return ctx.scheduler:exchange(nil, "digest", { path = path }) end)
end

---Whether the file is the one that was noted.
---@param ctx table
---@param noted { size: number|nil, digest: string|nil }
---@param path string
---@return boolean
function M.agrees(ctx, noted, path)
  if not noted.digest or core.kind(path) ~= "file" then return false end
  local found = M.of(ctx, path)
  return found ~= nil and found.size == noted.size and found.digest == noted.digest
end

return M
