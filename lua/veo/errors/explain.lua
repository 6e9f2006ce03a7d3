--- An error's cause and next step as sentences. Advice is written once, as templates: a place in them, such as {wait},
--- is filled by whoever tells it, the library with a call and the command with a command to type.

local tostring, type = tostring, type
local find, format, gsub = string.find, string.format, string.gsub
local concat = table.concat

local M = {}

local function reference(err) return err.ref and '"' .. err.ref .. '"' or "err.ref" end

---@type veo.errors.Words
M.LIBRARY = {
  key = "KIE_API_KEY or the api_key option",
  base_url = "base_url",
  credits = "client:credits()",
  status = "client:status(taskId)",
  wait = "client:wait(err.taskId)",
  resume = "client:resume()",
  settle = function(err) return "client:settle(" .. reference(err) .. ", taskId)" end,
  settle_lost = function(err) return "client:settle(" .. reference(err) .. ', "lost")' end,
  ledger = 'veo.new { ledger = "renders.db" }',
  overwrite = "pass overwrite = true",
  second = 'pass a key of its own or on_duplicate = "allow"',
  force = "force = true",
  repeat_failed = "repeat_failed = true",
  seconds_to_wait = " (retry_after seconds when given)",
  shared_window = "use one client for all calls of an account, so that its rate limit covers them all",
  in_task_id = " named in err.taskId",
  in_traceback = " in err.traceback",
  in_hops = " in err.hops",
}

---Fills the places of a template: from the words, else with the error's own field.
---@param template string
---@param words veo.errors.Words
---@param err table|nil
---@return string
function M.fill(template, words, err)
  err = err or {}
  return (gsub(template, "{([%a_]+)}", function(name)
    local word = words[name]
    if type(word) == "function" then return word(err) end
    return word or err[name] ~= nil and tostring(err[name]) or nil
  end))
end

---What a failure costs, by `charged`.
M.MONEY = {
  no = "This failure costs nothing.",
  maybe = "Credits may have been charged.",
  yes = "The task is charged whether or not it is waited for.",
}

-- The only order that may be asked for again without being paid again.
local function is_repeatable(err) return err.operation == "get_1080p" end

-- A refusal that names a task, which the service may have made all the same.
local function is_named_refusal(err)
  return err.code ~= "uncertain" and err.charged == "maybe" and err.taskId ~= nil and not is_repeatable(err)
end

-- What comes behind the message, in this order: each gives a template, or nil when it has nothing to say.
local SENTENCES = {}
local function say(sentence) SENTENCES[#SENTENCES + 1] = sentence end

say(function(err, class)
  if err.code == "uncertain" and type(err.cause) == "table" then
    return "It was sent again because you asked for it; what came of that says nothing about the first try, which may "
      .. "have been charged."
  end
  return class.summary
end)

say(function(err, class)
  if err.candidate or is_named_refusal(err) then
    return (err.candidate and "The answer may name" or "The refusal names")
      .. " the task {taskId}: look at {status} before you order again"
      .. (err.ref and "; {resume} looks too, and adopts the task when its record fits the order" or "")
  end
  if err.code == "uncertain" and err.taskId then
    return "The reply did name the task {taskId}: {wait} tells what became of it"
  end
  return class.template
end)

say(function(err)
  return is_repeatable(err) and err.charged == "maybe" and "It may have been ordered; asking again costs nothing more"
end)

say(function(err)
  local finished = type(err.hops) == "table" and #err.hops or 0
  return finished > 0 and format("The chain's hops before that are paid and finished: %d{in_hops}", finished)
end)

say(function(err)
  return err.recordId and "Its recordId, {recordId}, is not a taskId: give it to the service's support"
end)

say(function(err)
  return err.ref and (err.code == "uncertain" or is_named_refusal(err))
    and "Then settle the order: {settle}, or {settle_lost} when nothing was ordered"
end)

say(function(err)
  local evidence = err.evidence
  if type(evidence) ~= "table" or not evidence.difference then return nil end
  return format("Meanwhile the account's credits fell by %g%s", evidence.difference,
    evidence.price and format(", the price is %g", evidence.price) or "")
end)

say(function(err)
  return err.suggestion and err.field and not find(tostring(err.message), "did you mean", 1, true)
    and "Did you mean {suggestion}?"
end)

say(function(err) return err.retry_after and format("The service asks to wait %g seconds", err.retry_after) end)

say(function(err) return err.offline and format("There was no connection for %.0f seconds", err.offline) end)

say(function(err)
  return type(err.attempts) == "number" and err.attempts > 1 and format("It was tried %d times", err.attempts)
end)

say(function(err, class) return M.MONEY[err.charged or class.charged] end)

local function ended(text) return find(text, "[%.!?]%s*$") and text or text .. "." end

---@param err table
---@param class table       of errors.codes, or an empty one
---@param message string    what happened
---@param words veo.errors.Words
---@return string
function M.text(err, class, message, words)
  local out = { ended(tostring(err.code) .. ": " .. message) }
  for i = 1, #SENTENCES do
    local template = SENTENCES[i](err, class)
    if template then out[#out + 1] = ended(M.fill(template, words, err)) end
  end
  return concat(out, " ")
end

return M
