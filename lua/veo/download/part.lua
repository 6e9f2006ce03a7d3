--- The unfinished file: `NAME.part`, locked against everybody else, and `NAME.part.meta`, which says of what it is a part.
--- With both, a download that a crash ended goes on at its last byte. The notes are only touched under the file's lock.

local targets = require "veo.download.target"

local M = {}
local Part = {}
Part.__index = Part

local HEAD = "lua-veo download 1"

-- Links can be secrets, so the notes hold a hash of what identifies the file: 48 bits are plenty to tell targets apart.
local function hash(text)
  local a, b = 7, 11
  for i = 1, #text do
    local byte = text:byte(i)
    a = (a * 257 + byte) % 16777213
    b = (b * 263 + byte) % 16777183
  end
  return ("%06x%06x"):format(a, b)
end

local function read_notes(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local text = file:read(4096) or ""
  file:close()
  local notes = {}
  if text:sub(1, #HEAD + 1) ~= HEAD .. "\n" then return notes end
  for name, value in text:gmatch("([%w_]+)=([^\n]*)\n") do notes[name] = value end
  notes.total = tonumber(notes.total)
  return notes
end

---Opens the unfinished file for a target, and looks first: a target that cannot be written must fail before a fetch.
---@param source veo.download.Source
---@param path string
---@param options table  the `download` options
---@return veo.download.Part|nil, veo.Error|nil
function M.open(source, path, options)
  local sink, wrong = targets.open(path, options.overwrite)
  if not sink then
    wrong.operation = "download"
    return nil, wrong
  end
  ---@class veo.download.Part
  local part = setmetatable({ path = path, sink = sink, id = hash(source.name) }, Part)
  local notes = read_notes(path .. ".part.meta")
  local size = sink:size()
  if size > 0 and notes.id == part.id and notes.validator and (not notes.total or size <= notes.total) then
    part.validator, part.total = notes.validator, notes.total
  else
    part:start_over()
  end
  return part
end

---Nothing of it is of use any more.
function Part:start_over()
  self.sink:truncate(0)
  self.validator, self.total = nil, nil
  os.remove(self.path .. ".part.meta")
end

---Notes of which file the bytes are a part. That it cannot be written costs the resuming, not the download.
---@param validator string|nil
---@param total integer|nil
function Part:note(validator, total)
  if validator == self.validator and total == self.total then return end
  self.validator, self.total = validator, total
  local name = self.path .. ".part.meta"
  if not validator or validator:find("[%z\r\n]") then
    os.remove(name)
    return
  end
  local file = io.open(name .. ".new", "wb")
  if not file then return end
  local written = file:write(HEAD, "\nid=", self.id, "\nvalidator=", validator, "\n",
    total and ("total=%.0f\n"):format(total) or "")
  if file:close() and written then os.rename(name .. ".new", name) else os.remove(name .. ".new") end
end

---The whole file is here already: a crash came between its last byte and its name.
---@return boolean
function Part:is_whole()
  return self.total ~= nil and self.total > 0 and self.sink:size() == self.total
end

---Leaves it for a later download, unless there is nothing to leave.
function Part:leave()
  if self.sink:size() == 0 then self:remove() else self.sink:close() end
end

function Part:remove()
  os.remove(self.path .. ".part")
  os.remove(self.path .. ".part.meta")
  self.sink:close()
end

---After the file was moved to its name.
function Part:done()
  os.remove(self.path .. ".part.meta")
  self.sink:close()
end

return M
