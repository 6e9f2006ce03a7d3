--- What the library's log tells a person: the taskId of what was paid, outages, repeats. With -v or VEO_LOG=json every
--- event is told.

local clean = require("veo.cli.terminal").clean
local phrases = require "veo.cli.phrases"
local texts = require "veo.util.text"
local transient = require "veo.util.transient"
local veo = require "veo"

local M = {}

local hear = {}

-- Something answered, or there was no connection.
local function heard(self, err)
  self.offline = err and err.code == "network" and (self.offline or veo.now()) or nil
end

function hear.request(self, event)
  if self.price then self.term:note(self.price) end
  self.price = nil
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
  self.term:note("warning: " .. phrases.translate(event.message), "warning")
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

-- Of an error as a program may see it.
local KEPT = { "code", "message", "operation", "sent", "http_status", "service_code", "curl_code", "retry_after" }

local function plain(value)
  if type(value) == "string" then return texts.without_password(value) end
  if type(value) ~= "table" then return type(value) ~= "function" and value or nil end
  local out = {}
  for _, name in ipairs(KEPT) do
    local kept = value[name]
    if type(kept) == "string" then kept = texts.without_password(kept) end
    if type(kept) ~= "table" then out[name] = kept end
  end
  return out
end

---@param session veo.cli.Session
---@param event table
function M.hear(session, event)
  if session.args.verbose or session.term.as_json then
    local shown = { at = os.date("!%Y-%m-%dT%H:%M:%SZ") }
    for name, value in pairs(event) do shown[name] = name ~= "time" and plain(value) or nil end
    session.term:event(shown)
  end
  local fn = (session.hears or hear)[event.event]
  if fn then fn(session, event) end
end

return M
