--- A download to a path: into the unfinished file, looked at, synced, moved to its name in one step.

local fetch = require "veo.download.fetch"
local parts = require "veo.download.part"
local progress = require "veo.progress"
local wire = require "veo.wire"

local M = {}
local Target = {}
Target.__index = Target

-- Which file the bytes that come belong to is noted as soon as its headers are there: a crash may come any time.
local function note_headers(target, transfer)
  local headers = transfer:headers()
  if headers then target.part:note(fetch.validator(headers), headers.total) end
end

-- Another length under the same ETag is another file.
local function is_other(target, known, headers)
  return known and headers.total and headers.total ~= known and target.part.sink:size() > 0
end

-- A server that knows no ranges sends the same bytes again and again: only bytes past the farthest are new.
local function gain(target)
  local size = target.part.sink:size()
  local gained = size - target.farthest
  if gained > 0 then target.farthest = size end
  return math.max(gained, 0)
end

local function settle(target, known, reply, failure)
  local part = target.part
  local headers = reply or failure
  if headers.http_status == 206 and is_other(target, known, headers)
    or failure and failure.reason == "http" and (failure.http_status == 416 or failure.http_status == 206) then
    -- What we have is no part of what is there now.
    part:start_over()
    target.farthest = 0
    return nil, failure or { reason = "network", message = "the file has changed" }, 0
  end
  local gained = gain(target)
  if failure then
    local validator = failure.reason ~= "http" and fetch.validator(failure)
    if validator then part:note(validator, failure.total or part.total) end
    return nil, failure, gained
  end
  local size = part.sink:size()
  if reply.total and size ~= reply.total then
    return nil, { reason = "network", message = ("%d bytes came of %d"):format(size, reply.total) }, gained
  end
  return reply
end

-- How much is read of the connection at a time. The more the cheaper (256 MiB: 1.21 times recv and write with the 512 KiB
-- that are the core's default, 1.0 to 1.1 with 4 MiB), but 4 MiB take 1.6 ms, which a frame has not got.
local function read_size(ctx)
  return ctx.scheduler.current.driven and 4 * 1024 * 1024 or nil
end

-- One request for the bytes that are missing.
function Target:try(url)
  local part, ctx = self.part, self.ctx
  -- Without ETag or date there is no telling whether the rest belongs to these bytes.
  if not part.validator then part:start_over() end
  local known = part.total
  local transfer, failure = ctx.core:start("download", { url = url, sink = part.sink, offset = part.sink:size(),
    if_range = part.validator, max_bytes = self.options.max_bytes, headers = true, read_size = read_size(ctx),
    stall = self.options.stall })
  if not transfer then return nil, failure, 0 end
  local cleanup = ctx.scheduler:on_drop { drop = function() transfer:cancel() end }
  local why, reply
  why, reply, failure = self.teller:follow(transfer, nil, function() note_headers(self, transfer) end)
  ctx.scheduler:settled(cleanup)
  if why ~= "done" then reply, failure = transfer:result() end
  return settle(self, known, reply, failure)
end

local function check_video(target, source, reply)
  local head = target.part.sink:read(0, 1024)
  if fetch.is_video(head) then return nil end
  local err = fetch.problem("not_video", source, target.path, "what came is not an MP4 file"
    .. (reply.content_type and (" but " .. wire.printable(reply.content_type, 60)) or ""), reply)
  err.excerpt = wire.printable(head, 200)
  return err
end

local function move(ctx, target, source, options)
  local saved, failure = ctx.scheduler:exchange(nil, "save",
    { sink = target.part.sink, to = target.path, overwrite = options.overwrite })
  if saved then return nil end
  local code = failure.reason == "exists" and "exists" or (failure.reason == "closed" and "closed") or "io"
  return fetch.problem(code, source, target.path,
    failure.message .. " (the whole video is in " .. target.path .. ".part)")
end

local function finish(ctx, target, source, options)
  local part = target.part
  local reply, err = { tries = 0 }, nil
  if not (source.identified and part:is_whole()) then reply, err = fetch.run(ctx, source, target, options) end
  if not reply then
    if err.code == "too_large" then part:remove() else part:leave() end
    return nil, err
  end
  err = check_video(target, source, reply)
  if err then
    part:remove()
    return nil, err
  end
  local size = part.sink:size()
  err = move(ctx, target, source, options)
  if err then
    part.sink:close()
    return nil, err
  end
  part:done()
  local ledger = ctx.ledger
  if ledger and source.taskId and not options.quiet then ledger:saved(source.taskId, target.path) end
  target.teller:tell(size, size, true)
  return { path = target.path, bytes = size, taskId = source.taskId, etag = reply.etag,
    content_type = reply.content_type, requests = reply.tries, resumed = target.teller.resumed }
end

---@param ctx table
---@param source veo.download.Source
---@param path string
---@param options table
---@return table|nil file, veo.Error|nil err
function M.run(ctx, source, path, options)
  local part, err = parts.open(source, path, options)
  if not part then return nil, err end
  -- The name was free: after a crash, a file that stands there is this task's.
  if ctx.ledger and source.taskId and not options.overwrite and not options.quiet then
    ctx.ledger:saving(source.taskId, path)
  end
  local resumed = part.sink:size()
  local target = setmetatable({ ctx = ctx, part = part, path = path, options = options, farthest = resumed,
    teller = progress.new(ctx, options.on_progress, resumed) }, Target)
  -- A job that is dropped leaves the unfinished file; closing ends the lock once the cut transfer has let go.
  local cleanup = ctx.scheduler:on_drop { drop = function() part.sink:close() end }
  local file
  file, err = finish(ctx, target, source, options)
  ctx.scheduler:settled(cleanup)
  return file, err
end

return M
