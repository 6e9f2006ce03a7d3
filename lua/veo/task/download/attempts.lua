--- Tries until the file is whole. What a try does is the target's (a file, a function): this decides whether there is to
--- be another, when, and from which link.

local huge, max = math.huge, math.max
local find, lower, sub = string.find, string.lower, string.sub

local errors = require "veo.errors"
local outages = require "veo.policy.outage"
local retry = require "veo.policy.retry"
local text = require "veo.util.text"
local wire = require "veo.wire"

local M = {}

-- These mean that the link is dead, not that the server is in trouble.
local DEAD = { [400] = true, [401] = true, [403] = true, [404] = true, [410] = true }
-- What pages with 200 say of dead links, in small letters.
local DEAD_PAGES = { "expired", "accessdenied", "access denied", "nosuchkey" }
-- Reasons of the core that are errors of the same name and final.
local FINAL = { too_large = true, cancelled = true, closed = true, invalid = true, not_video = true, changed = true,
  redirect = true, internal = true }

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
    proxy_status = failure.proxy_status, sent = failure.sent, timed_out = failure.timed_out,
    retry_after = failure.retry_after, location = failure.location }
end

-- Nil, "blocked" or "dead": what an answer without the file says of the link.
local function fate(failure)
  local page = lower(failure.excerpt or "")
  if failure.http_status == 403 and find(page, "error code: 1010", 1, true) then return "blocked" end
  if DEAD[failure.http_status] then return "dead" end
  for i = 1, failure.page and #DEAD_PAGES or 0 do
    if find(page, DEAD_PAGES[i], 1, true) then return "dead" end
  end
  return nil
end

-- Statuses of a server in trouble, which may pass.
local function is_passing(status)
  return status >= 500 or status == 429 or status == 408 or status == 206 or status == 416
end

-- What an answer without the file means.
local function judge_answer(failure, problem)
  local status, what = failure.http_status, fate(failure)
  if what == "blocked" then return problem("forbidden", "the server blocks this client (error code: 1010)") end
  if what == "dead" then return problem("expired", "the link is dead (HTTP " .. status .. ")"), "renew" end
  if failure.page then return problem("not_video"), "renew" end
  if is_passing(status) then return problem("server"), "again" end
  return problem(status == 200 and "changed" or "not_video")
end

-- What a failed try means: an error, and what may help: "again", or a link that is made anew, "renew".
local function judge(failure, source, path)
  local reason = failure.reason
  local function problem(code, message) return M.problem(code, source, path, message or failure.message, failure) end
  if failure.encoded then return problem("changed"), "again" end
  if reason == "http" then return judge_answer(failure, problem) end
  if reason == "network" or reason == "malformed" then
    local err = problem("network")
    return err, wire.repeatable(err) and "again"
  elseif reason == "redirect" then
    failure.location = text.printable(failure.location, 200)
    return problem("redirect", failure.message .. ": " .. failure.location)
  end
  return problem(FINAL[reason] and reason or "io")
end

-- A server that sends a file in pieces of at least this many bytes is asked for the next one at once.
local PIECE = 65536

-- The pause before the next try; nil when there is to be none. An outage is waited for, and on_progress is told; its
-- tries do not count as fruitless, nor does one that brought a new byte.
local function pause_before(ctx, run, failure, err, gained, cure)
  if failure.free then return 0 end
  if gained == 0 and outages.met(err) then
    local delay = run.outage:pause(ctx, ctx.retry, err, huge)
    if delay then run.teller:say(outages.words(err, err.offline), err.offline) end
    return delay
  end
  run.outage:over()
  run.fruitless = gained > 0 and 0 or run.fruitless + 1
  if cure ~= "again" or run.fruitless >= run.attempts then return nil end
  if failure.short and gained >= PIECE then return 0 end
  return retry.delay(ctx.retry, max(run.fruitless, 1), ctx.random, err.retry_after)
end

---Fetches until it is whole. A try that brought a new byte does not count against `attempts`, nor does one without a
---connection: an outage may take as long as a call.
---@param ctx table
---@param source veo.download.Source
---@param target table   `try(url)` → reply | nil, failure (`short`, `free`: another try is due at once), new bytes; `path`,
---  `teller`
---@param options table  the `download` options
---@return table|nil reply, veo.Error|nil err
function M.run(ctx, source, target, options)
  local tries = 0
  local run = { fruitless = 0, attempts = options.attempts, outage = outages.new(ctx.defaults.free.deadline),
    teller = target.teller }
  while true do
    tries = tries + 1
    local reply, failure, gained = target:try(source.url)
    if reply then
      reply.tries = tries
      return reply
    end
    if gained > 0 then source:works() end
    local err, cure = judge(failure, source, target.path)
    err.attempts = tries
    local delay = pause_before(ctx, run, failure, err, gained, cure)
    if cure == "renew" then
      local renewed, why = source:renew(ctx)
      if not renewed then
        err.cause = why and why.code or nil
        return nil, err
      end
    else
      if not delay then return nil, err end
      ctx.tally:retried()
      if ctx.log then
        ctx.log { event = "retry", operation = "download", attempt = tries, delay = delay, err = err,
          offline = err.offline }
      end
      if ctx.scheduler:sleep_until(ctx.now() + delay) ~= "timeout" then return nil, err end
      target.teller:keep()
    end
  end
end

---What If-Range may carry: the ETag, unless it is a weak one, else the date.
---@param headers { etag: string|nil, last_modified: string|nil }
---@return string|nil
function M.validator(headers)
  local etag = headers.etag
  if etag and sub(etag, 1, 2) ~= "W/" then return etag end
  return headers.last_modified
end

return M
