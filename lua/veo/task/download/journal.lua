--- What the ledger is told of a video on its way to a path: the path before the first byte, and what identifies the
--- file before the file gets that name. So whenever the process is killed, a file under the name is the task's when it
--- agrees with the ledger, and somebody else's when it does not.

local setmetatable = setmetatable
local format = string.format

local attempts = require "veo.task.download.attempts"
local core = require "veo.core"
local ended = require "veo.async.ended"
local fingerprints = require "veo.task.download.fingerprint"
local part_names = require "veo.task.download.part_names"

local M = {}
---@class veo.download.Journal
local Journal = {}
Journal.__index = Journal
M.class = Journal

---@param ctx table
---@param source veo.download.Source
---@param path string
---@param options table  the `download` options
---@return veo.download.Journal|nil  nil without a ledger, or for what is no task's
function M.new(ctx, source, path, options)
  if not ctx.ledger or not source.taskId then return nil end
  return setmetatable({ ctx = ctx, taskId = source.taskId, path = path, take = options.overwrite and "replace" or nil,
    beats = true, other = source.version ~= nil }, Journal) -- another form of the video: the task's own file stays the noted one
end

---What is noted of the task's video, when the file under this name is that.
---@param ctx table
---@param taskId string
---@param path string
---@return { size: number, digest: string, at: string }|nil
function M.there(ctx, taskId, path)
  local at = core.kind(path) == "file" and core.absolute(path)
  local noted = at and ctx.ledger:file(taskId, at)
  if not noted or noted.held or not fingerprints.agrees(ctx, noted, path) then return nil end
  part_names.find(path) -- sweeps
  noted.at = at
  return noted
end

---The file, when it is there already.
---@return table|nil file
function Journal:there()
  local noted = not self.take and not self.other and M.there(self.ctx, self.taskId, self.path)
  if not noted then return nil end
  self.ctx.ledger:saved(self.taskId, noted.at, noted)
  return { path = self.path, bytes = noted.size, taskId = self.taskId, requests = 0, already = true }
end

---Why the file cannot get its name, when another task has that.
---@param held table|nil  the other task's row
---@return veo.Error|nil
function M.problem(self, held)
  if not held then return nil end
  local whose = held.task_id and "task " .. held.task_id or "order " .. held.ref
  return attempts.problem(held.live and "busy" or "exists", self, self.path, format("%s is where the video of %s %s",
    self.path, whose, held.state == "saved" and "is" or "is to be saved, which is not done"))
end

---What is noted of the file.
---@param identity { size: number, digest: string }|nil
function Journal:file(identity)
  return { path = self.at, size = identity and identity.size, digest = identity and identity.digest, take = self.take,
    part = not identity and self.part or nil }
end

---Notes it; an error when the name is another task's.
---@return veo.Error|nil err
function Journal:note(identity)
  local found = self.ctx.ledger:saving(self.taskId, self:file(identity))
  return M.problem(self, found and found.held)
end

---The unfinished file is open and locked.
---@param part "whole"|nil  what is in it is all of another video
---@return veo.Error|nil err
function Journal:begin(part)
  if self.other then return nil end
  self.part = part
  self.at = core.absolute(self.path)
  return self:note()
end

---The unfinished file is whole.
---@param identity { size: number, digest: string }|nil
---@param failure table|nil  of the core, when it could not be looked at
---@return veo.Error|nil err
function Journal:whole(identity, failure)
  if self.other then return nil end
  if not identity then
    local code = ended.is(failure.reason) and failure.reason or "io"
    return attempts.problem(code, self, self.path, failure.message)
  end
  self.identity = identity
  return self:note(identity)
end

---The file has its name.
function Journal:saved()
  self.ctx.ledger:saved(self.taskId, self.at or core.absolute(self.path), self.identity)
end

---Nothing came of it: the name is free, unless the whole video waits for it.
function Journal:failed()
  if self.at and not self.identity then self.ctx.ledger:unsaved(self.taskId, self.at) end
end

return M
