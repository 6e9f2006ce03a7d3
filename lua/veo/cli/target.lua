--- The file to write, looked at before anything is ordered: what cannot be written must not show after a paid render.

local core = require "veo.core"
local errors = require "veo.errors"

---@param path string|nil
---@param force boolean|nil  a file that is there may be replaced
---@return veo.Error|nil problem
return function(path, force)
  if not path then return nil end
  local function problem(code, message)
    return errors.new { code = code, path = path, message = message, sent = "no" }
  end
  local kind = core.kind(path)
  if kind == "file" and not force then return problem("exists", path .. " exists already") end
  if kind and kind ~= "file" then
    return problem("io", path .. " is " .. (kind == "directory" and "a directory" or "not a regular file"))
  end
  -- An unfinished download of this name is left as it is.
  local sink, failure = core.sink(path .. ".part", { resume = true })
  if not sink then return problem(failure.reason == "busy" and "busy" or "io", failure.message) end
  local empty = sink:size() == 0
  if empty then os.remove(path .. ".part") end
  sink:close()
  return nil
end
