--- The command's words: advice as commands to type, sizes, durations, quoting.

local errors = require "veo.errors"
local visible = require "veo.util.visible"

local M = {}

---A word as the shell takes it.
---@param word string
---@return string
function M.quote(word)
  word = tostring(word)
  if word == "-" or word:find("^[%w_./:@%%+,=-]+$") and word:sub(1, 1) ~= "-" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

---What hints repeat of how this command was called: its `--ledger`, without a password.
M.ledger = ""

local function task_of(err) return type(err.taskId) == "string" and M.quote(err.taskId) or "TASK" end
local function reference_of(err) return err.ref or "REF" end

-- The library's advice as commands to type.
local WORDS = {
  key = "KIE_API_KEY",
  base_url = "KIE_BASE_URL",
  credits = "`veo credits`",
  status = function(err) return "`veo status " .. task_of(err) .. "`" end,
  wait = function(err) return "`veo wait " .. task_of(err) .. M.ledger .. "`" end,
  resume = function() return "`veo resume" .. M.ledger .. "`" end,
  settle = function(err) return "`veo settle " .. reference_of(err) .. " TASK" .. M.ledger .. "`" end,
  settle_lost = function(err) return "`veo settle " .. reference_of(err) .. " lost" .. M.ledger .. "`" end,
  ledger = "--ledger FILE, or VEO_LEDGER",
  overwrite = "use --force",
  second = "give it a --key of its own or --on-duplicate allow",
  force = "--force",
  repeat_failed = "--repeat-failed",
  seconds_to_wait = function(err) return err.retry_after and (" %g seconds"):format(err.retry_after) or "" end,
  shared_window = "commands that share a ledger also share the account's rate limit",
  in_task_id = "",
  in_traceback = "",
  in_hops = "",
}

-- What to do next, where the library says more, or says it of its options.
local ADVICE = {
  invalid = "Correct it; nothing was sent.",
  uncertain = "It was not sent again, because that could be paid twice: compare {credits} with the balance before, and "
    .. "look at the task list on the service's web page.",
  network = "Check the connection and {base_url}, then try again.",
  malformed = "Try again; if it stays so, check {base_url}: something else may be answering.",
  budget = "Nothing was sent; --max-credits says how much may be spent.",
  ledger = "Nothing billable was sent. With another ledger (--ledger), or without (--no-ledger), what this one knows "
    .. "would be paid again.",
  io = "Check the path, its permissions and the free space, then run the command again.",
  missing = "Install it, and run the command again.",
  busy = "Wait for the other command.",
  too_large = "It is larger than any video should be.",
  job_failed = "This is a fault of veo itself: please report it.",
  internal = "Try again; if it stays so, report the message with `veo --version`.",
  rejected = "The same request will be refused again: change the prompt (English, within the content policy) or the "
    .. "option that it objects to.",
  not_found = "Check the taskId; a task that was just made can need a minute to appear.",
  failed = "{credits} shows whether it was refunded; another prompt or seed is a new order.",
}

local function fill(template, err)
  return (template:gsub("{([%a_]+)}", function(name)
    local word = WORDS[name] or err[name]
    if type(word) == "function" then return word(err) end
    return word and tostring(word)
  end))
end

-- The library's words in the command's.
local TRANSLATIONS = {
  { "; it goes on, and waiting again is free", "" }, { " %(mkdir = true makes it%)", "" },
  { "; give it in prices", "" }, { " %(prices of veo%.new%)", "" },
  { "this client's", "this run's" }, { "client:settle", "`veo settle`" },
  { 'base_url = (%b"") where', "KIE_BASE_URL=%1 where" }, { "this client", "this command" },
  { "%f[%w_-]max_credits", "--max-credits" }, { "%f[%w_]on_duplicate", "--on-duplicate" },
  { "%f[%w_]base_url", "KIE_BASE_URL" }, { "%f[%w_]api_key", "KIE_API_KEY" },
}
-- Where the words are the library's alone, and not the service's.
local OWN = { timeout = true, budget = true, ledger = true, io = true, invalid = true, missing = true }

---@param text string
---@return string
function M.translate(text)
  for _, pair in ipairs(TRANSLATIONS) do text = text:gsub(pair[1], pair[2]) end
  return text
end

---What happened, for somebody at a shell.
---@param err veo.Error
---@return string
function M.message(err)
  local message = errors.message(err, WORDS)
  return OWN[err.code] and M.translate(message) or message
end

local function sentence(text) return text:find("[%.!?]%s*$") and text or text .. "." end

local MONEY = { maybe = "Credits may have been charged." }

-- What to do, where the error itself knows more than its code.
local function special(err)
  if err.candidate or err.taskId and err.charged == "maybe" and err.code ~= "uncertain" then
    return "The answer may name the task {taskId}: look at {status} before you order again."
  elseif err.code == "uncertain" and err.taskId then
    return "The answer did name the task {taskId}: {wait} tells what became of it."
  elseif err.reader_gone then
    return "The video is paid, and fetching it again is free."
  elseif err.recordId then
    return "Its recordId, {recordId}, is no taskId: give it to the service's support."
  end
end

---Cause and next step of an error, for somebody at a shell: a sentence each.
---@param err veo.Error
---@return string
function M.explain(err)
  local class = errors.codes[err.code] or {}
  local out = { sentence(tostring(err.code) .. ": " .. M.message(err)) }
  local advice = special(err) or ADVICE[err.code] or class.template
  if advice then out[2] = sentence(fill(advice, err)) end
  if err.suggestion and err.field and not out[1]:find("did you mean", 1, true) then
    out[#out + 1] = fill("Did you mean {suggestion}?", err)
  end
  out[#out + 1] = MONEY[err.charged or class.charged]
  return (table.concat(out, " "):gsub("[^\n\t]+", visible))
end

---What an error's code means, what to do next, and what it says of money.
---@param code string
---@return string|nil summary, string|nil next, string|nil money
function M.about(code)
  local summary, next_step, money = errors.about(code, WORDS)
  if not summary then return nil end
  local advice = ADVICE[code] and fill(ADVICE[code], {}) or next_step
  return M.translate(summary), advice, money
end

---Seconds, as 0:07, 12:30 or 1:02:03.
---@type fun(seconds: number): string
M.clock = require "veo.util.duration"

---@param count number
---@return string
function M.bytes(count)
  if count < 1000 then return ("%d bytes"):format(math.floor(count)) end
  if count < 1000000 then return ("%.1f kB"):format(count / 1000) end
  if count < 1000000000 then return ("%.1f MB"):format(count / 1000000) end
  return ("%.2f GB"):format(count / 1000000000)
end

---@param count number
---@param one string
---@return string
function M.count(count, one)
  return ("%d %s%s"):format(count, one, count == 1 and "" or "s")
end

return M
