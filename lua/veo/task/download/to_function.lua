--- A download into a function of the caller's, piece by piece. The core holds a quarter of a MiB and then pauses the
--- transfer, so that a function that waits slows the server down instead of filling memory. A cut download goes on where
--- it was; what was handed on cannot be taken back, so a file that changed meanwhile is an error.

local setmetatable = setmetatable
local format = string.format

local attempts = require "veo.task.download.attempts"
local boxes = require "veo.task.download.boxes"
local contents = require "veo.task.download.content"
local encodings = require "veo.task.download.encoding"
local extents = require "veo.task.download.extent"
local progress = require "veo.async.progress"
local verify = require "veo.task.download.verify"
local wire = require "veo.wire"

local M = {}
local Target = {}
Target.__index = Target

-- Bytes the core holds before it pauses.
local BUFFER = 256 * 1024
local TELL_EVERY = 0.1

-- Hands a piece on; false when the function wants no more, or what came is no video.
local function deliver(target, chunk)
  if target.held then
    chunk = target.held .. chunk
    target.held = chunk
    if #chunk < contents.ENOUGH then return true end
    local left = encodings.is_left(target.ctx, target, target.source)
    if not contents.is_video(chunk) and not left then return false end
    target.held = nil
  end
  target.bytes = target.bytes + #chunk
  if target.boxes then target.boxes:feed(chunk) end
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
    message = contents.complaint(headers.content_type) }
end

local function tell(target, transfer)
  local teller, now = target.teller, target.ctx.now()
  if not teller.fn or now - (target.told_at or 0) < TELL_EVERY then return end
  target.told_at = now
  local _, total = transfer:progress()
  teller:tell(target.bytes, total)
end

local function note_headers(target, headers, known)
  target.begun = true
  -- Under the same ETag as well.
  if known and headers.http_status == 206 and headers.total and headers.total ~= known then
    return { reason = "changed", message = format("the file has %.0f bytes now, and had %.0f", headers.total, known) }
  end
  encodings.note(target, headers, target.bytes)
  if target.encoded then return end -- nobody can go on within it
  target.validator = target.validator or attempts.validator(headers)
  target.total = headers.total or target.total
end

-- Reads until the transfer ends: its reply or failure, or why it was ended from here.
local function drain(target, transfer, known)
  local ctx, teller = target.ctx, target.teller
  while true do
    local chunk = transfer:read()
    if chunk then
      local headers = not target.begun and transfer:headers()
      local other = headers and note_headers(target, headers, known)
      if other then
        transfer:cancel()
        return nil, other
      end
      if not deliver(target, chunk) then return nil, refusal(target, transfer) end
      tell(target, transfer)
    else
      local reply, failure = transfer:result()
      if reply ~= false then return reply, failure end
      ctx.scheduler:await(transfer, teller.pulse and ctx.now() + teller.pulse)
      teller:keep()
    end
  end
end

---Why the end of a file of unknown length is not trusted; see to_file.lua. Without ETag and date no rest can be asked
---for.
---@return string|nil
function Target:doubt(reply)
  local look = self.boxes and self.boxes:look()
  local wrong = self.validator and verify.wrong(look)
  if wrong or reply.http_status ~= 206 or look and look.boxes == "whole" then return wrong end
  return "and nobody says how many there are"
end

function Target:try(url)
  local ctx, before = self.ctx, self.bytes
  local known = self.total
  if self.held then self.held = "" end
  if before > 0 and not self.validator then
    return nil, { reason = "changed", message = "the connection was cut, and the server says nothing that would tell "
      .. "whether the rest belongs to what was handed on" }, 0
  end
  local transfer, failure = ctx.scheduler:start("download", { url = url, stream = BUFFER, offset = before,
    if_range = before > 0 and self.validator or nil, max_bytes = self.options.max_bytes, stall = self.options.stall,
    decode = not self.as_it_is, no_pages = true })
  if not transfer then return nil, failure, 0 end
  self.begun = nil
  local cleanup = ctx.scheduler:on_drop { drop = function() transfer:cancel() end }
  local reply
  reply, failure = drain(self, transfer, known)
  ctx.scheduler:settled(cleanup)
  encodings.failed(self, before == self.bytes and failure or nil)
  if reply and self.held then
    return nil, { reason = "not_video", http_status = reply.http_status, excerpt = wire.printable(self.held, 200),
      message = "what came is no video but " .. #self.held .. " bytes" }, 0
  end
  reply, failure = extents.judge(self, reply, failure, self.bytes, known)
  return reply, failure, self.bytes - before
end

---@param ctx table
---@param source veo.download.Source
---@param fn fun(chunk: string): false|nil
---@param options table
---@return table|nil result, veo.Error|nil err
function M.run(ctx, source, fn, options)
  local target = setmetatable({ ctx = ctx, source = source, fn = fn, options = options, bytes = 0, held = "",
    boxes = options.verify ~= false and boxes.new() or nil,
    teller = progress.new(ctx, options.on_progress, nil, source.taskId) }, Target)
  local reply, err = attempts.run(ctx, source, target, options)
  if not reply then return nil, err end
  target.teller:tell(target.bytes, target.bytes, true)
  local look = target.boxes and target.boxes:look()
  return { bytes = target.bytes, taskId = source.taskId, etag = reply.etag, content_type = reply.content_type,
    requests = reply.tries, verified = verify.verdict(ctx, source, nil, look, reply.untold) }
end

return M
