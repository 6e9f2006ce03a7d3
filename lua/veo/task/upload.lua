--- Uploads: an image for `generate`, from a file (read piece by piece while it is sent) or from a URL that the service
--- fetches. Free, so repeated like every free call. The service keeps uploads for some days only.

local select = select
local open = io and io.open

local as_job = require "veo.async.as_job"
local core = require "veo.core"
local descriptors = require "veo.async.descriptors"
local errors = require "veo.errors"
local progress = require "veo.async.progress"
local query = require "veo.task.query"
local wire = require "veo.wire"

local M = {}

-- The folder at the service when none is named; it wants one.
local FOLDER = "lua-veo"

local function wrong(code, field, message, path)
  return errors.new { code = code, operation = "upload", field = field, path = path, message = "upload: " .. message }
end

local function check_file(path)
  local kind = core.kind(path)
  if kind == "file" then
    if not open then return nil end -- the core says what it cannot read
    local file, why, errno = open(path, "rb")
    if not file then
      local err = wrong("io", "path", why, path)
      err.errno = errno
      return err
    end
    file:close()
    return nil
  end
  return wrong("io", "path", path .. (kind == "directory" and " is a directory" or kind and " is not a regular file"
    or ": no such file"), path)
end

-- One try: the whole file goes out again.
local function send(ctx, request, options, due)
  local transfer, failure = ctx.scheduler:start("upload", request, { timeout = options.upload.timeout or 0 })
  if not transfer then return nil, failure end
  local cleanup = ctx.scheduler:on_drop { drop = function() transfer:cancel() end }
  local teller = progress.new(ctx, options.upload.on_progress)
  local why, reply
  why, reply, failure = teller:follow(transfer, due)
  ctx.scheduler:settled(cleanup)
  if why == "timeout" and transfer:cancel() then
    return nil, { reason = "network", timed_out = true, sent = "maybe", message = "the upload did not end in time" }
  end
  if why ~= "done" then reply, failure = transfer:result() end
  if reply and teller.last then teller:tell(teller.last, teller.total, true) end
  return reply, failure
end

local function upload_file(ctx, params, options)
  local fields = { uploadPath = params.uploadPath or FOLDER, fileName = params.fileName }
  local checked, err = wire.check(ctx.api, "upload_file", fields)
  if not checked then return nil, err end
  err = select(2, descriptors.patiently(ctx, function() return nil, check_file(params.path) end))
  if err then return nil, err end
  local spec = ctx.api.operations.upload_file
  local request = { url = ctx.upload_url .. spec.path, path = params.path, part = spec.multipart, fields = checked,
    file_name = params.fileName }
  -- An answer that cannot be read came after the whole file had gone: 20 MiB are not sent again for it.
  local given = { free = { deadline = options.upload.deadline, final = "malformed", patient = true },
    retry = options.retry }
  return query.repeated(ctx, "upload", given, function(due)
    local reply, failure = descriptors.patiently(ctx, function() return send(ctx, request, options, due) end)
    return wire.free(ctx.api, "upload_file", reply, failure)
  end)
end

---@param ctx table
---@param params { path: string|nil, url: string|nil, uploadPath: string|nil, fileName: string|nil }
---@param options { upload: table, retry: veo.RetryPolicy }
---@return table|nil data  as the service names it: downloadUrl, fileName, fileSize, …
---@return veo.Error|nil err
function M.upload(ctx, params, options)
  if not ctx.upload_url then
    return nil, wrong("invalid", "upload_url", "upload_url: with a base_url of your own the upload host must be named"
      .. " too (the key would go to another service otherwise)")
  end
  if params.url ~= nil then
    local given = { free = { deadline = options.upload.deadline, timeout = options.upload.timeout, patient = true },
      retry = options.retry }
    return query.call(ctx, "upload_url", { fileUrl = params.url, uploadPath = params.uploadPath or FOLDER,
      fileName = params.fileName }, given)
  end
  return as_job(ctx, upload_file, ctx, params, options)
end

return M
