--- One run of a command that talks to the service: its client, what was ordered, and what is shown meanwhile. The command
--- runs as a job, so that the progress line moves, and Ctrl-C is heard, while it waits.

local clean = require("veo.cli.terminal").clean
local errors = require "veo.errors"
local interrupt = require "veo.cli.interrupt"
local phrases = require "veo.cli.phrases"
local transient = require "veo.util.transient"
local veo = require "veo"

local M = {}

---@class veo.cli.Session
---@field args table            as parsed
---@field term veo.cli.Terminal
---@field orders string[]       tasks that the service has accepted in this run
---@field taskId string|nil     the task this is about just now
---@field state string|nil      its state, as last seen
---@field sending string|nil    the billable call that has no answer yet
---@field waiting boolean|nil   a task is waited for that this run need not have ordered
---@field interrupted boolean|nil
---@field offline number|nil    since when there has been no connection
local Session = {}
Session.__index = Session

-- How often the progress line is painted, and Ctrl-C is asked for where there is none (milliseconds). A signal ends a
-- sleep, so neither is how long Ctrl-C takes.
local PAINT = 200
local LISTEN = 1000

-- What the log tells --------------------------------------------------------------------------------------------------

local hear = {}

-- Something answered, or there was no connection.
local function heard(self, err)
  self.offline = err and err.code == "network" and (self.offline or veo.now()) or nil
end

function hear.request(self, event)
  self.sending = event.operation
end

-- The id of a paid task is shown at once, whatever happens next.
function hear.reply(self, event)
  self.sending = nil
  heard(self, event.err)
  if not event.taskId then return end
  self.orders[#self.orders + 1] = event.taskId
  self.taskId, self.state = event.taskId, nil
  local hop = self.hop and (" (hop %d of %d)"):format(self.hop, self.hops) or ""
  self.term:note(("accepted: task %s%s"):format(clean(event.taskId), hop))
end

function hear.joined(self, event)
  self.taskId, self.state = event.taskId, nil
  self.term:note(("ordered before: task %s; not ordered again"):format(clean(event.taskId)))
end

function hear.retry(self, event)
  if event.offline then
    -- The cause is shown when the outage begins, so that a misspelt address is seen; then the progress line tells of
    -- it.
    heard(self, event.err)
    if event.offline == 0 then
      self.term:note("no connection, trying again until there is one (Ctrl-C ends it): " .. tostring(event.err))
    end
    return
  end
  if event.delay < 1 then return end
  self.term:note(("trying again in %s: %s"):format(phrases.clock(event.delay), tostring(event.err)))
end

function hear.rate(self, event)
  self:showing("rate", function() return "waiting for the account's rate window" end, true)
end

function hear.warning(self, event)
  self.term:note("note: " .. event.message)
end

function hear.link(self, event)
  self.term:note("note: " .. event.message)
end

function hear.ledger(self, event)
  self.term:note("note: the ledger could not be written; this is tried again until it can: "
    .. tostring(event.err))
end

-- Of failed polls in a row with the same cause, only the first is told.
function hear.poll(self, event)
  heard(self, event.err)
  local code = event.err and transient.is(event.err) and event.err.code
  if code and code ~= self.trouble then
    self.term:note(("no answer about task %s, looking again: %s"):format(clean(event.taskId), tostring(event.err)))
  end
  self.trouble = code
end

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

local NEEDS_LEDGER = { tasks = true, resume = true, settle = true, prune = true, doctor = true }

---Makes the client. Nil, or what is wrong.
---@return string|nil problem
function Session:open()
  local args = self.args
  local key = environment("KIE_API_KEY")
  if args.api_key then
    return "the API key is never taken from an argument, because the process list shows arguments to everybody on this "
      .. "machine: set KIE_API_KEY, and withdraw a key that was shown"
  elseif not key then
    return "no API key: put it into the environment, as KIE_API_KEY (never into an argument: the process list shows "
      .. "those to everybody on this machine)"
  end
  if args.key and args.key == key then
    return "--key names an order, and is kept in the ledger; the API key does not belong there: withdraw it, the "
      .. "process list has shown it"
  end
  if not args.ledger then args.ledger, self.ledger_from_environment = environment("VEO_LEDGER"), true end
  if NEEDS_LEDGER[args.command] and not args.ledger then
    return args.command .. " needs a ledger: --ledger FILE, or VEO_LEDGER"
  end
  local function log(event)
    local fn = hear[event.event]
    if fn then fn(self, event) end
  end
  local ok, client = pcall(veo.new, { api = args.api, deadline = args.deadline, ledger = args.ledger, log = log })
  if not ok and interrupt.is(client) then error(client, 0) end
  if not ok then return (tostring(client):gsub("^veo%.new: ", "")) end
  self.client = client
  return nil
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
  if not self.text then return end
  -- An error in the progress text must not end the wait for a paid task.
  local ok, text = pcall(self.text)
  text = ok and text or self.key
  if self.offline then
    -- It comes first: a narrow window shows what changes.
    text = ("no connection for %s, trying again: %s"):format(phrases.clock(veo.now() - self.offline), text)
  end
  self.term:progress(text, self.offline and "offline" or self.key, self.minor or self.offline ~= nil)
end

---Options of a wait that keep the progress line going.
---@return table
function Session:wait_options()
  local args, now = self.args, veo.now
  local began, next_at, state = now(), nil, "waiting"
  self.waiting = true
  local options = { timeout = args.timeout }
  if args.interval then
    options.first = math.min(args.interval, 10)
    options.interval, options.max_interval, options.growth, options.jitter = args.interval, args.interval, 1, 0
  end
  local function text()
    local when = ""
    if next_at then
      local left = next_at - now()
      when = left > 0.5 and (", next look in %d s"):format(math.ceil(left)) or ", looking"
    end
    local ended = state == "succeeded" or state == "failed"
    -- The id comes last: a narrow window shows what changes.
    return ("%s%s %s %s%s, task %s"):format(self.hop and ("hop %d of %d: "):format(self.hop, self.hops) or "", state,
      ended and "after" or "for", phrases.clock(now() - began), self.term.live and when or "", tostring(self.taskId))
  end
  self:showing("waiting " .. tostring(self.taskId), text, true)
  function options.on_progress(status, info)
    if info.err then
      next_at = now() + info.next
      return
    end
    self.taskId, self.state = status.taskId, status.state
    state, next_at = status.state, info.next and now() + info.next
    self:showing(status.state .. " " .. status.taskId, text)
    paint(self) -- or the end would be told before the last state
  end
  return options
end

---Options of a download that keep the progress line going.
---@param path string
---@return table
function Session:download_options(path)
  local bytes, total, info = 0, nil, {}
  self:showing("saving " .. path, function()
    local text = { path .. ":" }
    if total then
      text[#text + 1] = ("%d %%, %s of %s"):format(math.floor(bytes * 100 / math.max(total, 1)), phrases.bytes(bytes),
        phrases.bytes(total))
    else
      text[#text + 1] = phrases.bytes(bytes)
    end
    if info.rate then text[#text + 1] = ("(%s/s%s)"):format(phrases.bytes(info.rate),
      info.left and (", %s left"):format(phrases.clock(info.left)) or "")
    end
    return table.concat(text, " ")
  end, true)
  return { overwrite = self.args.force, mkdir = self.args.mkdir, on_progress = function(...)
    bytes, total, info = ...
    if not info.offline then self.offline = nil end
  end }
end

-- Running --------------------------------------------------------------------------------------------------------------

-- Ctrl-C: the job is cancelled; an order that may have been sent still waits for its answer.
local function stop(self)
  self.interrupted = true
  self.text = nil
  self.job:cancel()
  if self.job:status() ~= "pending" then return end
  self.term:note(self.term:fold("stopping: an order was sent, so its answer is waited for, or a paid task could be "
    .. "lost (Ctrl-C again ends at once)"))
end

local function drive(self, breathe)
  while self.job:status() == "pending" do
    local pending, err = self.client:step(self.term.live and PAINT or LISTEN)
    if not pending then -- LuaJIT's Ctrl-C has torn the step itself
      self.torn = err
      return
    end
    paint(self)
    if breathe() then stop(self) end
  end
end

---Runs `command(session, client)` to its end.
---@param command fun(session: veo.cli.Session, client: veo.Client): table|nil, veo.Error|nil
---@return table|nil outcome
---@return veo.Error|nil err
function Session:run(command)
  self.job = self.client:spawn(command, self, self.client)
  local ended, err = interrupt.run(function(breathe) drive(self, breathe) end)
  if not ended and interrupt.is(err) then
    stop(self)
    ended, err = interrupt.run(function(breathe) drive(self, breathe) end)
  end
  self.term:wipe()
  if not ended then error(err, 0) end
  if self.torn then return nil, self.torn end
  local outcome
  outcome, err = self.job:result()
  if err and err.code == "job_failed" and interrupt.is(err.cause) then -- LuaJIT's Ctrl-C hit the job itself
    self.interrupted = true
    err = errors.new { code = self.sending and "uncertain" or "cancelled", operation = self.sending,
      message = "the call was interrupted before its answer came" }
  end
  return outcome, err
end

---Ends the client.
function Session:close()
  if self.client then self.client:close() end
end

return M
