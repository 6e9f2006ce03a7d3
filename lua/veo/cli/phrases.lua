--- The command's words: advice as commands to type, sizes, durations, quoting.

local errors = require "veo.errors"

local M = {}

---A word as the shell takes it.
---@param word string
---@return string
function M.quote(word)
  word = tostring(word)
  if word:find("^[%w_./:@%%+,=-]+$") and word:sub(1, 1) ~= "-" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function task_of(err) return type(err.taskId) == "string" and M.quote(err.taskId) or "TASK" end
local function reference_of(err) return err.ref or "REF" end

-- The library's advice as commands to type.
local WORDS = {
  key = "KIE_API_KEY",
  base_url = "KIE_BASE_URL",
  credits = "`veo credits`",
  status = function(err) return "`veo status " .. task_of(err) .. "`" end,
  wait = function(err) return "`veo wait " .. task_of(err) .. "`" end,
  resume = "`veo resume`",
  settle = function(err) return "`veo settle " .. reference_of(err) .. " TASK`" end,
  settle_lost = function(err) return "`veo settle " .. reference_of(err) .. " lost`" end,
  ledger = "--ledger FILE, or VEO_LEDGER",
  overwrite = "use --force",
  second = "give it a --key of its own or --on-duplicate allow",
  force = "--force",
  repeat_failed = "--repeat-failed",
  seconds_to_wait = "",
  shared_window = "commands that share a ledger also share the account's rate limit",
  in_task_id = "",
  in_traceback = "",
  in_hops = "",
}

---Cause and next step of an error, for somebody at a shell.
---@param err veo.Error
---@return string
function M.explain(err) return errors.explain(err, WORDS) end

---What happened, for somebody at a shell.
---@param err veo.Error
---@return string
function M.message(err) return errors.message(err, WORDS) end

---What an error's code means, what to do next, and what it says of money.
---@param code string
---@return string|nil summary, string|nil next, string|nil money
function M.about(code) return errors.about(code, WORDS) end

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
