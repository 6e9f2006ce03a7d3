--- Saving a result: to `.part` beside the target, resumed when the connection is cut, checked, synced, moved to its name
--- in one step. Nothing but a whole video ever stands under the target's name.

local core = require "veo.core"
local errors = require "veo.errors"
local retry = require "veo.retry"
local wire = require "veo.wire"

local M = {}

-- Progress is told at most this often (seconds).
local PROGRESS_EVERY = 0.1
-- These mean that the link is dead, not that the server is in trouble.
local DEAD = { [403] = true, [404] = true, [410] = true }

local function problem(code, path, message, more)
  local err = { code = code, operation = "download", path = path, message = message }
  for name, value in pairs(more or {}) do err[name] = value end
  return errors.new(err)
end

-- The link and the task of what is to be saved.
local function source_of(source)
  local url, taskId = source, nil
  if type(source) == "table" then
    url, taskId = source.video_url, source.taskId
    if not url then
      return nil, nil, errors.new { code = "invalid", operation = "download", field = "status", taskId = taskId,
        given = "a status without video_url", expected = "a succeeded status or a URL",
        message = ("download: the status of task %s names no video (it is %s)"):format(tostring(taskId),
          tostring(source.state)) }
    end
  end
  if type(url) ~= "string" or not url:find("^[hH][tT][tT][pP][sS]?://[^/]") or url:find("[%z\r\n ]") then
    return nil, nil, errors.new { code = "invalid", operation = "download", field = "url",
      given = type(url) == "string" and wire.printable(wire.bare_url(url), 80) or type(url),
      expected = "an http or https URL on one line",
      message = "download: url: an http or https URL on one line expected" }
  end
  return url, taskId
end

-- Looks before anything is fetched: a target that cannot be written must fail first.
local function open_sink(path, options)
  local kind = core.kind(path)
  if kind == "file" and not options.overwrite then
    return nil, problem("exists", path, path .. " exists already; pass overwrite = true to replace it")
  elseif kind and kind ~= "file" then
    return nil, problem("io", path, path .. " is " .. (kind == "directory" and "a directory" or "not a regular file"))
  end
  local sink, failure = core.sink(path .. ".part")
  if sink then return sink end
  return nil, problem(failure.reason == "busy" and "busy" or "io", path, failure.message)
end

-- Waits for a transfer and tells its progress on the way.
local function follow(ctx, transfer, on_progress)
  local scheduler = ctx.scheduler
  if not on_progress then return scheduler:await(transfer) end
  local told
  while true do
    local why = scheduler:await(transfer, ctx.now() + PROGRESS_EVERY)
    if why ~= "timeout" then return why end
    local bytes, total = transfer:progress()
    if bytes and bytes ~= told then
      told = bytes
      on_progress(bytes, total)
    end
  end
end

-- One request for the bytes that are missing.
local function fetch(ctx, url, sink, state, options)
  local have = sink:size()
  if have > 0 and not state.validator then
    sink:truncate(0) -- without ETag or date there is no telling whether the rest belongs to these bytes
    have = 0
  end
  local transfer, failure = ctx.core:start("download",
    { url = url, sink = sink, offset = have, if_range = state.validator, max_bytes = options.max_bytes })
  if not transfer then return nil, failure, 0 end
  follow(ctx, transfer, options.on_progress)
  local reply
  reply, failure = transfer:result()
  local now = sink:size()
  return reply, failure, now > have and now - have or 0
end

-- An ETag that If-Range may carry (a weak one may not), else the date.
local function validator_of(headers)
  local etag = headers.etag
  if etag and etag:sub(1, 2) ~= "W/" then return etag end
  return headers.last_modified
end

-- What a failed request means: an error, and whether another try may help.
local function judge(failure, path, taskId)
  local status = failure.http_status
  local more = { taskId = taskId, http_status = status, curl_code = failure.curl_code, excerpt = failure.excerpt,
    timed_out = failure.timed_out, retry_after = failure.retry_after }
  local reason = failure.reason
  if reason == "http" and DEAD[status] then
    return problem("expired", path, "the link is dead (HTTP " .. status .. ")", more), false
  elseif reason == "http" then
    local passing = status >= 500 or status == 429 or status == 408 or status == 206 or status == 416
    return problem(passing and "server" or "not_video", path, failure.message, more), passing
  elseif reason == "network" or reason == "malformed" then
    return problem("network", path, failure.message, more), true
  elseif reason == "too_large" or reason == "cancelled" or reason == "closed" or reason == "invalid" then
    return problem(reason, path, failure.message, more), false
  end
  return problem("io", path, failure.message, more), false
end

-- Fetches until the file is whole. A try that brought a new byte does not count.
local function fetch_all(ctx, url, sink, path, taskId, options)
  local state, fruitless, tries = {}, 0, 0
  while true do
    tries = tries + 1
    local reply, failure, gained = fetch(ctx, url, sink, state, options)
    if reply then
      local size = sink:size()
      if not reply.total or size == reply.total then
        reply.size, reply.tries = size, tries
        return reply
      end
      failure = { reason = "network", message = ("%d bytes came of %d"):format(size, reply.total) }
    end
    local err, again = judge(failure, path, taskId)
    err.attempts = tries
    if failure.reason == "http" and (failure.http_status == 416 or failure.http_status == 206) then
      sink:truncate(0) -- what we have is no part of what is there now
    end
    state.validator = validator_of(failure) or state.validator
    fruitless = gained > 0 and 0 or fruitless + 1
    if not again or fruitless >= options.attempts then return nil, err end
    local delay = retry.delay(ctx.retry, math.max(fruitless, 1), ctx.random, failure.retry_after)
    if not delay then return nil, err end
    if ctx.log then ctx.log { event = "retry", operation = "download", attempt = tries, delay = delay, err = err } end
    if ctx.scheduler:sleep_until(ctx.now() + delay) ~= "timeout" then return nil, err end
  end
end

-- An MP4 file begins with a box named ftyp; an error page does not.
local function check_video(sink, path, taskId, reply)
  local head = sink:read(0, 1024)
  if head:sub(5, 8) == "ftyp" then return nil end
  return problem("not_video", path, "what came is not an MP4 file"
    .. (reply.content_type and (" but " .. wire.printable(reply.content_type, 60)) or ""),
    { taskId = taskId, excerpt = wire.printable(head, 200), http_status = reply.http_status })
end

local function move(ctx, sink, path, options, taskId)
  local saved, failure = ctx.scheduler:exchange(nil, "save", { sink = sink, to = path, overwrite = options.overwrite })
  if saved then return nil end
  local code = failure.reason == "exists" and "exists" or (failure.reason == "closed" and "closed") or "io"
  return problem(code, path, failure.message .. " (the whole video is in " .. path .. ".part)", { taskId = taskId })
end

local function save(ctx, url, sink, path, taskId, options)
  local reply, err = fetch_all(ctx, url, sink, path, taskId, options)
  if not reply then
    if sink:size() == 0 then os.remove(path .. ".part") end
    return nil, err
  end
  err = check_video(sink, path, taskId, reply)
  if err then
    os.remove(path .. ".part")
    return nil, err
  end
  err = move(ctx, sink, path, options, taskId)
  if err then return nil, err end
  if options.on_progress then options.on_progress(reply.size, reply.size) end
  return { path = path, bytes = reply.size, taskId = taskId, etag = reply.etag, content_type = reply.content_type,
    requests = reply.tries }
end

---Saves a video.
---@param ctx table
---@param source veo.Status|string  a succeeded status, or a URL
---@param path string
---@param options table             the `download` options
---@return { path: string, bytes: integer, taskId: string|nil, requests: integer }|nil file
---@return veo.Error|nil err
function M.download(ctx, source, path, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  local url, taskId, err = source_of(source)
  if not url then return nil, err end
  local sink
  sink, err = open_sink(path, options)
  if not sink then return nil, err end
  local settle = ctx.scheduler:on_drop(function() sink:close() end)
  local file
  file, err = save(ctx, url, sink, path, taskId, options)
  settle()
  sink:close()
  if ctx.log then ctx.log { event = "save", taskId = taskId, path = path, bytes = file and file.bytes, err = err } end
  return file, err
end

return M
