--- `veo doctor`: what must be right for an order to succeed, looked at line by line. The key is never shown, and nothing is
--- ordered. What is wrong with one thing keeps no other from being looked at.

local arguments = require "veo.cli.arguments"
local inputs = require "veo.cli.input"
local interrupt = require "veo.cli.interrupt"
local json = require "veo.cli.json"
local packages = require "veo.cli.packages"
local phrases = require "veo.cli.phrases"
local texts = require "veo.util.text"
local visible = require "veo.util.visible"
local version = require "veo.cli.commands.version"

local M = {}

-- Callbacks are refused from here on, and certificates may be (seconds).
local CLOCK_OFF = 120
-- How long the service has for an answer (seconds).
local PATIENCE = 10
local SERVICE = "https://api.kie.ai"

function M.arguments(parser)
  local doctor = parser:command("doctor", "Look at what orders need: versions, key, service, clock, ledger. Free.")
  arguments.ledger(doctor)
  arguments.network(doctor)
end

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

---@class veo.cli.Doctor
---@field checks { check: string, state: "ok"|"problem"|"note", message: string, next: string|nil }[]
local Doctor = {}
Doctor.__index = Doctor

function Doctor:add(check, state, message, next_step)
  self.checks[#self.checks + 1] = { check = check, state = state, message = visible(message), next = next_step }
end

-- Parts ------------------------------------------------------------------------------------------------------------------

-- Ctrl-C ends the run also while a module is loaded.
local function has(load)
  local ok, why = pcall(load)
  if not ok and interrupt.is(why) then error(why, 0) end
  return ok
end

function Doctor:packages()
  local loaded, text = pcall(version.text)
  self:add("versions", loaded and "ok" or "problem", tostring(text):match("[^\n]*"),
    not loaded and "build and install lua-veo for this Lua" or nil)
  self.loaded = loaded
  if not has(function() return require "DBI" and require "dbd.sqlite3" end) then
    self:add("packages", "problem", "there can be no ledger, and what is ordered twice is paid twice: "
      .. packages.missing "LuaDBI")
  end
  if not has(function() return require "cqueues" end) then
    self:add("packages", "note", "simulate and listen will not work: " .. packages.missing "cqueues")
  end
  if not has(function() return require "openssl.hmac" end) then
    self:add("packages", "note", "signed callbacks cannot be checked: luaossl is missing (Debian: lua-luaossl; "
      .. "LuaRocks: luaossl)")
  end
end

function Doctor:key()
  local key = environment("KIE_API_KEY")
  if not key then
    return self:add("key", "problem", "KIE_API_KEY is not set", "put the key of your account into it")
  end
  if key:find("%s") then
    return self:add("key", "problem", "KIE_API_KEY has a blank or a line break in it", "copy it again")
  end
  self.has_key = true
end

-- Where certificates are said to be, and are not.
function Doctor:certificates()
  for _, name in ipairs { "CURL_CA_BUNDLE", "SSL_CERT_FILE" } do
    local path = environment(name)
    local file = path and inputs.open(path)
    if file then file:close() end
    if path and not file then
      self:add("certificates", "problem", ("%s names %s, which cannot be read"):format(name, path),
        "correct it, or unset it: libcurl knows the system's own")
    end
    if path then return end -- the first that is set is used
  end
end

function Doctor:service(client)
  local began = require("veo").now()
  local base = environment("KIE_BASE_URL") or SERVICE
  local credits, err = client:credits { deadline = PATIENCE }
  local took = require("veo").now() - began
  if credits then
    self:add("service", "ok", ("%s answers in %.2f s%s"):format(base, took, base:find("^https") and " over TLS" or ""))
    self:add("key", "ok", ("the service accepts it; the account has %.10g credits"):format(credits))
    if credits <= 0 then self:add("credits", "problem", "the account has none", "top it up at the service") end
  elseif err.code == "unauthorized" or err.code == "forbidden" or err.code == "key_limit" then
    self:add("service", "ok", ("%s answers in %.2f s"):format(base, took))
    self:add("key", "problem", phrases.message(err),
      "check it: mistyped or withdrawn, its list of addresses, its limit")
  else
    self:add("service", "problem", ("%s: %s"):format(base, phrases.message(err)),
      "check the connection, KIE_BASE_URL and, behind a proxy of your own, its certificates (SSL_CERT_FILE)")
  end
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11,
  Dec = 12 }

---The time of an HTTP date, in epoch seconds.
---@param text string
---@return number|nil
function M.http_time(text)
  local day, name, year, hour, minute, second = text:match("(%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT")
  local month = MONTHS[name]
  if not month then return nil end
  -- Days from 1970-01-01, with years that begin in March.
  local y = month > 2 and tonumber(year) or year - 1
  local m = (month + 9) % 12
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((m * 306 + 5) / 10)
    + day - 1 - 719468
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

-- The service's Date header, by the program curl, without the key. With a clock that is off no certificate is valid, so
-- that none is asked for.
local function service_time()
  local pipe = io.popen(("unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER; curl -skI --noproxy '*' --max-time %d %s 2>&1")
    :format(PATIENCE, phrases.quote((environment("KIE_BASE_URL") or SERVICE) .. "/")))
  local said = pipe and pipe:read("*a") or ""
  if pipe then pipe:close() end
  local date = said:match("\n[dD]ate:%s*([^\r\n]+)")
  return date and M.http_time(date)
end

function Doctor:clock()
  local theirs = service_time()
  if not theirs then
    return self:add("clock", "note", "not compared: the service told no time, or the program curl is missing")
  end
  local off = os.time() - theirs
  if math.abs(off) < CLOCK_OFF then
    return self:add("clock", "ok", ("%g s beside the service's"):format(math.abs(off)))
  end
  self:add("clock", "problem", ("it is %s %s"):format(phrases.clock(math.abs(off)), off > 0 and "fast" or "slow"),
    "set it (timedatectl set-ntp true): certificates and signed callbacks depend on it")
end

function Doctor:ledger(client, place)
  if not place then
    return self:add("ledger", "note", "there is none yet; the first order makes it")
  end
  local shown = texts.without_password(place)
  local whole, err = client:check_ledger()
  if not whole then
    return self:add("ledger", "problem", ("%s: %s"):format(shown, phrases.message(err)),
      "restore a copy, or name another with --ledger: without it orders may be paid twice")
  end
  self:add("ledger", "ok", shown .. " is intact")
  local uncertain = client:tasks { state = "uncertain" } or {}
  if uncertain[1] then
    self:add("ledger", "problem", phrases.count(#uncertain, "order") .. " without an answer",
      ("look at them by `veo tasks --state uncertain%s`, then say what became of each by `veo settle REF TASK%s`")
        :format(phrases.ledger, phrases.ledger))
  end
end

-- All --------------------------------------------------------------------------------------------------------------------

-- A client; what is wrong with the ledger does not keep the rest from being looked at.
function Doctor:open(args, term)
  local sessions = require "veo.cli.session"
  local session = sessions.new(args, term)
  local problem = session:open()
  if not problem then
    phrases.ledger = require("veo.cli.report").ledger_of(session)
    return session.client, args.ledger
  end
  args.ledger, args.no_ledger = nil, true
  session = sessions.new(args, term)
  local again = session:open()
  if again then return nil, nil, self:add("client", "problem", again) end
  self:add("ledger", "problem", problem)
  return session.client
end

local WORDS = { ok = "ok     ", problem = "problem", note = "note   " }

-- Standard output is written without the core, should that be what is missing.
local function print_out(text)
  return io.stdout:write(text, "\n") and io.stdout:flush()
end

local function print_all(checks, term)
  local lines = {}
  local function fold(text, indent) return term and term:fold(text, indent) or text end
  for _, check in ipairs(checks) do
    lines[#lines + 1] = fold(("%s %s: %s"):format(WORDS[check.state], check.check, check.message), "        ")
    if check.next then lines[#lines + 1] = "        " .. fold(check.next, "        ") end
  end
  return print_out(table.concat(lines, "\n"))
end

-- Everything that can be looked at.
function Doctor:look(args, term)
  self:key()
  if self.loaded then self:certificates() end
  local client, place
  if self.has_key and self.loaded then client, place = self:open(args, term) end
  if client then self:service(client) end
  self:clock()
  if client and (place or not args.no_ledger) then self:ledger(client, place) end
  if client then client:close() end
end

---@return integer exit
function M.doctor(args)
  local self = setmetatable({ checks = {} }, Doctor)
  self:packages()
  local term = self.loaded and require("veo.cli.terminal").new(args) or nil
  self:look(args, term)
  local exit = 0
  for _, check in ipairs(self.checks) do
    if check.state == "problem" then exit = 2 end
  end
  local written
  if args.json then
    written = print_out(json.encode { ok = exit == 0, exit = exit > 0 and exit or nil, checks = self.checks })
  else
    written = print_all(self.checks, term)
  end
  return written and exit or 3
end

return M
