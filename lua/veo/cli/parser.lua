--- The command's arguments, as argparse reads them.

local arguments = require "veo.cli.arguments"

local M = {}

local EPILOG = [[
A prompt may be - (standard input) or @FILE; one that begins with @ is written @@.

The key comes from the environment, KIE_API_KEY, and never from an argument:
everybody on a machine can read the arguments of its processes. KIE_BASE_URL
names another service, such as that of `veo simulate`. VEO_LEDGER is the ledger
where --ledger is not given; without both it is veo/orders.db below
$XDG_STATE_HOME or ~/.local/state. VEO_LOG=json writes what happens to standard
error, as a line of JSON for each event. NO_COLOR switches colours off.

Results go to standard output (a path, a taskId), everything else to standard
error. Exit codes:
  0    done
  1    wrong use: nothing was sent
  2    failed, and nothing was charged: it may be run again
  3    money was or may have been spent and the result is not here yet; the
       last lines say how to go on
  4    the service gave the task up
  130  interrupted before anything was ordered (129 by SIGHUP, 143 by SIGTERM)]]

-- The commands ---------------------------------------------------------------------------------------------------------

local function orders(parser)
  local extend = parser:command("extend", "Extend a video, wait for it, save it. Costs credits.")
  extend:argument("task", "taskId of the video to extend.")
  extend:argument("prompt", "What happens next; - or @FILE reads it.")
  arguments.one_order(extend, { "fast", "quality", "lite" })

  local generate = parser:command("generate", "Generate a video, wait for it, save it. Costs credits.")
  generate:argument("prompt", "What the video shows; - or @FILE reads it.")
  generate:option("--image", "URL of a picture to start from; up to three."):argname("URL"):count("*")
    :convert(arguments.line)
  generate:option("--type", "TEXT_2_VIDEO, FIRST_AND_LAST_FRAMES_2_VIDEO or REFERENCE_2_VIDEO."):argname("T")
    :convert(arguments.line)
  generate:option("--aspect-ratio", "16:9, 9:16 or Auto."):argname("R"):convert(arguments.line)
  generate:option("--resolution", "720p, 1080p or 4k."):argname("R"):convert(arguments.line)
  generate:option("--duration", "Seconds: 4, 6 or 8."):argname("N"):convert(arguments.whole "--duration")
  arguments.one_order(generate, { "veo3_fast", "veo3", "veo3_lite" })

  local chain = parser:command("chain", "Extend a video prompt by prompt, save the whole. Each prompt costs credits.")
  chain:argument("task", "taskId of the video to start from.")
  chain:argument("prompts", "What happens next, and then, and then."):args("+")
  arguments.output(chain)
  chain:option("--save-hops", "Save what each prompt brought too: a pattern with {hop}."):argname("PATTERN")
    :convert(arguments.file)
  chain:flag("--repeat-failed", "Order hops again that the ledger knows as failed.")
  arguments.ordering(chain, { "fast", "quality", "lite" })
  arguments.waiting(chain)
  arguments.network(chain)
end

local function tasks(parser)
  local wait = parser:command("wait", "Wait for a task, save its video. Free.")
  wait:argument("task", "taskId.")
  arguments.output(wait)
  arguments.waiting(wait)
  arguments.ledger(wait)
  arguments.network(wait)

  local status = parser:command("status", "Show a task's state. Free.")
  status:argument("task", "taskId.")
  arguments.network(status)

  local download = parser:command("download", "Save a finished video. Free.")
  download:argument("source", "taskId, or the URL of a result.")
  arguments.output(download)
  arguments.ledger(download)
  arguments.network(download)

  arguments.network(parser:command("credits", "Show the account's credits. Free."))
end

local function books(parser)
  local list = parser:command("tasks", "List the ledger's orders.")
  list:flag("--open", "Only those that have not ended or that you must settle.")
  list:option("--state", "Only those in this state: intent, accepted, uncertain, done, saved, failed, refused or "
    .. "lost."):argname("STATE"):convert(arguments.line)
  arguments.ledger(list)
  arguments.network(list)

  local resume = parser:command("resume", "Wait for every open task of the ledger, save their videos. Free.")
  arguments.pattern(resume)
  arguments.waiting(resume)
  arguments.ledger(resume)
  arguments.network(resume)

  local settle = parser:command("settle", "Record what became of an order without an answer.")
  settle:argument("ref", "The order, as `veo tasks` names it.")
  settle:argument("word", "Its taskId; lost: nothing was ordered; saved: its video is safe elsewhere.")
  settle:flag("--force", "Also where the task's record contradicts the order, or the service knows a lost one.")
  arguments.ledger(settle)
  arguments.network(settle)
end

local function pruning(parser)
  local prune = parser:command("prune", "Strip old closed orders down to what prevents a second payment. Free.")
  prune:option("--days", "Only those unchanged for this many days."):argname("N"):convert(arguments.number("--days", 0,
    "days")):count(1)
  prune:flag("--dry-run", "Only count them.")
  arguments.ledger(prune)
  arguments.network(prune)
end

local function here(parser)
  local simulate = parser:command("simulate", "Simulate the service on this machine until Ctrl-C.")
  simulate:option("--port", "0: any that is free."):argname("N"):default("0"):convert(arguments.whole "--port")
  simulate:option("--speed", "How many times faster than real time."):argname("X"):default("1")
    :convert(arguments.positive "--speed")

  local preview = parser:command("preview", "Make a contact sheet of a saved video, by ffmpeg. Free.")
  preview:argument("video", "The file."):convert(arguments.file)
  preview:option("-o --output", "Save the picture here (VIDEO.png)."):argname("FILE"):convert(arguments.file)
  preview:flag("--force", "Replace an existing file.")
  preview:option("--columns", "Pictures in a row."):argname("N"):default("4"):convert(arguments.some "--columns")
  preview:option("--rows", "Rows."):argname("N"):default("3"):convert(arguments.some "--rows")
  preview:option("--width", "Pixels of a picture."):argname("N"):default("320"):convert(arguments.some "--width")

  local explain = parser:command("explain", "Explain an error's code, or list all.")
  explain:argument("code", "As in `uncertain`."):args("?")
end

---@param argparse table           the module
---@param version fun(): string
---@return table parser
function M.new(argparse, version)
  local parser = argparse("veo", "Extends Veo 3.1 videos: orders, waits, saves."):epilog(EPILOG)
    :command_target("command"):require_command(true)
    :usage_max_width(79):help_max_width(79):help_description_margin(26)
  parser:flag("-V --version", "Print the version."):action(function()
    io.stdout:write(version(), "\n")
    os.exit(0)
  end)
  orders(parser)
  tasks(parser)
  books(parser)
  pruning(parser)
  here(parser)
  for _, name in ipairs { "batch", "upgrade", "upload", "watch", "spent", "doctor", "listen",
    "version" } do
    require("veo.cli.commands." .. name).arguments(parser)
  end
  parser:add_help_command()
  parser:add_complete_command { "completion", description = "Print a script that completes words for a shell." }
  return parser
end

return M
