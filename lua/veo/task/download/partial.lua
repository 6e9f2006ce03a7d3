--- The unfinished file: locked against all others, with notes of which file it is a part, so that a download that a
--- crash ended goes on at its last byte. The notes are only changed under the file's lock.

local setmetatable = setmetatable

local canonical = require "veo.util.canonical_json"
local core = require "veo.core"
local descriptors = require "veo.async.descriptors"
local part_names = require "veo.task.download.part_names"
local targets = require "veo.task.download.target"
local text = require "veo.util.text"

local M = {}
local Part = {}
Part.__index = Part

-- All of it has come, by its notes.
local function is_all(notes, size)
  return notes.validator ~= nil and notes.total ~= nil and notes.total > 0 and size == notes.total
end

---What is in another call's unfinished file: it is being written, or holds a whole video.
---@param path string
---@return "locked"|"whole"|nil
function M.look(path)
  local name = part_names.find(path)
  if not name then return nil end
  local sink, failure = core.sink(name, { resume = true })
  if not sink then return (failure.reason == "busy" or descriptors.is(failure)) and "locked" or nil end
  local notes, unknown = part_names.read(name)
  local whole = is_all(notes or {}, sink:size())
  sink:close()
  return unknown and "locked" or whole and "whole" or nil
end

---Opens the unfinished file for a target, and checks first: a target that cannot be written must fail before a fetch.
---@param source veo.download.Source
---@param path string
---@param options table  the `download` options
---@param journal veo.download.Journal|nil
---@return veo.download.Partial|nil, veo.Error|nil
function M.open(source, path, options, journal)
  local sink, wrong, notes = targets.open(path, options.overwrite, options.mkdir)
  if not sink then
    wrong.operation = "download"
    return nil, wrong
  end
  -- What is there may be another task's, so it is not changed before the name is this one's.
  local name = sink:path()
  local id = canonical.hash(source.name)
  wrong = journal and journal:begin(notes.id ~= id and is_all(notes, sink:size()) and "whole" or nil)
  if wrong then
    if sink:size() == 0 then part_names.remove(name) end
    sink:close()
    return nil, wrong
  end
  ---@class veo.download.Partial
  local part = setmetatable({ name = name, sink = sink, id = id, noted = notes.validator ~= nil }, Part)
  local size = sink:size()
  if size > 0 and notes.id == part.id and notes.validator and (not notes.total or size <= notes.total) then
    part.validator, part.total = notes.validator, notes.total
  else
    part:start_over()
  end
  return part
end

---What is in it is useless.
function Part:start_over()
  self.sink:truncate(0)
  self.validator, self.total = nil, nil
  if self.noted then part_names.write(self.name) end
  self.noted = false
end

---Notes which file the bytes are a part of. If the notes cannot be written, the download goes on, but cannot be
---resumed.
---@param validator string|nil
---@param total integer|nil
function Part:note(validator, total)
  if validator == self.validator and total == self.total then return end
  self.validator, self.total = validator, total
  self.noted = text.is_line(validator)
  part_names.write(self.name, self.id, self.noted and validator or nil, total)
end

---The whole file is here already: a crash came between its last byte and its name.
---@return boolean
function Part:is_whole()
  return self.total ~= nil and self.total > 0 and self.sink:size() == self.total
end

---Leaves it for a later download, unless it is empty.
function Part:leave()
  if self.sink:size() == 0 then self:remove() else self.sink:close() end
end

---Leaves what is no video: the next download asks the server again.
function Part:set_aside()
  self:note(self.validator)
  self.sink:close()
end

function Part:remove()
  part_names.remove(self.name)
  self.sink:close()
end

---After the file was moved to its name.
function Part:done()
  part_names.forget(self.name)
  self.sink:close()
end

return M
