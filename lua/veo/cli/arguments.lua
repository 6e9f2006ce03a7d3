--- What several commands have among their arguments: kinds of values, and options.

local texts = require "veo.util.text"

local M = {}

-- Values ---------------------------------------------------------------------------------------------------------------

-- argparse does not say which option a value was for.
function M.number(name, least, expected)
  return function(text)
    local value = tonumber(text)
    if value and value >= least and value < math.huge then return value end
    return nil, ("%s: %s expected, got '%s'"):format(name, expected, text)
  end
end

function M.seconds(name) return M.number(name, 0, "seconds") end
function M.positive(name) return M.number(name, 0.001, "a number above 0") end

function M.whole(name)
  return function(text)
    local value = text:match("^%d+$") and tonumber(text)
    if value then return value end
    return nil, ("%s: a whole number expected, got '%s'"):format(name, text)
  end
end

function M.some(name)
  return function(text)
    local value = text:match("^%d%d?%d?%d?$") and tonumber(text)
    if value and value > 0 then return value end
    return nil, ("%s: a whole number from 1 to 9999 expected, got '%s'"):format(name, text)
  end
end

function M.file(text)
  if text ~= "-" and texts.is_line(text) then return text end
  return nil, "a file name expected"
end

function M.line(text)
  if texts.is_line(text) then return text end
  return nil, "a non-empty text on one line expected"
end

-- Options that several commands have -----------------------------------------------------------------------------------

function M.network(command)
  command:flag("--json", "Print the outcome as one JSON object.")
  command:option("--api", "The service's API family."):choices { "veo", "jobs" }:argname("FAMILY")
  command:option("--deadline", "Give up after this many seconds without a connection (300)."):argname("S")
    :convert(M.seconds "--deadline")
  -- Somebody will try: the session refuses it, and says that the process list has shown the key.
  command:option("--api-key"):hidden(true):args("?")
end

function M.ledger(command)
  command:option("--ledger", "Remember orders in this file, or at postgresql://…"):argname("FILE"):convert(M.line)
end

function M.waiting(command)
  command:option("--timeout", "Wait for at most this many seconds (1200)."):argname("S"):convert(M.seconds "--timeout")
  command:option("--interval", "Ask for the state every S seconds (first after 10, then every 5 to 20)."):argname("S")
    :convert(M.positive "--interval")
end

function M.output(command, about)
  command:option("-o --output", about):argname("FILE"):convert(M.file)
  command:flag("--force", "Replace an existing file.")
  command:flag("--mkdir", "Create the file's folder.")
end

function M.ordering(command)
  command:option("--model", "The tier."):argname("M"):convert(M.line)
  command:option("--seeds", "10000 to 99999; the same seeds give similar videos."):argname("N")
    :convert(M.whole "--seeds")
  command:option("--watermark", "Text to burn into the picture."):argname("T")
  command:option("--callback", "URL that the service calls when the task has ended."):argname("URL"):convert(M.line)
  M.ledger(command)
  command:option("--key", "Your name for this order (needs a ledger): the same order under the same name is never "
    .. "paid twice. Not the API key."):argname("K"):convert(M.line)
end

function M.one_order(command)
  M.output(command, "Save the video here.")
  M.ordering(command)
  command:option("--on-duplicate", "What to do when the ledger knows the same order."):argname("HOW")
    :choices { "refuse", "join", "allow" }
  command:flag("--no-wait", "Print the taskId and end.")
  M.waiting(command)
  M.network(command)
end

return M
