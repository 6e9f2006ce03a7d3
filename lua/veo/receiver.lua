--- Receives callbacks inside the program that submits, on one cqueues loop with its client: for small set-ups, where one
--- program orders, receives and saves. Waits go on polling, slowly, as the safety net for callbacks that never come.
---
---   local receiver = require("veo.receiver").new { client = client, port = 8080, url = "https://example.com/veo" }
---   client:spawn(function() … client:extend { …, callBackUrl = receiver.url } … client:wait(task) … end)
---   assert(receiver:run())
---
--- The web server in front of it does TLS. Needs cqueues and luaossl.

local errors = require "veo.errors"
local options = require "veo.util.options"

---@type veo.receiver
local M = {}

---@type veo.Receiver
local Receiver = { __name = "veo.receiver" }
Receiver.__index = Receiver

-- The service gives up after 15 s and tries again.
local ANSWER_WITHIN = 10
-- Connections at once: only the service has a reason to call. It sends its request in one go, so the connection that
-- has been silent for longest is closed for the next.
local CONNECTIONS = 64
-- The service's callbacks have under 4 KiB. A body is decoded before it is known to be genuine: 64 KiB of the worst
-- JSON take 2 ms.
local MOST_BODY = 65536
-- Where the client has no descriptor, the loop is not told of jobs that others spawn: seconds between looks.
local LOOK_AGAIN = 0.05

local function a(kind)
  return { expected = "a " .. kind, test = function(value) return type(value) == kind end }
end

local OPTIONS = { client = a "table", host = a "string", port = a "number", path = a "string", url = a "string",
  loop = { expected = "a cqueues loop", test = function() return true end }, on_status = a "function" }

-- Nil, or what is wrong with them.
local function problem_with(given)
  if type(given) ~= "table" then return "a table of options expected, got " .. type(given) end
  local _, problem = options.overlay(OPTIONS, nil, given)
  if problem then return problem end
  if not given.client then return "client: a client expected" end
  if given.path and given.path:sub(1, 1) ~= "/" then return "path: it begins with a slash" end
  return nil
end

function M.new(given)
  local problem = problem_with(given)
  if problem then error("receiver.new: " .. problem, 2) end
  local found, cqueues = pcall(require, "cqueues")
  if not found then
    return nil, errors.new { code = "missing", operation = "receiver",
      message = "receiver: cqueues is needed: luarocks install cqueues, or on Debian apt-get install lua-cqueues" }
  end
  -- Else the first callback would load what it needs, in one turn of the loop (3 ms), or find no descriptor for it.
  pcall(require("veo").preload)
  local host, path = given.host or "127.0.0.1", given.path or "/veo/callback"
  local listener, why = require("veo.util.listener").new(host, given.port or 0, CONNECTIONS)
  if not listener then
    return nil, errors.new { code = "io", operation = "receiver",
      message = ("receiver: cannot listen on %s:%d: %s"):format(host, given.port or 0, why) }
  end
  local self = setmetatable({
    client = given.client, listener = listener, port = listener.port, path = path, on_status = given.on_status,
    url = given.url or ("http://%s:%d%s"):format(host, listener.port, path),
    loop = given.loop or cqueues.new(), pending = 0, steps = 0,
    stepped = require("cqueues.condition").new(), -- signalled whenever the client has made a step
    spawned = require("cqueues.condition").new(), -- ... and whenever it is to make one
    cqueues = cqueues, requests = require "veo.receiver.http", fd = given.client.loop:pollfd(),
  }, Receiver)
  self.loop:wrap(function() self:drive() end)
  self.loop:wrap(function() listener:run(self.loop, function(sock) self:serve(sock) end) end)
  return self
end

local function step(self)
  self.pending = self.client:step(0) or self.pending
  self.steps = self.steps + 1
  self.stepped:signal()
end

-- The client's jobs go on inside the loop.
function Receiver:drive()
  while not self.closed do
    step(self)
    if self.closed then return end
    self.cqueues.poll(self.client.loop, self.spawned, not self.fd and LOOK_AGAIN or math.huge)
  end
end

-- HTTP status and message for what became of a callback.
local ANSWERS = { unverified = { 401, "the signature is not valid" }, malformed = { 400, "not a callback" },
  not_found = { 404, "no such task" }, expired = { 404, "no such task" }, rate_limited = { 503, "not now" } }

-- Runs as a job of the client, whose calls can wait there.
local function handle(self, request)
  local status, event = self.client:callback(request.headers, request.body, { target = request.target })
  if not status then
    local answer = ANSWERS[event.code] or { 500, "not now" }
    return answer[1], answer[2]
  end
  if self.on_status and not event.replay then self.client:spawn(self.on_status, status, event) end
  return 200, "success"
end

-- One callback a step of the client's: a step runs all that is new, and 64 of the worst bodies are 100 ms. Somebody else
-- may be stepping the client, which is not seen here.
local function wait_for_turn(self)
  local due = self.cqueues.monotime() + 0.1
  while self.judged == self.steps and not self.closed do
    local left = due - self.cqueues.monotime()
    if left <= 0 then break end
    self.stepped:wait(left)
  end
  self.judged = self.steps
end

function Receiver:serve(sock)
  local connection = self.requests.connection(sock)
  local request, code, message = self.requests.read(connection, MOST_BODY)
  self.listener:has_spoken(sock)
  if not request then
    if code then self.requests.answer(connection, code, message) end
    return
  end
  if request.path ~= self.path then return self.requests.answer(connection, 404, "nothing here") end
  if request.method ~= "POST" then return self.requests.answer(connection, 405, "POST expected") end
  wait_for_turn(self)
  if self.closed then return end
  local job = self.client:spawn(handle, self, request)
  self.spawned:signal()
  local deadline = self.cqueues.monotime() + ANSWER_WITHIN
  while job:status() == "pending" and self.cqueues.monotime() < deadline and not self.closed do
    self.stepped:wait(deadline - self.cqueues.monotime())
  end
  if job:status() == "done" then return self.requests.answer(connection, job:result()) end
  -- The service tries again; what is under way goes on meanwhile.
  return self.requests.answer(connection, 503, "not now")
end

function Receiver:run(seconds)
  local deadline = seconds and self.cqueues.monotime() + seconds
  step(self)
  while not self.closed do
    local left = deadline and deadline - self.cqueues.monotime() or math.huge
    if left <= 0 then return true end
    if not deadline and self.pending == 0 and self.listener.connections == 0 then return true end
    local ok, why = self.loop:step(math.min(left, 1))
    if not ok then
      return nil, errors.new { code = "job_failed", operation = "receiver", message = "receiver: " .. tostring(why) }
    end
  end
  return true
end

function Receiver:close()
  if self.closed then return end
  self.closed = true
  if self.fd then self.cqueues.cancel(self.fd) end
  self.listener:close()
  self.stepped:signal()
  self.spawned:signal()
end

return M
