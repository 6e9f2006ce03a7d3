--- Where a command saves a video: `-o FILE`, `-o DIR/`, `-o "{taskId}.mp4"`, `-o -`, or <taskId>.mp4 in this folder.

local filenames = require "veo.util.filename"
local texts = require "veo.util.text"

local M = {}

---@class veo.cli.Target
---@field stdout boolean|nil   the bytes go to standard output
---@field none boolean|nil     nothing is saved
---@field pattern string|nil   the file's name, with or without fields
---@field open boolean|nil     it has fields
local Target = {}
Target.__index = Target

local USUAL = "{taskId}.mp4"

---@param args table  as parsed
---@return veo.cli.Target|nil target
---@return string|nil problem
function M.new(args)
  local output = args.output
  if args.no_save then
    if output then return nil, "-o and --no-save contradict each other" end
    return setmetatable({ none = true }, Target)
  end
  if output == "-" then
    if args.json or args.print then
      return nil, "-o - makes standard output the video, so that --json and --print have no place there"
    end
    return setmetatable({ stdout = true }, Target)
  end
  -- What waits for nothing saves nothing, but a name that is given is looked at before the order.
  if args.no_wait and not output then return setmetatable({ none = true }, Target) end
  local pattern = output or USUAL
  if pattern:sub(-1) == "/" then pattern = pattern .. USUAL end
  local fields = pattern:find("{%w+}") ~= nil
  local problem = fields and filenames.problem(pattern .. "{taskId}") -- one video may have any name
  if problem then return nil, "-o: " .. problem:gsub("^path: ", "") end
  return setmetatable({ pattern = pattern, open = fields }, Target)
end

local function fill(pattern, known)
  return filenames.fill(pattern, { taskId = known.taskId, ref = known.ref or known.taskId, key = known.key,
    operation = known.operation or "video", created = known.created or os.time() })
end

---The name for a task.
---@param known { taskId: string, ref: string|nil, key: string|nil, operation: string|nil, created: number|nil }
---@return string|nil
function Target:path(known)
  if not self.pattern then return nil end
  return self.open and fill(self.pattern, known) or self.pattern
end

---The name before anything is ordered, where it is known then.
---@param key string|nil      the order's
---@param operation string
---@return string|nil
function Target:before(key, operation)
  if not self.open then return self.pattern end
  local left = self.pattern:gsub("{operation}", ""):gsub(key and "{key}" or "%z", "")
  if left:find("{%w+}") then return nil end
  return fill(self.pattern, { taskId = "", key = key, operation = operation })
end

---A name that nobody has, in the folder that the video will be in.
---@return string|nil
function Target:probe()
  return self.pattern and self.open and fill(self.pattern, { taskId = ("veo-check-%d"):format(os.time()) }) or nil
end

---A result's own name, for one that no task is known of.
---@param link string
---@return string
function M.name_in(link)
  local name = link:gsub("[?#].*$", ""):match("([^/]+)/*$") or "video"
  return (name:gsub("%.%w+$", ""))
end

---Whether a text is a link, and not a task's id.
M.is_link = texts.is_link

return M
