--- The `veo` command: bin/veo runs `require "veo.main"`. Its rooms:
---
---   cli/parser.lua    commands                  cli/order.lua           extend, generate, chain
---   cli/arguments.lua what several of them take cli/task.lua            wait, status, download, credits
---   cli/session.lua   client, ledger, signals   cli/ledger.lua          tasks, resume, settle, prune
---   cli/terminal.lua  what is printed where     cli/local_commands.lua  simulate, explain
---   cli/report.lua    how a run ends            cli/preview.lua         preview
---   cli/commands/     batch, upgrade, upload, watch, spent, listen, doctor, version: arguments and work of each
---   cli/target.lua    where a video goes        cli/ledger_place.lua    the ledger where none is named

local interrupt = require "veo.cli.interrupt"
local packages = require "veo.cli.packages"

local HERE = { simulate = "local_commands", explain = "local_commands", preview = "preview",
  version = "commands.version", doctor = "commands.doctor" }
local ROOMS = { extend = "order", generate = "order", chain = "order", wait = "task", status = "task",
  download = "task", credits = "task", tasks = "ledger", resume = "ledger", settle = "ledger", prune = "ledger",
  batch = "commands.batch", upgrade = "commands.upgrade", upload = "commands.upload",
  watch = "commands.watch", spent = "commands.spent", listen = "commands.listen" }

local function version() return require("veo.cli.commands.version").text() end

-- A module, or nil and why not. Ctrl-C ends the run, even if it comes while a module is loaded.
local function try(name)
  local ok, found = pcall(require, name)
  if ok then return found end
  if interrupt.is(found) then error(found, 0) end
  return nil, tostring(found)
end

local function has(arguments, word)
  for _, argument in ipairs(arguments) do
    if argument == word then return true end
    if argument == "--" then return false end
  end
  return false
end

-- What is wrong before a client is there to ask.
local function complain(arguments, message, more)
  io.stderr:write("veo: ", message, "\n", more or "")
  if has(arguments, "--json") then
    io.stdout:write(require("veo.cli.json").encode { ok = false, exit = 1, error = { code = "invalid",
      message = message } }, "\n")
  end
  return 1
end

-- The arguments as a table; nil, and the parser's complaint was told.
local function parse(arguments)
  local argparse = try "argparse"
  if not argparse then
    complain(arguments, "the command cannot read its arguments: " .. packages.missing "argparse")
    return nil
  end
  local parser = require("veo.cli.parser").new(argparse, version)
  local complaint
  -- parse calls it with the command's own parser, which knows the usage to show.
  function parser.error(command, message)
    complaint = { message, ("\n%s\nMore: %s --help\n"):format(command:get_usage(),
      command:get_usage():match("^Usage: (veo %l+)") or "veo") }
    error(complaint, 0)
  end
  local fine, args = pcall(parser.parse, parser, arguments)
  if fine then return args end
  if not complaint then error(args, 0) end
  complain(arguments, complaint[1], complaint[2])
  return nil
end

local session

---@param arguments string[]
---@return integer exit
local function main(arguments)
  local args = parse(arguments)
  if not args then return 1 end
  local here = HERE[args.command]
  if here then return require("veo.cli." .. here)[args.command](args) end
  local loaded, why = try "veo"
  if not loaded then
    return complain(arguments, "veo cannot be loaded: " .. why)
  end
  local report = require "veo.cli.report"
  local term = require("veo.cli.terminal").new(args)
  session = require("veo.cli.session").new(args, term)
  local problem = session:open()
  if problem then return report.misused(term, args, problem) end
  local room = require("veo.cli." .. ROOMS[args.command])
  local work = room[args.command]
  -- One that has a loop of its own is no job.
  local outcome, err = (room.alone and work or session.run)(session, room.alone and session.client or work)
  local exit = outcome and report.done(session, outcome) or report.failed(session, err)
  session:close()
  return exit
end

local ok, exit = pcall(main, rawget(_G, "arg") or {})
if not ok then
  if interrupt.is(exit) then
    exit = 130
  else
    io.stderr:write("veo: internal error: ", tostring(exit), "\n")
    local orders = session and session.orders or {}
    for _, taskId in ipairs(orders) do io.stderr:write("  paid: task ", taskId, "\n") end
    exit = (orders[1] or session and session.sending) and 3 or 2
  end
end
os.exit(exit)
