--- The usual job in one call: an extension ordered, waited for, and saved. With a ledger the same call again goes on where
--- a crash left it, or answers with the file that is there.

local as_job = require "veo.async.as_job"
local destinations = require "veo.task.download.destination"
local errors = require "veo.errors"
local saves = require "veo.task.save"
local submits = require "veo.task.submit"

local M = {}

local function run(ctx, params, path, options, destination)
  options.path, options.overwrite, options.mkdir = path, options.download.overwrite, options.download.mkdir
  options.destination, options.download.destination = destination, destination
  local task, err = submits.submit(ctx, "extend", params, { submit = options, retry = options.retry })
  if not task or task.already then return task, err, true end
  local file
  file, err = saves.fetch(ctx, task, path, options)
  -- What goes wrong behind an order of this call does so behind a paid one.
  if not file then
    err.ref = err.ref or task.ref
    return nil, task.joined and err or errors.paid(err)
  end
  file.ref, file.key, file.joined = task.ref, task.key, task.joined
  return file, nil, true
end

local function hold(ctx, params, path, options)
  local destination, err = destinations.take(ctx, path, options.download.mkdir)
  if not destination then
    err.operation = "extend_and_save"
    return nil, err
  end
  local file, idle
  file, err, idle = run(ctx, params, path, options, destination)
  destinations.leave(destination, idle)
  return file, err
end

---@param ctx table
---@param params table
---@param path string
---@param options { key: string|nil, on_duplicate: string|nil, timeout: number, deadline: number, retry: table, wait: table, download: table }
---@return table|nil file, veo.Error|nil err
function M.extend_and_save(ctx, params, path, options)
  return as_job(ctx, hold, ctx, params, path, options)
end

return M
