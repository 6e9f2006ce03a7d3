--- How the command says things: the library's advice, which is given in Lua, as commands to type.

local errors = require "veo.errors"

local M = {}

-- Plain text → plain text, in this order. TASK becomes the task's id where it is known.
local AS_COMMANDS = {
  { "Check KIE_API_KEY or the api_key option:", "Check KIE_API_KEY:" },
  { "client:credits()", "`veo credits`" },
  { "client:status(taskId)", "`veo status TASK`" },
  { "client:wait(err.taskId)", "`veo wait TASK`" },
  { "client:settle(err.ref, taskId or \"lost\")", "`veo settle REF TASK`, or lost in place of TASK" },
  { "client:settle(err.ref, \"lost\")", "`veo settle REF lost`" },
  { "this client has no ledger", "no ledger is named" },
  { "veo.new { ledger = \"renders.db\" }", "--ledger FILE, or VEO_LEDGER" },
  { "pass overwrite = true", "use --force" },
  { "pass a key of its own or on_duplicate = \"allow\"", "give it a --key of its own or --on-duplicate allow" },
  { "force = true settles it", "--force settles it" },
  { "with repeat_failed = true it is ordered again", "with --repeat-failed it is ordered again" },
  { "the earlier task named in err.taskId", "the earlier task" },
  { "the traceback in err.traceback", "the traceback" },
  { "Wait (retry_after seconds when given)", "Wait" },
  { "check base_url", "check KIE_BASE_URL" },
  { "proxy and base_url", "proxy and KIE_BASE_URL" },
  { "let one client do all calls of an account, so that its rate window can hold them back",
    "commands that share a ledger also share the account's rate window" },
  { "pass api_key or set KIE_API_KEY", "set KIE_API_KEY" },
  { "or extra = { … } for a field newer than this library", "" },
}

local function replace(text, from, to)
  return (text:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%"))))
end

---@param text string
---@param taskId string|nil
---@return string
function M.commands(text, taskId)
  text = text:gsub('client:settle%("(%x+)", taskId%)', "`veo settle %1 TASK`")
    :gsub('client:settle%("(%x+)", "lost"%)', "`veo settle %1 lost`")
  for _, pair in ipairs(AS_COMMANDS) do text = replace(text, pair[1], pair[2]) end
  if taskId then
    text = replace(text, "veo status TASK`", "veo status " .. M.quote(taskId) .. "`")
    text = replace(text, "veo wait TASK`", "veo wait " .. M.quote(taskId) .. "`")
  end
  return text
end

---Cause and next step of an error, for somebody at a shell.
---@param err veo.Error
---@return string
function M.explain(err)
  return M.commands(errors.explain(err), type(err.taskId) == "string" and err.taskId or nil)
end

---A word as the shell takes it.
---@param word string
---@return string
function M.quote(word)
  word = tostring(word)
  if word:find("^[%w_./:@%%+,=-]+$") and word:sub(1, 1) ~= "-" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
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
