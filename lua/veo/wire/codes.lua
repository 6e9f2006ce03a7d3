--- The service's code table as data: what each code means for a free call and for a call that costs money.
---
--- `free`: the error code a free call (status, credits, …) ends with. `submit`: the same for a billable call, and
--- `verdict` says what may be done about it: "repeat" (refused before it was accepted), "refused" (final, costs
--- nothing), "uncertain" (may have been accepted and charged: never repeated by itself).
--- Codes without a row are `server` for a free call and `uncertain` for a billable one.

local ipairs = ipairs

local M = {}

---@class veo.wire.CodeRow
---@field free string
---@field submit string
---@field verdict "repeat"|"refused"|"uncertain"
---@field meaning string

local function row(meaning, free, submit, verdict)
  return { meaning = meaning, free = free, submit = submit, verdict = verdict }
end

---@type table<integer, veo.wire.CodeRow>
M.table = {
  [400] = row("the input was refused (content policy, language or another input error)",
    "rejected", "rejected", "refused"),
  [401] = row("the API key is missing or not valid", "unauthorized", "unauthorized", "refused"),
  [402] = row("not enough credits", "insufficient_credits", "insufficient_credits", "refused"),
  [403] = row("access is blocked", "forbidden", "forbidden", "refused"),
  [404] = row("no such task or video", "not_found", "not_found", "refused"),
  [408] = row("the service's upstream gave no result in time", "server", "uncertain", "uncertain"),
  [422] = row("the request did not pass validation", "rejected", "rejected", "refused"),
  [429] = row("too many requests, this one was not accepted", "rate_limited", "rate_limited", "repeat"),
  [433] = row("the key's own usage limit is reached", "key_limit", "key_limit", "refused"),
  [451] = row("an image could not be fetched", "rejected", "rejected", "refused"),
  [455] = row("the service is under maintenance", "unavailable", "unavailable", "repeat"),
  [500] = row("the service had an internal error", "server", "uncertain", "uncertain"),
  [501] = row("the task failed", "failed", "failed", "refused"),
  [505] = row("the feature is disabled", "disabled", "disabled", "refused"),
}

local UNKNOWN = row("an undocumented code", "server", "uncertain", "uncertain")
local PROXY = row("a proxy before the service answered with an error", "server", "uncertain", "uncertain")
for _, status in ipairs { 502, 503, 504, 520, 521, 522, 523, 524 } do M.table[status] = PROXY end

---@param code integer
---@return veo.wire.CodeRow
function M.row(code)
  return M.table[code] or UNKNOWN
end

---422 says several things to a status call; the first pattern found in its lower-cased message decides.
---`state` instead of `code`: not an error at all, the record exists and is not finished.
M.unprocessable = {
  { pattern = "records within", code = "expired", meaning = "the record is too old to be kept" },
  { pattern = "within 14 days", code = "expired", meaning = "the record is too old to be kept" },
  { pattern = "record is null", code = "not_found", meaning = "no such task" },
  { pattern = "recordinfo is null", code = "not_found", meaning = "no such task" },
  { pattern = "status is not success", state = "generating" },
}

return M
