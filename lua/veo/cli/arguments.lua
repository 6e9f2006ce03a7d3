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

-- As a file, and "-" for standard output.
function M.output_name(text)
  if texts.is_line(text) then return text end
  return nil, "a file name expected"
end

function M.line(text)
  if texts.is_line(text) then return text end
  return nil, "a non-empty text on one line expected"
end

-- Options that several commands have -----------------------------------------------------------------------------------

function M.network(command)
  command:flag("--json", "Print the outcome as one JSON object.")
  command:flag("-q --quiet", "Print nothing but the result and errors.")
  command:flag("-v --verbose", "Print what is asked and answered, too.")
  command:option("--api", "The service's API family: veo or jobs."):choices { "veo", "jobs" }:argname("FAMILY")
  command:option("--deadline", "Give up after this many seconds without a connection (300)."):argname("S")
    :convert(M.seconds "--deadline")
  -- Somebody will try: the session refuses it, and says that the process list has shown the key.
  command:option("--api-key"):hidden(true):args("?")
end

-- That it is there at all tells the session that the command has a ledger.
function M.ledger(command)
  command:option("--ledger", "Remember orders in this file, or at postgresql://… (one below ~/.local/state).")
    :argname("FILE"):convert(M.line)
  command:flag("--no-ledger", "Remember nothing: what is ordered twice is paid twice."):init(false)
end

function M.waiting(command)
  command:option("--timeout", "Wait for at most this many seconds (1200)."):argname("S"):convert(M.seconds "--timeout")
  command:option("--interval", "Ask for the state every S seconds (first after 10, then every 5 to 20)."):argname("S")
    :convert(M.positive "--interval")
end

local function made(command)
  command:flag("--force", "Replace an existing file.")
  command:flag("--mkdir"):hidden(true) -- folders are made anyway
end

function M.output(command)
  command:option("-o --output", "Save here: a file, a folder/, a name with {taskId}, {key}, {ref}, {operation} or "
    .. "{day}, or - for standard output ({taskId}.mp4)."):argname("FILE"):convert(M.output_name)
  command:flag("--no-save", "Save nothing.")
  command:option("--print", "Print this: id or path (path)."):choices { "id", "path" }:argname("WHAT")
  made(command)
end

function M.pattern(command)
  command:option("-o --output", "Save them by this pattern: {taskId}, {key}, {ref}, {operation}, {day}.")
    :argname("PATTERN"):convert(M.file)
  made(command)
end

function M.spending(command)
  command:flag("--dry-run", "Show the order and its price; send nothing.")
  command:option("--max-credits", "Order nothing that would cost more than this."):argname("N")
    :convert(M.number("--max-credits", 0, "credits"))
end

-- "fast, quality or lite".
local function words(values)
  return table.concat(values, ", ", 1, #values - 1) .. " or " .. values[#values]
end

function M.ordering(command, models)
  command:option("--model", "The tier: " .. words(models) .. "."):argname("M"):convert(M.line)
  command:option("--seeds", "10000 to 99999; the same seeds give similar videos."):argname("N")
    :convert(M.whole "--seeds")
  command:option("--watermark", "Text to burn into the picture."):argname("T")
  command:option("--callback", "URL that the service calls when the task has ended."):argname("URL"):convert(M.line)
  M.spending(command)
  M.ledger(command)
  command:option("--key", "Your name for this order: the same order under the same name is never paid twice. Not the "
    .. "API key."):argname("K"):convert(M.line)
end

function M.one_order(command, models)
  M.output(command)
  M.ordering(command, models)
  command:option("--on-duplicate", "What to do when the ledger knows the same order: refuse, join or allow.")
    :argname("HOW"):choices { "refuse", "join", "allow" }
  command:flag("--no-wait", "Print the taskId and end.")
  M.waiting(command)
  M.network(command)
end

return M
