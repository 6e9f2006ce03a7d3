--- One run of a command that talks to the service: its client, what was ordered, and what is shown meanwhile. The command
--- runs as a job, so that the progress line moves, and signals are heard, while it waits.

local errors = require "veo.errors"
local interrupt = require "veo.cli.interrupt"
local ledger_place = require "veo.cli.ledger_place"
local news = require "veo.cli.news"
local packages = require "veo.cli.packages"
local phrases = require "veo.cli.phrases"
local prices = require "veo.cli.price"
local prompts = require "veo.cli.prompt"
local report = require "veo.cli.report"
local targets = require "veo.cli.target"
local veo = require "veo"

local M = {}

---@class veo.cli.Session
---@field args table            as parsed
---@field term veo.cli.Terminal
---@field client veo.Client
---@field target veo.cli.Target where videos are saved
---@field orders string[]       tasks that the service has accepted in this run
---@field taskId string|nil     the task this is about just now
---@field state string|nil      its state, as last seen
---@field sending string|nil    the billable call that has no answer yet
---@field waiting boolean|nil   a task is waited for that this run need not have ordered
---@field interrupted boolean|nil
---@field price string|nil      what the order costs, told when it is sent
---@field signal string|nil     what interrupted it: INT, TERM or HUP
---@field end_at number|nil     when an answer is no longer waited for
---@field offline number|nil    since when there has been no connection
---@field hears table|nil       a command's own: event → what is done with it
---@field painter fun()|nil     a command's own progress
---@field on_stop fun()|nil     a command's own answer to the first signal
---@field usual_ledger boolean|nil  the ledger is the command's own, or the environment's: hints need not name it
local Session = {}
Session.__index = Session

-- How often the progress line is painted, and signals are asked for where there is none (milliseconds). A signal ends a
-- sleep, so neither is how long Ctrl-C takes.
local PAINT = 200
local LISTEN = 1000
-- Who ends a service kills it soon after, often in 10 s: the answer to an order is waited for so long then (seconds). A
-- terminal that is closed sends SIGHUP twice, by the kernel and by the shell, so only Ctrl-C again means haste.
local PATIENCE = 5

-- Making one -----------------------------------------------------------------------------------------------------------

---@param args table
---@param term veo.cli.Terminal
---@return veo.cli.Session
function M.new(args, term)
  return setmetatable({ args = args, term = term, orders = {} }, Session)
end

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function service() return environment("KIE_BASE_URL") or "https://api.kie.ai" end

-- These work on the ledger itself.
local NEEDS_LEDGER = { tasks = true, resume = true, settle = true, prune = true, batch = true,
  spent = true, listen = true }
-- These only look things up in one, so that none is made for them.
local LOOKS = { wait = true, download = true, watch = true, doctor = true }
local ORDERS = { extend = "extend", generate = "generate", chain = "extend" }

local function key_problem(args)
  local key = environment("KIE_API_KEY")
  if args.api_key then
    return "the API key is never taken from an argument, because the process list shows arguments to everybody on this "
      .. "machine: set KIE_API_KEY, and withdraw a key that was shown"
  elseif not key then
    return "no API key: put it into the environment, as KIE_API_KEY (never into an argument: the process list shows "
      .. "those to everybody on this machine)"
  elseif args.key and args.key == key then
    return "--key names an order, and is kept in the ledger; the API key does not belong there: withdraw it, the "
      .. "process list has shown it"
  end
end

-- What cannot be had without a ledger.
local function need(args)
  return NEEDS_LEDGER[args.command] and args.command or args.key and "--key"
    or args.on_duplicate and "--on-duplicate" or nil
end

-- Without a ledger: a notice, or what is wrong when one is needed.
local function without(self, why)
  local what = need(self.args)
  if what then return ("%s needs a ledger: %s"):format(what, why) end
  if not LOOKS[self.args.command] then
    self.term:note(self.term:fold(("warning: no ledger is kept: %s. An order that is made twice may be paid twice, and "
      .. "`veo resume` will not know it (--no-ledger says that this is meant)"):format(why), "  "), "warning")
  end
end

-- Names the ledger in the arguments. Nil, or what is wrong.
local function choose_ledger(self)
  local args = self.args
  if args.no_ledger == nil then return nil end -- the command has none
  if args.no_ledger then
    if args.ledger then return "--ledger and --no-ledger contradict each other" end
    local what = need(args)
    return what and what .. " needs a ledger, and --no-ledger asks for none" or nil
  end
  if not args.ledger then args.ledger, self.usual_ledger = environment("VEO_LEDGER"), true end
  if args.ledger then return nil end
  local place = ledger_place.find(not LOOKS[args.command], service())
  if place.problem then return place.problem end
  if place.lacks then return without(self, place.lacks) end
  args.ledger, self.own_ledger = place.path, place.path ~= nil
  if place.made then
    self.term:note(("orders are remembered from now on, in %s (off: --no-ledger)"):format(place.path))
  end
end

-- Who listens without one looks at each task that is named.
local function webhook_key(args)
  if args.command == "listen" and not environment("KIE_WEBHOOK_KEY") then return false end
end

local function new_client(self)
  local args = self.args
  local limit, listed = args.max_credits, nil
  local operation = args.dry_run and ORDERS[args.command]
  if operation then -- nothing can be ordered, whatever it costs
    limit = args.ledger and { day = 0 } or 0
    listed = not prices.listed(operation, args.model) and { [operation] = 1 } or nil
  end
  local ok, client = pcall(veo.new, { api = args.api, deadline = args.deadline, ledger = args.ledger, prices = listed,
    max_credits = limit, webhook_key = webhook_key(args), log = function(event) news.hear(self, event) end })
  if not ok and interrupt.is(client) then error(client, 0) end
  if ok then return client end
  if not pcall(require, "cjson.safe") then return nil, packages.missing "lua-cjson" end
  local why = tostring(client):gsub("^veo%.new: ", "")
  if why:find("LuaDBI", 1, true) then
    return nil, "the ledger cannot be opened: "
      .. packages.missing(why:find("PostgreSQL", 1, true) and "LuaDBI for PostgreSQL" or "LuaDBI")
  end
  return nil, phrases.translate(why)
end

-- The command's own ledger may be another service's: then this one's stands beside it.
local function right_account(self)
  local _, err = self.client:tasks { limit = 1 }
  if not err or err.cause ~= "account" then return nil end
  self.client:close()
  local place = ledger_place.find(not LOOKS[self.args.command], service(), true)
  if place.problem then return place.problem end
  self.args.ledger = place.path
  local problem = place.lacks and without(self, place.lacks)
  if problem then return problem end
  if place.made then
    self.term:note(("orders of this service are remembered in a ledger of their own, %s"):format(place.path))
  end
  self.client, problem = new_client(self)
  return problem
end

---Makes the client. Nil, or what is wrong.
---@return string|nil problem
function Session:open()
  local problem = key_problem(self.args) or prompts.resolve(self.args)
  if problem then return problem end
  veo.console.take_signals()
  self.target, problem = targets.new(self.args)
  if not self.target then return problem end
  if self.target.stdout and veo.console.columns(1) then
    return "-o - would write the video to this terminal: send it to a file or a program"
  end
  problem = choose_ledger(self)
  if problem then return problem end
  self.client, problem = new_client(self)
  if not self.client then return problem end
  return self.own_ledger and self.args.ledger and right_account(self) or nil
end

-- What is shown --------------------------------------------------------------------------------------------------------

---From here on the progress line says this.
---@param key string                what is going on; in a log file a line is written when it changes
---@param text fun(): string
---@param minor boolean|nil         not written to a log file when it begins
function Session:showing(key, text, minor)
  self.key, self.text, self.minor = key, text, minor
end

local function paint(self)
  -- An error in what is shown must not end the wait for a paid task.
  if self.painter then return pcall(self.painter) end
  if not self.text then return end
  local ok, text = pcall(self.text)
  text = ok and text or self.key
  if self.offline then
    -- It comes first: a narrow window shows what changes.
    text = ("no connection for %s, trying again: %s"):format(phrases.clock(veo.now() - self.offline), text)
  end
  self.term:progress(text, self.offline and "offline" or self.key, self.minor or self.offline ~= nil)
end
Session.paint = paint

---Options of a wait that keep the progress line going.
---@return table
function Session:wait_options() return require("veo.cli.progress").wait(self) end

---Options of a download that keep the progress line going.
---@param path string
---@return table
function Session:download_options(path) return require("veo.cli.progress").download(self, path) end

-- Running --------------------------------------------------------------------------------------------------------------

-- The first signal: the job is cancelled; an order that may have been sent still waits for its answer.
local function stop(self)
  self.interrupted = true
  if self.on_stop then return self.on_stop() end
  self.text = nil
  self.job:cancel()
  if self.job:status() ~= "pending" then return end
  self.term:problem(self.term:fold("veo: stopping; an order was sent, so its answer is waited for, or a paid task "
    .. "could be lost (Ctrl-C again ends at once)"))
end

-- A second Ctrl-C, or too long after another signal: what was sent has no answer, which the ledger notes when the client
-- is closed.
local function ended(self)
  return errors.new { code = self.sending and "uncertain" or "cancelled", operation = self.sending,
    message = self.sending and self.sending .. ": ended before the service's answer came"
      or "ended before the call did" }
end

local function drive(self)
  while self.job:status() == "pending" do
    local pending, err = self.client:step(self.term.live and PAINT or LISTEN)
    if not pending then return nil, err end
    paint(self)
    local name, count = veo.console.signal()
    local first = name and not self.signal
    self.signal = self.signal or name
    if name and name ~= "INT" then self.end_at = self.end_at or veo.now() + PATIENCE end
    if name == "INT" and count > 1 or self.end_at and veo.now() > self.end_at then
      self.interrupted = true
      return nil, ended(self)
    end
    if first then stop(self) end
  end
  return true
end

---Runs `command(session, client)` to its end.
---@param command fun(session: veo.cli.Session, client: veo.Client): table|nil, veo.Error|nil
---@return table|nil outcome
---@return veo.Error|nil err
function Session:run(command)
  phrases.ledger = report.ledger_of(self)
  self.job = self.client:spawn(command, self, self.client)
  local whole, err = drive(self)
  self.term:wipe()
  if not whole then return nil, err end
  return self.job:result()
end

---Ends the client.
function Session:close()
  if self.client then self.client:close() end
end

return M
