--- The file to write, checked before anything is fetched or ordered: that it cannot be written must not show only
--- after a paid render.

local find, match = string.find, string.match
local open = io and io.open

local core = require "veo.core"
local descriptors = require "veo.async.descriptors"
local errors = require "veo.errors"
local part_names = require "veo.task.download.part_names"
local stdlib = require "veo.util.stdlib"

local M = {}

local function problem(code, path, message, errno)
  return errors.new { code = code, path = path, message = message, sent = "no", errno = errno }
end

---Whether this Lua can save at all.
---@param path string
---@return veo.Error|nil problem
function M.able(path)
  return not open and problem("missing", path, stdlib.sentence("saving to a file", "io.open")) or nil
end

---Whether its folder is there, or can be made.
---@param path string
---@param mkdir boolean|nil    makes it
---@param pattern boolean|nil  of the path only the folder in front of its first field is known
---@return veo.Error|nil problem
function M.folder(path, mkdir, pattern)
  local folder = match(path, pattern and "^([^{]*/)" or "^(.*/)")
  if not folder or core.kind(folder) == "directory" then return nil end
  if not mkdir then
    return problem("io", path, path .. ": there is no folder " .. folder .. " (mkdir = true makes it)")
  end
  local made, why = core.mkdir(folder)
  return not made and problem("io", path, why) or nil
end

-- A name that is not there may be one that cannot be, as it is too long; the unfinished file's is shorter and can.
local NO_SUCH_FILE = 2
local function possible(path)
  local file, why, number = open(path, "rb")
  if file then file:close() end
  return not file and number ~= NO_SUCH_FILE and problem("io", path, why, number) or nil
end

---Whether a whole video may stand under this name.
---@param path string
---@param overwrite boolean|nil
---@param mkdir boolean|nil
---@return veo.Error|nil problem
function M.check(path, overwrite, mkdir)
  local unable = M.able(path)
  if unable then return unable end
  local kind = core.kind(path)
  if kind == "file" then part_names.find(path) end
  if kind == "file" and not overwrite then
    return problem("exists", path, path .. " exists already")
  elseif kind and kind ~= "file" then
    return problem("io", path, path .. " is " .. (kind == "directory" and "a directory"
      or kind == "link" and "a symbolic link that leads nowhere" or "not a regular file"))
  end
  if find(path, "/$") then return problem("io", path, path .. " names a folder instead of a file") end
  return not kind and (M.folder(path, mkdir) or possible(path)) or nil
end

-- Opens one name, under its lock, which says for certain whose it is: the sink and its notes; or nil, and a failure when no
-- other name is to be tried.
local function try_name(name)
  local sink, failure = core.sink(name, { resume = true })
  if not sink then
    local is_final = failure.reason == "busy" or descriptors.is(failure) or not core.kind(name)
    return nil, is_final and failure or nil
  end
  if sink:created() then part_names.write(name) end
  local notes, unknown = part_names.read(name)
  if notes or sink:created() and not unknown then return sink, notes or {} end
  if sink:created() then part_names.remove(name) end
  sink:close()
  return nil, unknown
end

-- The unfinished file that is there, or the first name that is free.
local function take(path)
  local ours = part_names.find(path)
  for n = ours and 0 or 1, part_names.MOST do
    local sink, found = try_name(n == 0 and ours or part_names.name(path, n))
    if sink or found then return sink, found end
  end
  return nil, { reason = "io", message = part_names.name(path, 1) .. " and names like it are other programs' files" }
end

---Opens the unfinished file beside it, as it is, under its lock.
---@param path string
---@param overwrite boolean|nil
---@param mkdir boolean|nil
---@return userdata|nil sink, veo.Error|nil problem
---@return table|nil notes  of what is in it
function M.open(path, overwrite, mkdir)
  local wrong = M.check(path, overwrite, mkdir)
  if wrong then return nil, wrong end
  local sink, found = take(path)
  if sink then return sink, nil, found end
  return nil, problem(found.reason == "busy" and "busy" or "io", path, found.message, found.errno)
end

---Whether it can be written; leaves everything as it is, but for the folder with `mkdir`.
---@param path string|nil
---@param overwrite boolean|nil
---@param mkdir boolean|nil
---@return veo.Error|nil problem
function M.try(path, overwrite, mkdir)
  if not path then return nil end
  local sink, wrong = M.open(path, overwrite, mkdir)
  if not sink then return wrong end
  if sink:size() == 0 then part_names.remove(sink:path()) end
  sink:close()
  return nil
end

return M
