--- A download to a path: into the unfinished file, looked at, synced, moved to its name in one step.

local setmetatable = setmetatable
local max = math.max
local match = string.match

local attempts = require "veo.task.download.attempts"
local contents = require "veo.task.download.content"
local descriptors = require "veo.async.descriptors"
local encodings = require "veo.task.download.encoding"
local extents = require "veo.task.download.extent"
local fingerprints = require "veo.task.download.fingerprint"
local journals = require "veo.task.download.journal"
local partials = require "veo.task.download.partial"
local progress = require "veo.async.progress"
local verify = require "veo.task.download.verify"
local wire = require "veo.wire"

local M = {}
local Target = {}
Target.__index = Target

-- Where what came can be found.
local function place(target)
  return target.part.name
end

-- Of a file without ETag and date, this many bytes have to come again unchanged before new ones are appended.
local OVERLAP = 65536

-- Which file the bytes that come belong to is noted as soon as its headers are there: a crash may come any time.
local function note_headers(target, transfer, offset)
  local headers = transfer:headers()
  if not headers then return end
  local part = target.part
  encodings.note(target, headers, offset)
  if target.encoded then return part:note(nil) end -- nobody can go on within it
  local rest = headers.http_status == 206 and part or {} -- which may say less than the answer it goes on from
  part:note(attempts.validator(headers) or rest.validator, headers.total or rest.total)
end

-- Another length under the same ETag is another file.
local function is_other(target, known, headers)
  return headers.http_status == 206 and known and headers.total and headers.total ~= known
    and target.part.sink:size() > 0
end

-- A server that knows no ranges sends the same bytes again and again: only bytes past the farthest are new.
local function gain(target)
  local size = target.part.sink:size()
  local gained = size - target.farthest
  if gained > 0 then target.farthest = size end
  return max(gained, 0)
end

-- What identifies the file, and what its boxes say. Nil when neither is wanted.
local function look(target)
  local last, failure = target.looked, nil
  if target.options.verify == false and not target.journal then return nil end
  if not last or last.size ~= target.part.sink:size() then
    last, failure = fingerprints.of(target.ctx, place(target))
    target.looked = last
  end
  return last, failure
end

-- What a failed try says of the next one, which may take the file from its first byte.
local function learn(target, failure, twice)
  local part = target.part
  if failure.excess then
    target.afresh, failure.reason = true, "network"
  elseif failure.reason == "http" then
    -- What is here is no part of what is there now. It goes when the first byte of that comes.
    target.afresh = encodings.is_rest(target, failure) or failure.http_status == 416 or failure.http_status == 206
  elseif not encodings.failed(target, failure, twice) then
    local validator = not target.encoded and attempts.validator(failure)
    if validator then part:note(validator, failure.total or part.total) end
  end
end

-- What a try's end means: a reply, or nil, a failure and the new bytes.
local function judge(target, known, reply, failure)
  local part = target.part
  if is_other(target, known, reply or failure) then
    part:start_over()
    return nil, failure or { reason = "network", message = "the file has changed" }, 0
  end
  local gained = gain(target)
  local twice = encodings.ended(target, failure, part.sink:size())
  if twice and (look(target) or {}).boxes == "whole" then return { untold = true } end
  reply, failure = extents.judge(target, reply, failure, part.sink:size(), known)
  if reply then return reply end
  learn(target, failure, twice)
  return nil, failure, failure.excess and 0 or gained
end

-- Where to go on.
local function place_of(target)
  local part = target.part
  if target.afresh or target.encoded then return 0 end
  return part.validator and part.sink:size() or max(part.sink:size() - OVERLAP, 0)
end

---Why the end of a file of unknown length is not trusted.
---@return string|nil
function Target:doubt(reply)
  local wrong, seen = nil, nil
  if self.options.verify ~= false then
    seen = look(self)
    wrong = verify.wrong(seen)
  end
  -- A part of a file of unknown length may be the last one.
  if wrong or reply.http_status ~= 206 or seen and seen.boxes == "whole" then return wrong end
  return "and nobody says how many there are"
end

-- How much is read of the connection at a time. The more the cheaper (256 MiB: 1.21 times recv and write with the 512 KiB
-- that are the core's default, 1.0 to 1.1 with 4 MiB), but 4 MiB take 1.6 ms, which a frame has not got.
local function read_size(ctx)
  return ctx.scheduler.current.driven and 4 * 1024 * 1024 or nil
end

-- One request for the bytes that are missing.
function Target:try(url)
  local part, ctx = self.part, self.ctx
  local known = part.total
  local offset = place_of(self)
  local transfer, failure = ctx.scheduler:start("download", { url = url, sink = part.sink, offset = offset,
    if_range = part.validator, max_bytes = self.options.max_bytes, headers = true, read_size = read_size(ctx),
    stall = self.options.stall, no_pages = true, decode = not self.as_it_is })
  if not transfer then return nil, failure, 0 end
  self.afresh = nil
  local cleanup = ctx.scheduler:on_drop { drop = function() transfer:cancel() end }
  local why, reply
  why, reply, failure = self.teller:follow(transfer, nil, function() note_headers(self, transfer, offset) end)
  ctx.scheduler:settled(cleanup)
  if why ~= "done" then reply, failure = transfer:result() end
  return judge(self, known, reply, failure)
end

-- An error for what is no video. A page is removed; what is of an unknown form stays.
local function check_video(target, source, reply)
  local part = target.part
  local head = part.sink:read(0, 1024)
  local kind = contents.kind(head)
  local left = encodings.is_left(target.ctx, target, source)
  if kind == "video" or kind == "other" and left then return nil end
  local message = contents.complaint(reply.content_type)
  if kind == "other" then message = message .. "; its bytes are in " .. place(target) end
  local err = attempts.problem("not_video", source, target.path, message, reply)
  err.excerpt = wire.printable(head, 200)
  if kind == "other" then part:set_aside() else part:remove() end
  return err
end

-- Once a folder: it is the same for each of its files.
local function warn(ctx, target, saved)
  local locked = target.part.sink:locked()
  local folder = match(target.path, "^(.*)/[^/]*$") or "."
  if locked and not saved.unsynced or not ctx.log or ctx.weak[folder] then return end
  ctx.weak[folder] = true
  ctx.log { event = "warning", operation = "download", path = target.path, message = "the file system of " .. folder
    .. " cannot " .. (locked and "" or "lock files: no other process must save under the same name")
    .. (not locked and saved.unsynced and "; nor can it " or "")
    .. (saved.unsynced and "sync files: a power cut may take what was saved last" or "") }
end

local function move(ctx, target, source, options)
  local saved, failure = descriptors.patiently(ctx, function()
    return ctx.scheduler:exchange(nil, "save",
      { sink = target.part.sink, to = target.path, overwrite = options.overwrite })
  end)
  if saved then
    warn(ctx, target, saved)
    return nil
  end
  local code = failure.reason == "exists" and "exists" or (failure.reason == "closed" and "closed") or "io"
  local left = failure.errno ~= 2 and " (the whole video is in " .. place(target) .. ")"
    or ": another file stands under this name, or none"
  return attempts.problem(code, source, target.path, failure.message .. left)
end

local function finish(ctx, target, source, options)
  local part = target.part
  local reply, err = { tries = 0 }, nil
  if not (source.identified and part:is_whole()) then reply, err = attempts.run(ctx, source, target, options) end
  if not reply then
    if err.code == "too_large" and part.sink:size() > 0 then
      err.message = err.message .. "; what came of it is in " .. place(target)
    end
    part:leave()
    return nil, err
  end
  err = check_video(target, source, reply)
  if err then return nil, err end
  local size, journal = part.sink:size(), target.journal
  local seen, failure = look(target)
  local verified
  if options.verify ~= false then verified = verify.verdict(ctx, source, target.path, seen, reply.untold) end
  err = journal and journal:whole(seen, failure) or move(ctx, target, source, options)
  if err then
    part.sink:close()
    return nil, err
  end
  part:done()
  if journal then journal:saved() end
  target.teller:tell(size, size, true)
  return { path = target.path, bytes = size, taskId = source.taskId, etag = reply.etag,
    content_type = reply.content_type, requests = reply.tries, resumed = target.teller.resumed, verified = verified }
end

---@param ctx table
---@param source veo.download.Source
---@param path string
---@param options table
---@return table|nil file, veo.Error|nil err
function M.run(ctx, source, path, options)
  local journal = options.journal or journals.new(ctx, source, path, options)
  local there = journal and journal:there()
  if there then return there end
  local part, err = descriptors.patiently(ctx, function() return partials.open(source, path, options, journal) end)
  if not part then return nil, err end
  local resumed = part.sink:size()
  local target = setmetatable({ ctx = ctx, part = part, path = path, options = options, farthest = resumed,
    journal = journal,
    teller = progress.new(ctx, options.on_progress, resumed, journal and journal.beats and source.taskId) }, Target)
  -- A job that is dropped leaves the unfinished file; closing ends the lock once the cut transfer has let go.
  local cleanup = ctx.scheduler:on_drop { drop = function()
    part.sink:close()
    if journal then journal:failed() end
  end }
  local file
  file, err = finish(ctx, target, source, options)
  ctx.scheduler:settled(cleanup)
  if journal and not file then journal:failed() end
  return file, err
end

return M
