--- The path that a paid video is going to have. What stands in its way is found before anything is ordered: a file
--- that is there, another call of this client that writes to it, and another order of the ledger that has it.

local format = string.format

local alike = require "veo.ledger.alike"
local core = require "veo.core"
local descriptors = require "veo.async.descriptors"
local errors = require "veo.errors"
local journals = require "veo.task.download.journal"
local targets = require "veo.task.download.target"

local M = {}

---Whether another call of this client is going to save there.
---@param ctx table
---@param path string
---@param own veo.download.Destination|nil
---@return veo.Error|nil problem
function M.busy(ctx, path, own)
  local other = ctx.destinations[core.absolute(path) or path]
  if not other or other == own then return nil end
  return errors.new { code = "busy", path = path, sent = "no",
    message = path .. " is where another call of this client is going to save a video" }
end

---@class veo.download.Destination
---@field at string  the name, from the root

---Takes the name for a call, until that ends or its job is dropped.
---@param ctx table
---@param path string
---@param mkdir boolean|nil  its folder is made
---@return veo.download.Destination|nil destination
---@return veo.Error|nil problem
function M.take(ctx, path, mkdir)
  local problem = M.busy(ctx, path) or targets.folder(path, mkdir)
  if problem then return nil, problem end
  local destination = { ctx = ctx, at = core.absolute(path) or path }
  ctx.destinations[destination.at] = destination
  function destination.drop(_, how)
    if ctx.destinations[destination.at] ~= destination then return end
    ctx.destinations[destination.at] = nil
    -- Of a client that closes as of one that is killed the order keeps its name: the same call saves it there.
    if ctx.ledger and not destination.idle and how ~= "closed" then ctx.ledger:unnamed(destination.at) end
  end
  ctx.scheduler:on_drop(destination)
  return destination
end

---@param destination veo.download.Destination|nil
---@param idle any  nothing is to be taken back in the ledger: it was not ordered, or it is saved
function M.leave(destination, idle)
  if not destination then return end
  destination.idle = idle and true
  destination.drop()
  destination.ctx.scheduler:settled(destination)
end

---The name is another order's.
---@param row table  of the ledger
---@return veo.Error
function M.held(operation, path, row)
  local whose = row.task_id and "task " .. row.task_id or "order " .. row.ref
  return errors.new { code = row.live and "busy" or "exists", operation = operation, path = path, sent = "no",
    message = format("%s: %s is where the video of %s is to be saved, %s", operation, path, whose, row.live
      and "by a call that is under way" or "which is not done: resume saves it; or take another name") }
end

-- The file of the same order, made before: nothing is asked of anybody. Under a key only that key's order is the same.
local function made_before(ctx, operation, body, given)
  if not ctx.ledger or given.overwrite or given.on_duplicate == "allow" or core.kind(given.path) ~= "file" then
    return nil
  end
  local rows = ctx.ledger:alike(alike.order(operation, ctx.api.name, body))
  for i = 1, rows and #rows or 0 do
    local row = rows[i]
    local noted = (not given.key or row.intent_key == given.key) and journals.there(ctx, row.task_id, given.path)
    if noted then
      ctx.ledger:saved(row.task_id, noted.at, noted)
      return { path = given.path, bytes = noted.size, taskId = row.task_id, ref = row.ref, key = row.intent_key,
        requests = 0, state = "saved", joined = true, already = true }
    end
  end
  return nil
end

-- Under a key that has an order nothing is ordered: that is joined, or is another one's.
local function has_order(ctx, key)
  local record = ctx.ledger and key and ctx.ledger:find { key = key }
  return record and record.state ~= "refused" and record.state ~= "lost"
end

---Whether it can be written.
---@param ctx table
---@param path string|nil
---@param overwrite boolean|nil
---@param mkdir boolean|nil
---@return veo.Error|nil problem
function M.try(ctx, path, overwrite, mkdir)
  local _, problem = descriptors.patiently(ctx, function() return nil, targets.try(path, overwrite, mkdir) end)
  return problem
end

---Before an order whose video is to be saved at `given.path`.
---@param ctx table
---@param operation string
---@param body table  of the order, checked
---@param given { path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil, key: string|nil, on_duplicate: string|nil, destination: veo.download.Destination|nil }
---@return table|nil task  the same order's, whose video is there
---@return veo.Error|nil err
function M.look(ctx, operation, body, given)
  if not given.path then return nil end
  local before = made_before(ctx, operation, body, given)
  if before then return before end
  local err = M.busy(ctx, given.path, given.destination) or M.try(ctx, given.path, given.overwrite, given.mkdir)
  if not err or err.code == "exists" and not given.destination and has_order(ctx, given.key) then return nil end
  err.operation = operation
  return nil, err
end

return M
