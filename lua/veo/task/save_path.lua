--- Where a task's video is to be saved, by a pattern or a function of the user's.

local type = type
local format = string.format

local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local texts = require "veo.util.text"

local M = {}

-- The function may raise and may wait, so it gets a job of its own: Lua 5.1 cannot yield across pcall.
local function ask(ctx, name, record, status)
  local job = ctx.scheduler:spawn(name, record, status)
  local cleanup = ctx.scheduler:on_drop { drop = function() job:cancel() end }
  local path, err = job:wait()
  ctx.scheduler:settled(cleanup)
  return path, err
end

---What is wrong with the answer concerns its own task alone.
---@param ctx table
---@param name string|fun(task: veo.Record, status: veo.Status): string
---@param record veo.Record
---@param status veo.Status
---@return string|nil path, veo.Error|nil err
function M.path(ctx, name, record, status)
  if type(name) == "string" then return filenames.fill(name, record) end
  local path, err = ask(ctx, name, record, status)
  if not texts.path_problem(path) then return path end
  if path ~= nil or not errors.is(err) then
    err = errors.new { code = "invalid", sent = "no", given = type(path), expected = "a file name",
      message = format("path: the function returned %s instead of a file name",
        type(path) == "string" and "text that no file can be named" or type(path)) }
  end
  err.operation, err.field, err.taskId, err.charged = "resume", "path", record.taskId, "no"
  return nil, err
end

return M
