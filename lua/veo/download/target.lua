--- The file to write, looked at before anything is fetched or ordered: what cannot be written must not show after a paid
--- render.

local core = require "veo.core"
local errors = require "veo.errors"

local M = {}

local function problem(code, path, message)
  return errors.new { code = code, path = path, message = message, sent = "no" }
end

---Whether a whole video may stand under this name.
---@param path string
---@param overwrite boolean|nil
---@return veo.Error|nil problem
function M.check(path, overwrite)
  local kind = core.kind(path)
  if kind == "file" and not overwrite then
    return problem("exists", path, path .. " exists already")
  elseif kind and kind ~= "file" then
    return problem("io", path, path .. " is " .. (kind == "directory" and "a directory" or "not a regular file"))
  end
  return nil
end

---Opens the unfinished file beside it, as it is, under its lock.
---@param path string
---@param overwrite boolean|nil
---@return userdata|nil sink, veo.Error|nil problem
function M.open(path, overwrite)
  local wrong = M.check(path, overwrite)
  if wrong then return nil, wrong end
  local sink, failure = core.sink(path .. ".part", { resume = true })
  if sink then return sink end
  return nil, problem(failure.reason == "busy" and "busy" or "io", path, failure.message)
end

---Whether it can be written; leaves everything as it is.
---@param path string|nil
---@param overwrite boolean|nil
---@return veo.Error|nil problem
function M.try(path, overwrite)
  if not path then return nil end
  local sink, wrong = M.open(path, overwrite)
  if not sink then return wrong end
  if sink:size() == 0 then os.remove(path .. ".part") end
  sink:close()
  return nil
end

return M
