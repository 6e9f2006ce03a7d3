---@meta
--- Errors: what the world can do to a call. spec/meta_spec.lua holds this against errors.lua and errors/codes.lua.

---What an error's `code` says. `veo explain CODE` tells what to do next, as `err:explain()` does.
---@alias veo.ErrorCode
---| "budget" # The call would exceed the credit limit set by max_credits, so it was not sent.
---| "busy" # Something else is using this right now, or Lua cannot wait at this point.
---| "cancelled" # The call was cancelled.
---| "changed" # The file at the server has changed, and the data already handed on cannot be taken back.
---| "closed" # The client was closed before the call finished.
---| "disabled" # The service has switched this feature off.
---| "duplicate" # The same request was made before, so it was not sent again.
---| "exists" # The target file already exists.
---| "expired" # The service no longer keeps this: it keeps records for two months (older pages say 14 days), videos for 14 days, links for less.
---| "failed" # The task failed at the service.
---| "forbidden" # The service, or the proxy in front of it, blocks this caller.
---| "insufficient_credits" # The account has too few credits for this call.
---| "internal" # libcurl or this module could not do what it was asked, so nothing was sent.
---| "invalid" # A parameter is not valid, so nothing was sent.
---| "io" # A file could not be written or read.
---| "job_failed" # The job's own function raised an error.
---| "key_limit" # This key has reached the usage limit set for it.
---| "ledger" # The ledger could not be opened or written, or is another account's, so nothing billable was sent.
---| "malformed" # The reply is not a readable answer of the service.
---| "missing" # Something that this call needs is not installed, or not available in this Lua.
---| "network" # The exchange with the service did not complete.
---| "no_result" # The service reports success but names no video.
---| "not_found" # The service does not know this task.
---| "not_video" # What was downloaded is not a video, so no file was left under the target name.
---| "rate_limited" # Too many requests: this one was refused before it was accepted.
---| "redirect" # The link redirects to an address that is not followed.
---| "rejected" # The service refused the request.
---| "server" # The service had an internal error, or answered with an undocumented code.
---| "timeout" # The wait ended before the task did.
---| "too_large" # The file is larger than max_bytes allows.
---| "unauthorized" # The service does not accept the API key.
---| "unavailable" # The service is under maintenance or its gateway does not reach it.
---| "uncertain" # The request may have reached the service, so it was not repeated: a repeat could be charged twice.
---| "unverified" # The callback's signature is not valid.

---@class veo.Error
---@field code veo.ErrorCode
---@field message string         one line: what happened, to which field or call; never a key
---@field operation? string   "extend", "status", "wait", "download", …
---@field field? string       the parameter that was refused
---@field given? string       what was given, short and printable
---@field expected? string    what would have been accepted
---@field suggestion? string  the field or value that was probably meant
---@field hint? string        what to do about it, as a template (see errors/explain.lua); the message ends with it
---@field taskId? string      the task concerned, whenever it is known
---@field candidate? boolean  the taskId is only likely the order's: client:resume() looks at it, or client:status
---@field recordId? string    an uncertain answer named this and no taskId; it cannot be asked for
---@field charged? string     "no", "maybe", "yes", where it is not what `errors.codes` says of the code
---@field sent? string        "no" (proved), "maybe", "yes" (a reply came)
---@field http_status? integer
---@field service_code? integer  `code` in the reply's body
---@field service_msg? string    `msg` in the reply's body, shortened
---@field curl_code? integer
---@field errno? integer        of the system, of a file
---@field timed_out? boolean   the exchange ran out of time
---@field proxy_status? integer  what a proxy answered that made no tunnel
---@field offline? number     seconds without a connection, when it gave up for that
---@field retry_after? number seconds
---@field excerpt? string     start of an unreadable body, or of the answer to an order
---@field attempts? integer
---@field status? table       the last status seen
---@field path? string        a file concerned
---@field location? string    where a redirect pointed, without its query
---@field traceback? string  where a job's function raised
---@field ref? string         the order in the ledger: for client:settle
---@field key? string         the order's own key
---@field state? string       what the ledger says of an earlier order
---@field evidence? table     credits_before, credits_after, difference, price of an uncertain call
---@field hop? integer        where a chain stopped
---@field hops? table[]       what of a chain is finished
---@field cause? string|veo.Error  what lies behind `code`, e.g. "network" behind "uncertain"; an error where an uncertain order was sent again at the caller's request: what came of that
local Error = {}

---The cause and the next step in plain words, several sentences.
---@param words? veo.errors.Words  the library's unless given
---@return string
function Error:explain(words) end

---What stands in a place of advice: a text, or a function that makes one of the error (an empty table where there is none).
---@alias veo.errors.Words table<string, string|fun(err: table): string>

---`veo.errors`. Each code: what it means, what to do next (`template`: with places, see errors/explain.lua), and whether
---such a failure costs: "no" nothing, "maybe" credits may have gone, "yes" the task is charged, and still yours.
---@class veo.errors
---@field codes table<veo.ErrorCode, { summary: string, next: string, template: string, charged: "no"|"maybe"|"yes" }>
local errors = {}

---An error's message, with its hint in other words than the library's.
---@param err veo.Error
---@param words veo.errors.Words
---@return string
function errors.message(err, words) end

---The cause and the next step in plain words, several sentences. Works on copies without the metatable too.
---@param err veo.Error
---@param words veo.errors.Words|nil  the library's unless given
---@return string
function errors.explain(err, words) end

---What a code means, what to do next, and what it says of money.
---@param code string
---@param words veo.errors.Words|nil  the library's unless given
---@return string|nil summary  nil for a code that there is not
---@return string|nil next
---@return string|nil money
function errors.about(code, words) end

---A fresh error from a table of fields; also turns a copy that lost its metatable back into an error.
---@param fields table  `code` and `message` at least
---@return veo.Error
function errors.new(fields) end

---Tells of an error that came after an order was placed that the order is paid all the same.
---@param err veo.Error
---@return veo.Error
function errors.paid(err) end

---Raises an error as itself. In the main program of Lua 5.1, which prints no table, as text with file and line.
---@param err veo.Error
function errors.raise(err) end

---As Lua's `assert`, whose 5.1 takes no table for a message and drops our error.
---@param value any
---@param err any
---@return any …  what it was given
function errors.assert(value, err, ...) end

---Whether `x` is one of these errors, or a copy of one.
---@param x any
---@return boolean
function errors.is(x) end
