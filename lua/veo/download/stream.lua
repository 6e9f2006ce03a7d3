--- A download into a function of the caller's, piece by piece. The core holds a quarter of a MiB and then pauses the
--- transfer, so that a function that waits slows the server down instead of filling memory. A cut download goes on where
--- it was; what was handed on cannot be taken back, so a file that changed meanwhile is an error.

local fetch = require "veo.download.fetch"
local progress = require "veo.progress"
local wire = require "veo.wire"

local M = {}
local Target = {}
Target.__index = Target

-- Bytes the core holds before it pauses.
local BUFFER = 256 * 1024
-- As many bytes are looked at before anything is handed on.
local HEAD = 12
local TELL_EVERY = 0.1

-- Hands a piece on; false when the function wants no more, or what came is no video.
local function deliver(target, chunk)
  if target.held then
    chunk = target.held .. chunk
    target.held = chunk
    if #chunk < HEAD then return true end
    if not fetch.is_video(chunk) then return false end
    target.held = nil
  end
  target.bytes = target.bytes + #chunk
  if target.fn(chunk) == false then
    target.stopped = true
    return false
  end
  return true
end

local function refusal(target, transfer)
  local headers = transfer:headers() or {}
  transfer:cancel()
  if target.stopped then return { reason = "cancelled", message = "the function ended the download" } end
  return { reason = "not_video", http_status = headers.http_status, excerpt = wire.printable(target.held, 200),
    message = "what came is not an MP4 file"
      .. (headers.content_type and (" but " .. wire.printable(headers.content_type, 60)) or "") }
end

local function tell(target, transfer)
  local teller, now = target.teller, target.ctx.now()
  if not teller.fn or now - (target.told_at or 0) < TELL_EVERY then return end
  target.told_at = now
  local _, total = transfer:progress()
  teller:tell(target.bytes, total)
end

-- Reads until the transfer ends: its reply or failure, or why it was ended from here.
local function drain(target, transfer)
  local ctx = target.ctx
  while true do
    local chunk = transfer:read()
    if chunk then
      local headers = not target.validator and transfer:headers()
      if headers then target.validator = fetch.validator(headers) end
      if not deliver(target, chunk) then return nil, refusal(target, transfer) end
      tell(target, transfer)
    else
      local reply, failure = transfer:result()
      if reply ~= false then return reply, failure end
      ctx.scheduler:await(transfer)
    end
  end
end

function Target:try(url)
  local ctx, before = self.ctx, self.bytes
  if self.held then self.held = "" end
  if before > 0 and not self.validator then
    return nil, { reason = "changed", message = "the connection was cut, and the server says nothing that would tell "
      .. "whether the rest belongs to what was handed on" }, 0
  end
  local transfer, failure = ctx.core:start("download", { url = url, stream = BUFFER, offset = before,
    if_range = before > 0 and self.validator or nil, max_bytes = self.options.max_bytes, stall = self.options.stall })
  if not transfer then return nil, failure, 0 end
  local cleanup = ctx.scheduler:on_drop { drop = function() transfer:cancel() end }
  local reply
  reply, failure = drain(self, transfer)
  ctx.scheduler:settled(cleanup)
  if reply and self.held then
    return nil, { reason = "not_video", http_status = reply.http_status, excerpt = wire.printable(self.held, 200),
      message = "what came is not an MP4 file but " .. #self.held .. " bytes" }, 0
  end
  return reply, failure, self.bytes - before
end

---@param ctx table
---@param source veo.download.Source
---@param fn fun(chunk: string): false|nil
---@param options table
---@return table|nil result, veo.Error|nil err
function M.run(ctx, source, fn, options)
  local target = setmetatable({ ctx = ctx, fn = fn, options = options, bytes = 0, held = "",
    teller = progress.new(ctx, options.on_progress) }, Target)
  local reply, err = fetch.run(ctx, source, target, options)
  if not reply then return nil, err end
  target.teller:tell(target.bytes, target.bytes, true)
  return { bytes = target.bytes, taskId = source.taskId, etag = reply.etag, content_type = reply.content_type,
    requests = reply.tries }
end

return M
