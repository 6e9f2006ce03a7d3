--- The command's arguments, as argparse reads them.

local texts = require "veo.util.text"

local M = {}

local EPILOG = [[
The key comes from the environment, KIE_API_KEY, and never from an argument: everybody on a
machine can read the arguments of its processes. KIE_BASE_URL names another service, such as
that of `veo simulate`; VEO_LEDGER is the ledger where --ledger is not given.

Results go to standard output (a path, a taskId), everything else to standard error. Exit codes:
  0  done
  1  wrong use: nothing was sent
  2  failed, and nothing was charged: it may be run again
  3  money was or may have been spent and the result is not here yet; the last lines say
     how to go on
  4  the service gave the task up
  130  interrupted before anything was ordered]]

-- Values ---------------------------------------------------------------------------------------------------------------

-- argparse does not say which option a value was for.
local function number(name, least, expected)
  return function(text)
    local value = tonumber(text)
    if value and value >= least and value < math.huge then return value end
    return nil, ("%s: %s expected, got '%s'"):format(name, expected, text)
  end
end

local function seconds(name) return number(name, 0, "seconds") end
local function positive(name) return number(name, 0.001, "a number above 0") end

local function whole(name)
  return function(text)
    local value = text:match("^%d+$") and tonumber(text)
    if value then return value end
    return nil, ("%s: a whole number expected, got '%s'"):format(name, text)
  end
end

local function some(name)
  return function(text)
    local value = text:match("^%d%d?%d?%d?$") and tonumber(text)
    if value and value > 0 then return value end
    return nil, ("%s: a whole number from 1 to 9999 expected, got '%s'"):format(name, text)
  end
end

local function file(text)
  if text ~= "-" and texts.is_line(text) then return text end
  return nil, "a file name expected"
end

local function line(text)
  if texts.is_line(text) then return text end
  return nil, "a non-empty text on one line expected"
end

-- Options that several commands have -----------------------------------------------------------------------------------

local function network(command)
  command:flag("--json", "Print the outcome as one JSON object.")
  command:option("--api", "The service's API family."):choices { "veo", "jobs" }:argname("FAMILY")
  command:option("--deadline", "Give up after this many seconds without a connection (300)."):argname("S")
    :convert(seconds "--deadline")
  -- Somebody will try: the session refuses it, and says that the process list has shown the key.
  command:option("--api-key"):hidden(true):args("?")
end

local function ledger(command)
  command:option("--ledger", "Remember orders in this file, or at postgresql://…"):argname("FILE"):convert(line)
end

local function waiting(command)
  command:option("--timeout", "Wait for at most this many seconds (1200)."):argname("S"):convert(seconds "--timeout")
  command:option("--interval", "Ask for the state every S seconds (first after 10, then every 5 to 20)."):argname("S")
    :convert(positive "--interval")
end

local function output(command, about)
  command:option("-o --output", about):argname("FILE"):convert(file)
  command:flag("--force", "Replace an existing file.")
  command:flag("--mkdir", "Create the file's folder.")
end

local function ordering(command)
  command:option("--model", "The tier."):argname("M"):convert(line)
  command:option("--seeds", "10000 to 99999; the same seeds give similar videos."):argname("N"):convert(whole "--seeds")
  command:option("--watermark", "Text to burn into the picture."):argname("T")
  command:option("--callback", "URL that the service calls when the task has ended."):argname("URL"):convert(line)
  ledger(command)
  command:option("--key", "Your name for this order (needs a ledger): the same order under the same name is never "
    .. "paid twice. Not the API key."):argname("K"):convert(line)
end

local function one_order(command)
  output(command, "Save the video here.")
  ordering(command)
  command:option("--on-duplicate", "What to do when the ledger knows the same order."):argname("HOW")
    :choices { "refuse", "join", "allow" }
  command:flag("--no-wait", "Print the taskId and end.")
  waiting(command)
  network(command)
end

-- The commands ---------------------------------------------------------------------------------------------------------

local function orders(parser)
  local extend = parser:command("extend", "Extend a video, wait for it, save it. Costs credits.")
  extend:argument("task", "taskId of the video to extend.")
  extend:argument("prompt", "What happens next.")
  one_order(extend)

  local generate = parser:command("generate", "Generate a video, wait for it, save it. Costs credits.")
  generate:argument("prompt", "What the video shows.")
  generate:option("--image", "URL of a picture to start from; up to three."):argname("URL"):count("*"):convert(line)
  generate:option("--type", "generationType."):argname("T"):convert(line)
  generate:option("--aspect-ratio", "16:9, 9:16 or Auto."):argname("R"):convert(line)
  generate:option("--resolution", "720p, 1080p or 4k."):argname("R"):convert(line)
  generate:option("--duration", "Seconds: 4, 6 or 8."):argname("N"):convert(whole "--duration")
  one_order(generate)

  local chain = parser:command("chain", "Extend a video prompt by prompt, save the whole. Each prompt costs credits.")
  chain:argument("task", "taskId of the video to start from.")
  chain:argument("prompts", "What happens next, and then, and then."):args("+")
  output(chain, "Save the whole video here.")
  chain:option("--save-hops", "Save what each prompt brought too: a pattern with {hop}."):argname("PATTERN")
    :convert(file)
  chain:flag("--repeat-failed", "Order hops again that the ledger knows as failed.")
  ordering(chain)
  waiting(chain)
  network(chain)
end

local function tasks(parser)
  local wait = parser:command("wait", "Wait for a task, save its video. Free.")
  wait:argument("task", "taskId.")
  output(wait, "Save the video here.")
  waiting(wait)
  ledger(wait)
  network(wait)

  local status = parser:command("status", "Show a task's state. Free.")
  status:argument("task", "taskId.")
  network(status)

  local download = parser:command("download", "Save a finished video. Free.")
  download:argument("source", "taskId, or the URL of a result.")
  output(download, "Save the video here.")
  ledger(download)
  network(download)

  network(parser:command("credits", "Show the account's credits. Free."))
end

local function books(parser)
  local list = parser:command("tasks", "List the ledger's orders.")
  list:flag("--open", "Only those that have not ended or that you must settle.")
  list:option("--state", "Only those in this state."):argname("STATE"):convert(line)
  ledger(list)
  network(list)

  local resume = parser:command("resume", "Wait for every open task of the ledger, save their videos. Free.")
  resume:option("-o --output", "Save them by this pattern: {taskId}, {key}, {ref}, {operation}, {day}.")
    :argname("PATTERN"):convert(file)
  resume:flag("--force", "Replace existing files.")
  resume:flag("--mkdir", "Create the files' folders.")
  waiting(resume)
  ledger(resume)
  network(resume)

  local doctor = parser:command("doctor", "Read all of the ledger and check that it is intact. Free.")
  ledger(doctor)
  network(doctor)

  local settle = parser:command("settle", "Record what became of an order without an answer.")
  settle:argument("ref", "The order, as `veo tasks` names it.")
  settle:argument("word", "Its taskId; lost: nothing was ordered; saved: its video is safe elsewhere.")
  settle:flag("--force", "Also where the task's record contradicts the order, or the service knows a lost one.")
  ledger(settle)
  network(settle)
end

local function pruning(parser)
  local prune = parser:command("prune", "Strip old closed orders down to what prevents a second payment. Free.")
  prune:option("--days", "Only those unchanged for this many days."):argname("N"):convert(number("--days", 0,
    "days")):count(1)
  prune:flag("--dry-run", "Only count them.")
  ledger(prune)
  network(prune)
end

local function here(parser)
  local simulate = parser:command("simulate", "Simulate the service on this machine until Ctrl-C.")
  simulate:option("--port", "0: any that is free."):argname("N"):default("0"):convert(whole "--port")
  simulate:option("--speed", "How many times faster than real time."):argname("X"):default("1")
    :convert(positive "--speed")

  local preview = parser:command("preview", "Make a contact sheet of a saved video, by ffmpeg. Free.")
  preview:argument("video", "The file."):convert(file)
  preview:option("-o --output", "Save the picture here (VIDEO.png)."):argname("FILE"):convert(file)
  preview:flag("--force", "Replace an existing file.")
  preview:option("--columns", "Pictures in a row."):argname("N"):default("4"):convert(some "--columns")
  preview:option("--rows", "Rows."):argname("N"):default("3"):convert(some "--rows")
  preview:option("--width", "Pixels of a picture."):argname("N"):default("320"):convert(some "--width")

  local explain = parser:command("explain", "Explain an error's code, or list all.")
  explain:argument("code", "As in `uncertain`."):args("?")
end

---@param argparse table           the module
---@param version fun(): string
---@return table parser
function M.new(argparse, version)
  local parser = argparse("veo", "Extends Veo 3.1 videos: orders, waits, saves."):epilog(EPILOG)
    :command_target("command"):require_command(true)
    :usage_max_width(100):help_max_width(100):help_description_margin(28)
  parser:flag("-v --version", "Print the version."):action(function()
    io.stdout:write(version(), "\n")
    os.exit(0)
  end)
  orders(parser)
  tasks(parser)
  books(parser)
  pruning(parser)
  here(parser)
  return parser
end

return M
