--- Tries until the file is whole. What a try does is the target's (a file, a function): this decides whether there is to
--- be another, when, and from which link.

local errors = require "veo.errors"
local retry = require "veo.retry"

local M = {}

-- These mean that the link is dead, not that the server is in trouble.
local DEAD = { [403] = true, [404] = true, [410] = true }
-- Reasons of the core that are errors of the same name and final.
local FINAL = { too_large = true, cancelled = true, closed = true, invalid = true, not_video = true, changed = true }

---An error of a download.
---@param code string
---@param source veo.download.Source
---@param path string|nil
---@param message string
---@param failure table|nil
---@return veo.Error
function M.problem(code, source, path, message, failure)
  failure = failure or {}
  return errors.new { code = code, operation = "download", path = path, taskId = source.taskId, message = message,
    http_status = failure.http_status, curl_code = failure.curl_code, excerpt = failure.excerpt,
    timed_out = failure.timed_out, retry_after = failure.retry_after }
end

-- What a failed try means: an error, and whether another try may help.
local function judge(failure, source, path)
  local status, reason = failure.http_status, failure.reason
  local function problem(code, message) return M.problem(code, source, path, message or failure.message, failure) end
  if reason == "http" and DEAD[status] then
    return problem("expired", "the link is dead (HTTP " .. status .. ")"), false
  elseif reason == "http" then
    local passing = status >= 500 or status == 429 or status == 408 or status == 206 or status == 416
    return problem(passing and "server" or status == 200 and "changed" or "not_video"), passing
  elseif reason == "network" or reason == "malformed" then
    return problem("network"), true
  end
  return problem(FINAL[reason] and reason or "io"), false
end

-- The pause before the next try; nil when there is to be none.
local function pause_before(ctx, failure, fruitless, options)
  if fruitless >= options.attempts then return nil end
  return retry.delay(ctx.retry, math.max(fruitless, 1), ctx.random, failure.retry_after)
end

---Fetches until it is whole. A try that brought a new byte does not count against `attempts`.
---@param ctx table
---@param source veo.download.Source
---@param target table   `try(url)` → reply | nil, failure, new bytes; `path`
---@param options table  the `download` options
---@return table|nil reply, veo.Error|nil err
function M.run(ctx, source, target, options)
  local fruitless, tries = 0, 0
  while true do
    tries = tries + 1
    local reply, failure, gained = target:try(source.url)
    if reply then
      reply.tries = tries
      return reply
    end
    if gained > 0 then source:works() end
    fruitless = gained > 0 and 0 or fruitless + 1
    local err, again = judge(failure, source, target.path)
    err.attempts = tries
    if err.code == "expired" then
      local renewed, why = source:renew(ctx)
      if not renewed then
        err.cause = why and why.code or nil
        return nil, err
      end
    else
      local delay = again and pause_before(ctx, failure, fruitless, options)
      if not delay then return nil, err end
      if ctx.log then ctx.log { event = "retry", operation = "download", attempt = tries, delay = delay, err = err } end
      if ctx.scheduler:sleep_until(ctx.now() + delay) ~= "timeout" then return nil, err end
    end
  end
end

---What If-Range may carry: the ETag, unless it is a weak one, else the date.
---@param headers { etag: string|nil, last_modified: string|nil }
---@return string|nil
function M.validator(headers)
  local etag = headers.etag
  if etag and etag:sub(1, 2) ~= "W/" then return etag end
  return headers.last_modified
end

---Whether these are the first bytes of an MP4 file: it begins with a box named ftyp, an error page does not.
---@param head string
---@return boolean
function M.is_video(head)
  return head:sub(5, 8) == "ftyp"
end

return M
