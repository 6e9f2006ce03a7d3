--- The unfinished file beside a target: `NAME.part`, with its notes in `NAME.part.meta`. Only the notes show that it is
--- ours, for other programs use such names too. Where another program's file has the name, the next name is taken.

local tonumber = tonumber
local find, format = string.find, string.format
local gmatch, gsub, match, sub = string.gmatch, string.gsub, string.match, string.sub

local canonical = require "veo.util.canonical_json"
local core = require "veo.core"
local descriptors = require "veo.async.descriptors"

local M = {}

local HEAD = "lua-veo download 1"
-- Names that are tried.
M.MOST = 9
-- The longest name in bytes: 255 less ".9.part.meta.new".
local LONGEST = 239
-- The longest validator that is kept: it has to fit into a request.
local LONGEST_VALUE = 255

---@param path string  the target
---@param n integer    from 1 to MOST
---@return string name
function M.name(path, n)
  local folder, name = match(path, "^(.*/)([^/]*)$")
  if not folder then folder, name = "", path end
  if #name > LONGEST then
    -- No letter is cut in two: some file systems refuse that.
    local start = gsub(sub(name, 1, LONGEST - 17), "[\192-\255][\128-\191]*$", "")
    name = start .. "~" .. canonical.hash(name)
  end
  return folder .. name .. (n > 1 and "." .. n or "") .. ".part"
end

-- What a header, a request and a length can be.
local FIELDS = { id = "^%x+$", validator = "^[\33-\126\128-\255][\32-\126\128-\255]*$", total = "^%d+$" }

---The valid notes of an unfinished file; nil when it has none of ours, with a failure when that cannot be found out.
---@param name string
---@return { id: string|nil, validator: string|nil, total: number|nil }|nil
---@return { reason: string, message: string, errno: integer }|nil failure  out of descriptors
function M.read(name)
  local text, failure = core.read(name .. ".meta")
  if failure and descriptors.is(failure) then return nil, failure end
  text = text or ""
  local notes = {}
  if sub(text, 1, #HEAD + 1) == HEAD .. "\n" then
    for field, value in gmatch(text, "([%w_]+)=([^\n]*)\n") do
      local form = FIELDS[field]
      notes[field] = form and #value <= LONGEST_VALUE and find(value, form) and value or nil
    end
    notes.total = tonumber(notes.total)
    return notes
  end
  -- Of a later version, or killed while they were written.
  if find(text, "^lua%-veo download ") then return notes end
  text, failure = core.read(name .. ".meta.new")
  if failure and descriptors.is(failure) then return nil, failure end
  return text and notes or nil
end

---Writes them; without a validator they say that the file is ours, and no more.
---@param name string
---@param id string|nil
---@param validator string|nil
---@param total integer|nil
function M.write(name, id, validator, total)
  local text = HEAD .. "\n"
  if validator then text = format("%sid=%s\nvalidator=%s\n", text, id, validator) end
  if validator and total then text = format("%stotal=%.0f\n", text, total) end
  name = name .. ".meta"
  if core.write(name .. ".new", text) then core.rename(name .. ".new", name) else core.remove(name .. ".new") end
end

---Removes them, also those not written to their end.
---@param name string
function M.forget(name)
  core.remove(name .. ".meta")
  core.remove(name .. ".meta.new")
end

---Removes an unfinished file of ours, and then its notes: after a crash in between, the next look removes notes
---without a file, but a file without notes would stay for ever.
---@param name string
function M.remove(name)
  core.remove(name)
  M.forget(name)
end

---The target's unfinished file. Notes that a crash left after the file had got its final name are removed.
---@param path string
---@return string|nil name
function M.find(path)
  local found
  for n = 1, M.MOST do
    local name = M.name(path, n)
    if M.read(name) then
      if core.kind(name) then found = found or name else M.forget(name) end
    end
  end
  return found
end

return M
