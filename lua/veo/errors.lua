--- Errors: one plain table for everything the world can do to a call, and the words that go with it.
--- The class table below is data: `explain`, the README's table and the specs all read it.

local error, getmetatable, pairs = error, getmetatable, pairs
local setmetatable, tostring, type = setmetatable, tostring, type
local find, format, gsub = string.find, string.format, string.gsub
local concat = table.concat

-- It is loaded too to say that the host has dropped what this needs.
local visible = require and find and format and gsub and require "veo.util.visible"

local M = {}

---@class veo.Error
---@field code string            one of the keys of `errors.codes`
---@field message string         one line: what happened, to which field or call; never a key
---@field operation string|nil   "extend", "status", "wait", "download", …
---@field field string|nil       the parameter that was refused
---@field given string|nil       what was given, short and printable
---@field expected string|nil    what would have been accepted
---@field suggestion string|nil  the field or value that was probably meant
---@field taskId string|nil      the task concerned, whenever it is known
---@field candidate boolean|nil  the taskId is only likely the order's: client:resume() looks at it, or client:status
---@field recordId string|nil    an uncertain answer named this and no taskId; it cannot be asked for
---@field charged string|nil     "no", "maybe", "yes", where it is not what `errors.codes` says of the code
---@field sent string|nil        "no" (proved), "maybe", "yes" (a reply came)
---@field http_status integer|nil
---@field service_code integer|nil  `code` in the reply's body
---@field service_msg string|nil    `msg` in the reply's body, shortened
---@field curl_code integer|nil
---@field proxy_status integer|nil  what a proxy answered that made no tunnel
---@field offline number|nil     seconds without a connection, when it gave up for that
---@field retry_after number|nil seconds
---@field excerpt string|nil     start of an unreadable body, or of the answer to an order
---@field attempts integer|nil
---@field status table|nil       the last status seen
---@field path string|nil        a file concerned
---@field location string|nil    where a redirect pointed, without its query
---@field traceback string|nil  where a job's function raised
---@field ref string|nil         the order in the ledger: for client:settle
---@field key string|nil         the order's own key
---@field state string|nil       what the ledger says of an earlier order
---@field evidence table|nil     credits_before, credits_after, difference, price of an uncertain call
---@field hop integer|nil        where a chain stopped
---@field hops table[]|nil       what of a chain is finished
---@field cause string|veo.Error|nil  what lies behind `code`, e.g. "network" behind "uncertain"; an error where an uncertain
---                              order was sent again by the caller's word: what came of that

---What each code means, what to do next, and whether credits may have gone.
---charged: "no" this failure cost nothing; "maybe" it may have; "yes" the task is charged (and still yours).
---@type table<string, { summary: string, next: string, charged: "no"|"maybe"|"yes" }>
M.codes = {
  invalid = {
    summary = "A parameter is outside its rules, so nothing was sent.",
    next = "Correct the field named in the message and call again.",
    charged = "no",
  },
  unauthorized = {
    summary = "The service does not accept the API key.",
    next = "Check KIE_API_KEY or the api_key option: missing, mistyped, or withdrawn at the service.",
    charged = "no",
  },
  insufficient_credits = {
    summary = "The account has too few credits for this call.",
    next = "Top up the account, look at client:credits(), then call again.",
    charged = "no",
  },
  forbidden = {
    summary = "The service or the proxy before it blocks this caller.",
    next = "Check the key's list of allowed addresses; a text with 1010 means that the User-Agent was refused.",
    charged = "no",
  },
  key_limit = {
    summary = "This key has reached the usage limit set for it.",
    next = "Raise the key's limit at the service or use another key.",
    charged = "no",
  },
  rejected = {
    summary = "The service looked at the request and refused it.",
    next = "Change what the service complains about (often the prompt: English, within its content policy); "
      .. "the same request will be refused again.",
    charged = "no",
  },
  not_found = {
    summary = "The service does not know this task.",
    next = "Check the taskId and that it belongs to this account; a task just created can need a minute to appear. "
      .. "An order whose task stays unknown is given up with client:settle(err.ref, \"lost\").",
    charged = "no",
  },
  expired = {
    summary = "The service no longer keeps this: records last two months (by older pages 14 days), videos 14 days, "
      .. "links less.",
    next = "Ask client:status(taskId) for a fresh link; when the record itself has expired, the video is gone.",
    charged = "no",
  },
  rate_limited = {
    summary = "Too many requests: this one was turned away before it was accepted.",
    next = "Wait (retry_after seconds when given) and call again; let one client do all calls of an account, "
      .. "so that its rate window can hold them back.",
    charged = "no",
  },
  unavailable = {
    summary = "The service is under maintenance or its gateway does not reach it.",
    next = "Try again in some minutes, and check base_url when it never works.",
    charged = "no",
  },
  disabled = {
    summary = "The service has switched this feature off.",
    next = "Nothing on this side helps; follow the service's announcements.",
    charged = "no",
  },
  failed = {
    summary = "The service gave the task up.",
    next = "Read errorMessage; another prompt or another seed is a new task with its own price. "
      .. "Look at client:credits() to see whether the failed one was refunded.",
    charged = "maybe",
  },
  server = {
    summary = "The service had an error of its own, or answered with a code nobody documents.",
    next = "The call is free: try again later.",
    charged = "no",
  },
  malformed = {
    summary = "The reply could not be read as the service's answer.",
    next = "Try again; when it stays so, check base_url and proxy, because something else may be answering.",
    charged = "no",
  },
  network = {
    summary = "The exchange with the service did not complete.",
    next = "Check the connection, proxy and base_url, then try again.",
    charged = "no",
  },
  timeout = {
    summary = "The waiting ended before the task did.",
    next = "The task goes on at the service, and waiting again is free: client:wait(err.taskId).",
    charged = "yes",
  },
  uncertain = {
    summary = "The request may have reached the service, so it was not repeated: a repeat could be charged twice.",
    next = "Find out first: compare client:credits() with the balance before, look at the task list on the "
      .. "service's web page, wait for the callback if one was set. Call again only when no task is found.",
    charged = "maybe",
  },
  not_video = {
    summary = "What was downloaded is not a video, so no file was left under the target name.",
    next = "Look at the excerpt; ask client:status(taskId) for a fresh link and download again.",
    charged = "no",
  },
  exists = {
    summary = "The target file already exists.",
    next = "Choose another path or pass overwrite = true.",
    charged = "no",
  },
  io = {
    summary = "A file could not be written or read.",
    next = "Check the path, its permissions and the free space, then call again.",
    charged = "no",
  },
  too_large = {
    summary = "The file is larger than max_bytes allows.",
    next = "Raise max_bytes if the size is expected.",
    charged = "no",
  },
  cancelled = {
    summary = "The call was cancelled.",
    next = "Nothing to do; a task that was accepted goes on at the service and can be waited for again.",
    charged = "no",
  },
  closed = {
    summary = "The client was closed before the call finished.",
    next = "Create another client; a task that was accepted goes on and can be waited for again.",
    charged = "no",
  },
  job_failed = {
    summary = "The job's own function raised an error.",
    next = "Read the traceback in err.traceback.",
    charged = "maybe",
  },
  busy = {
    summary = "Something else is using this right now, or Lua cannot wait at this place.",
    next = "Wait for the other call, or make the call from the job itself, outside of gsub, sort and require.",
    charged = "no",
  },
  no_result = {
    summary = "The service reports success but names no video.",
    next = "Ask client:status(taskId) again later; when it stays so, show the taskId to the service's support.",
    charged = "yes",
  },
  duplicate = {
    summary = "The same request was made before, so it was not sent again.",
    next = "Use the earlier task named in err.taskId, or pass a key of its own or on_duplicate = \"allow\" "
      .. "when a second one is wanted.",
    charged = "no",
  },
  budget = {
    summary = "The call would pass the credit limit set by max_credits, so it was not sent.",
    next = "Raise max_credits, or give the price in prices when it is unknown.",
    charged = "no",
  },
  ledger = {
    summary = "The ledger could not be opened or written, or is another one, so nothing billable was sent.",
    next = "Check the ledger's path or database, then call again.",
    charged = "no",
  },
  changed = {
    summary = "The file is no longer the one that was begun, and what was handed on cannot be taken back.",
    next = "Throw away what came and download again.",
    charged = "no",
  },
  missing = {
    summary = "Something that this call needs is not installed, or not in this Lua.",
    next = "Install the package named in the message, or let the host's Lua have what it names, and call again.",
    charged = "no",
  },
  redirect = {
    summary = "The link leads to an address that is not followed.",
    next = "Ask client:status(taskId) for a fresh link and download again; the message says where this one leads.",
    charged = "no",
  },
  internal = {
    summary = "libcurl or this module could not do what it was asked, so nothing was sent.",
    next = "Try again; when it stays so, report the message with the version of libcurl.",
    charged = "no",
  },
  unverified = {
    summary = "The callback's signature does not hold.",
    next = "Ignore the callback; check the webhook key and this machine's clock if it should have been genuine.",
    charged = "no",
  },
}

local MONEY = {
  no = "This failure costs nothing.",
  maybe = "Credits may have been charged.",
  yes = "The task is charged whether or not it is waited for.",
}

local function sentence(text) return find(text, "[%.!?]%s*$") and text or text .. "." end

-- Of several lines, as one that a host's function raised.
local function printable(text)
  return visible and (gsub(tostring(text), "[^\n\t]+", visible)) or tostring(text)
end

---The cause and the next step in plain words, several sentences. Works on copies without the metatable too.
---@param err veo.Error
---@return string
function M.explain(err)
  local class = M.codes[err.code] or {}
  local out = { sentence(tostring(err.code) .. ": " .. tostring(err.message)) }
  local function say(text)
    if text then out[#out + 1] = sentence(text) end
  end
  local again = err.code == "uncertain" and M.is(err.cause)
  say(again and "It was sent again by your word; what came of that says nothing about the first try, which may have "
    .. "been charged." or class.summary)
  local asked_for = err.operation == "get_1080p"
  local open = err.code == "uncertain" or err.charged == "maybe" and err.taskId ~= nil and not asked_for
  if err.candidate or open and err.code ~= "uncertain" then
    say(format("%s task %s: look at client:status(err.taskId) before you order again%s", err.candidate
      and "The answer may name the" or "The refusal names the", tostring(err.taskId),
      err.ref and "; client:resume() looks too, and adopts the task when its record fits the order" or ""))
  elseif err.code == "uncertain" and err.taskId then
    say("The reply did name the task " .. tostring(err.taskId) .. ": client:wait(err.taskId) tells what became of it")
  else
    say(class.next)
  end
  say(asked_for and err.charged == "maybe" and "It may have been ordered; asking again costs nothing more" or nil)
  local finished = type(err.hops) == "table" and #err.hops or 0
  say(finished > 0 and format("The chain's hops before that are paid and finished: %d in err.hops", finished) or nil)
  say(err.recordId and "Its recordId, " .. tostring(err.recordId) .. ", is no taskId: name it to the service's support")
  if open and err.ref then
    say(format('Then settle the order: client:settle("%s", taskId), or client:settle("%s", "lost") '
      .. "when nothing was ordered", err.ref, err.ref))
  end
  if type(err.evidence) == "table" and err.evidence.difference then
    say(format("Meanwhile the account's credits fell by %g%s", err.evidence.difference,
      err.evidence.price and format(", the price is %g", err.evidence.price) or ""))
  end
  if err.suggestion and err.field and not find(tostring(err.message), "did you mean", 1, true) then
    say("Did you mean " .. tostring(err.suggestion) .. "?")
  end
  if err.retry_after then say(format("The service asks to wait %g seconds", err.retry_after)) end
  if err.offline then say(format("There was no connection for %.0f seconds", err.offline)) end
  if type(err.attempts) == "number" and err.attempts > 1 then say(format("It was tried %d times", err.attempts)) end
  say(MONEY[err.charged or class.charged])
  return printable(concat(out, " "))
end

local Error = { __name = "veo.error" }
Error.__index = { explain = M.explain }

function Error.__tostring(err)
  return printable(tostring(err.code) .. ": " .. tostring(err.message))
end

-- An error is often glued to a text for printing; that must not become a second error.
function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

---A fresh error from a table of fields; also turns a copy that lost its metatable back into an error.
---@param fields table  `code` and `message` at least
---@return veo.Error
function M.new(fields)
  local err = {}
  for name, value in pairs(fields) do err[name] = value end
  if not M.codes[err.code] then error("unknown error code: " .. tostring(err.code), 2) end
  err.message = err.message == nil and M.codes[err.code].summary or printable(err.message)
  return setmetatable(err, Error)
end

---Tells of an error that came after an order was placed that the order is paid all the same.
---@param err veo.Error
---@return veo.Error
function M.paid(err)
  if not err.charged and M.codes[err.code].charged == "no" then err.charged = "yes" end
  return err
end

---Takes a secret out of every text of an error, in place: a service may repeat the key it was given.
---@param err veo.Error
---@param secret string|nil
---@return veo.Error
function M.redact(err, secret)
  if secret and #secret > 3 then
    local plain = gsub(secret, "%p", "%%%0")
    for name, value in pairs(err) do
      if type(value) == "string" and find(value, secret, 1, true) then err[name] = gsub(value, plain, "(hidden)") end
    end
  end
  return err
end

---Whether `x` is one of these errors, or a copy of one.
---@param x any
---@return boolean
function M.is(x)
  return type(x) == "table" and (getmetatable(x) == Error
    or (type(x.code) == "string" and M.codes[x.code] ~= nil and type(x.message) == "string"))
end

return M
