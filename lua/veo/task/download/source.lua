--- What is to be fetched: a link, the task it belongs to, and where a fresh link comes from when this one has died.

local setmetatable, tostring, type = setmetatable, tostring, type
local find, format, match = string.find, string.format, string.match

local errors = require "veo.errors"
local query = require "veo.task.query"
local text = require "veo.util.text"
local wire = require "veo.wire"

local M = {}
local Source = {}
Source.__index = Source

local function invalid(field, given, expected, message, taskId)
  return errors.new { code = "invalid", operation = "download", field = field, given = given, expected = expected,
    taskId = taskId, message = message }
end

-- Which file a link means, however the link changes.
local function name_of(given, url)
  if type(given) == "table" and given.taskId then
    return format("task %s %s %s", given.taskId, given.version or "", given.index or 0)
  end
  -- A query may sign the link, and be another one every day; it may name the file as well: see `identified`.
  return "url " .. match(url, "^[^?#]*")
end

---@param given veo.Status|string|{ url: string, taskId: string|nil }
---@return veo.download.Source|nil, veo.Error|nil
function M.new(given)
  local url, taskId = given, nil
  if type(given) == "table" then
    url, taskId = given.video_url or given.url, given.taskId
    if not url then
      return nil, invalid("status", "a status without video_url", "a succeeded status or a URL",
        format("download: the status of task %s names no video (it is %s)", tostring(taskId), tostring(given.state)),
        taskId)
    end
  end
  local link = text.is_line(url) and not find(url, "%s$") and wire.link(url)
  if not link then
    return nil, invalid("url", type(url) == "string" and wire.printable(wire.bare_url(url), 80) or type(url),
      "an http or https URL on one line", "download: url: an http or https URL on one line expected", taskId)
  end
  url = link
  ---@class veo.download.Source
  local source = { url = url, origin = url, taskId = taskId, name = name_of(given, url), renewals = 0,
    identified = taskId ~= nil or not find(url, "?", 1, true) }
  if type(given) == "table" and given.version == "1080P" then source.version, source.index = "1080P", given.index end
  return setmetatable(source, Source)
end

-- The service's record names the link anew; that of a 1080P version has a call of its own.
local function from_record(ctx, source, options)
  if source.version then
    local spec = wire.veo.operations.get_1080p -- of the family whose result it is; in the other one the call would order
    local request = { operation = "get_1080p", method = spec.method, path = spec.path,
      query = { taskId = source.taskId, index = source.index } }
    return query.repeated(ctx, "get_1080p", options, function(due)
      local found, err = wire.upgrade(wire.veo, "get_1080p", ctx.scheduler:exchange(due, "request", request))
      return found and found.url, err or found and found.err
    end)
  end
  local status, err = query.status(ctx, source.taskId, options)
  return status and status.video_url, err
end

---A fresh link in place of one that has died: first of the same file (download-url), then what the record says.
---@param ctx table
---@return boolean renewed
---@return veo.Error|nil err
function Source:renew(ctx)
  if not self.taskId or self.renewals >= 2 then return false end
  local options = { free = ctx.defaults.patient, retry = ctx.retry }
  self.renewals = self.renewals + 1
  local url, err
  if self.renewals == 1 then url, err = query.call(ctx, "download_url", { url = self.origin }, options) end
  if not url then
    self.renewals = 2
    url, err = from_record(ctx, self, options)
    if url then self.origin = url end
  end
  if not url or url == self.url then return false, err end
  self.url = url
  if ctx.log then ctx.log { event = "link", taskId = self.taskId, message = "a dead link was made anew" } end
  return true
end

---The link works: if it dies later, both ways to a fresh one are tried again.
function Source:works()
  self.renewals = 0
end

return M
