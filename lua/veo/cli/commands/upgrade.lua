--- `veo upgrade`: the 1080P or 4K version of a finished video. The video cannot be extended any more then.

local lazy = require("veo.util.lazy").room -- help needs no core

local arguments = require "veo.cli.arguments"
local dry_runs = lazy "veo.cli.dry_run"
local phrases = require "veo.cli.phrases"
local prices = lazy "veo.cli.price"
local save = lazy "veo.cli.save"
local targets = require "veo.cli.target"

local M = {}

function M.arguments(parser)
  local upgrade = parser:command("upgrade", "Order the 1080P or 4K version of a video, wait, save it. Costs credits. "
    .. "Afterwards the video cannot be extended.")
  upgrade:argument("task", "taskId of the video.")
  upgrade:option("--to", "1080p or 4k."):argname("WHAT"):choices { "1080p", "4k" }:count(1)
  upgrade:option("--index", "Which of the task's videos (0)."):argname("N"):convert(arguments.whole "--index")
  upgrade:option("--callback", "URL that the service calls when the task has ended."):argname("URL")
    :convert(arguments.line)
  arguments.output(upgrade)
  arguments.spending(upgrade)
  arguments.ledger(upgrade)
  arguments.waiting(upgrade)
  arguments.network(upgrade)
end

local OPERATIONS = { ["1080p"] = "get_1080p", ["4k"] = "get_4k" }

-- The version, once it is there; a third value is what its order returned. A 4K version is an order, whose file is known
-- when it was made before.
local function order(session, client, path)
  local args = session.args
  local wait = session:wait_options()
  session.waiting = nil -- not before it is ordered
  session:showing("ordering", function() return ("ordering the %s version"):format(args.to) end, true)
  local options = { index = args.index, callBackUrl = args.callback }
  if args.to == "1080p" then
    options.timeout, options.interval = args.timeout, args.interval
  else
    options.path, options.overwrite, options.mkdir = path, args.force or nil, true
  end
  local version, err = client:task(args.task):upgrade(args.to, options)
  if not version or version.video_url or version.already then return version, err, version end
  session.taskId, session.waiting = version.taskId, true
  local status
  status, err = version:wait(wait)
  return status, err, version
end

local function outcome_of(session, version, ordered, file)
  local args = session.args
  local text = version.video_url
  if file then text = args.print == "id" and version.taskId or file.path end
  return { text = text, json = { taskId = version.taskId, source = args.task, state = "succeeded", ref = ordered.ref,
    joined = ordered.joined, video_url = version.video_url, path = file and file.path, bytes = file and file.bytes } }
end

local function dry_run(args, told, price)
  local err = dry_runs.over(args, OPERATIONS[args.to], price)
  if err then return nil, err end
  return { text = ("would order: the %s version of task %s\nprice: %s (nothing, if it was ordered before)"):format(
    args.to, args.task, told), json = { taskId = args.task, operation = OPERATIONS[args.to], price = price,
      price_known = price ~= nil } }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.upgrade(session, client)
  local args = session.args
  -- Beside the video itself, not over it.
  if not args.output and not session.target.none then
    session.target = targets.new { output = "{taskId}-" .. args.to .. ".mp4" }
  end
  local path = session.target:path { taskId = args.task, operation = OPERATIONS[args.to] }
  local told, price = prices.tell(client, OPERATIONS[args.to])
  if args.dry_run then return dry_run(args, told, price) end
  local problem = path and args.to == "1080p" and save.problem(session, client, path)
  if problem then return nil, problem end
  session.term:note(("price: %s (nothing, if it was ordered before)"):format(told))
  local version, err, ordered = order(session, client, path)
  if not version then return nil, err end
  if version.already then return save.before(session, version) end
  session.state, session.taskId = "succeeded", version.taskId
  if session.target.stdout then return save.pour(session, client, version) end
  if not path then return outcome_of(session, version, ordered) end
  local file
  file, err = client:download(version, path, session:download_options(path))
  if not file then return nil, err end
  session.term:note(("saved: %s, %s"):format(path, phrases.bytes(file.bytes)), "good")
  return outcome_of(session, version, ordered, file)
end

return M
