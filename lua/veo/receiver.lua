--- Receives callbacks inside the program that submits, on one cqueues loop with its client: for small set-ups, where one
--- program orders, receives and saves. Waits go on polling, slowly, as the safety net for callbacks that never come.
---
---   local receiver = require("veo.receiver").new { client = client, port = 8080, url = "https://example.com/veo" }
---   client:spawn(function() … client:extend { …, callBackUrl = receiver.url } … client:wait(task) … end)
---   assert(receiver:run())
---
--- TLS is the business of the web server in front of it. Needs cqueues and luaossl.

local errors = require "veo.errors"
local webhook = require "veo.webhook"

local M = {}

---@class veo.Receiver
---@field url string   what to give as callBackUrl
---@field port integer
local Receiver = { __name = "veo.receiver" }
Receiver.__index = Receiver

-- The service gives up after 15 s and tries again.
local ANSWER_WITHIN = 10
-- More at once are not served, since nobody but the service has a reason to call. It says what it has to say in one go,
-- so who has said nothing for longest makes room.
local CONNECTIONS = 64
-- After an accept that failed, as it does at once and again and again while no descriptor is left (seconds).
local REST = 0.1

local OPTIONS = { client = "table", host = "string", port = "number", path = "string", url = "string", loop = "any",
  on_status = "function" }

local function misuse(problem)
  error("receiver.new: " .. problem, 3)
end

local function check(given)
  if type(given) ~= "table" then misuse("a table of options expected, got " .. type(given)) end
  for name, value in pairs(given) do
    local wanted = OPTIONS[name]
    if not wanted then misuse("unknown option " .. tostring(name)) end
    if wanted ~= "any" and type(value) ~= wanted then
      misuse(("%s: a %s expected, got %s"):format(name, wanted, type(value)))
    end
  end
  if not given.client then misuse("client: a client expected") end
  if given.path and given.path:sub(1, 1) ~= "/" then misuse("path: it begins with a slash") end
end

---Listens. Nothing happens until its loop runs: receiver:run(), or the loop that was given.
---@param options { client: veo.Client, host: string|nil, port: integer|nil, path: string|nil, url: string|nil, loop: any|nil, on_status: nil|fun(status: veo.Status, event: veo.webhook.Event) }  127.0.0.1, a free port and "/veo/callback" unless given; `url`: how the service reaches it; `on_status` runs as a job of the client, after the service got its answer
---@return veo.Receiver|nil receiver
---@return veo.Error|nil err
function M.new(options)
  check(options)
  local found, cqueues = pcall(require, "cqueues")
  if not found then
    return nil, errors.new { code = "missing", operation = "receiver",
      message = "receiver: cqueues is needed: luarocks install cqueues, or on Debian apt-get install lua-cqueues" }
  end
  local host, path = options.host or "127.0.0.1", options.path or "/veo/callback"
  local requests = require "veo.receiver.request"
  local listener, why = requests.listen(host, options.port or 0)
  if not listener then
    return nil, errors.new { code = "io", operation = "receiver",
      message = ("receiver: cannot listen on %s:%d: %s"):format(host, options.port or 0, why) }
  end
  local _, _, port = listener:localname()
  local self = setmetatable({
    client = options.client, listener = listener, port = port, path = path, on_status = options.on_status,
    url = options.url or ("http://%s:%d%s"):format(host, port, path),
    loop = options.loop or cqueues.new(), connections = 0, pending = 0,
    silent = {}, -- connections whose request is not whole, the oldest first
    stepped = require("cqueues.condition").new(), -- signalled whenever the client has made a step
    cqueues = cqueues, requests = requests, fd = options.client:pollfd(),
  }, Receiver)
  self.loop:wrap(function() self:drive() end)
  self.loop:wrap(function() self:accept() end)
  return self
end

-- The client's jobs go on inside the loop.
function Receiver:drive()
  while not self.closed do
    self.pending = self.client:step(0) or self.pending
    self.stepped:signal()
    if self.closed then return end
    self.cqueues.poll(self.client)
  end
end

local function forget(list, sock)
  for i, other in ipairs(list) do
    if other == sock then return table.remove(list, i) end
  end
end

-- Ends the connection that has been silent for longest; its coroutine notices. False when all are being answered.
local function make_room(self)
  local oldest = table.remove(self.silent, 1)
  if oldest then oldest:shutdown "rw" end
  return oldest ~= nil
end

function Receiver:accept()
  local errno = require "cqueues.errno"
  local knock = { pollfd = self.listener:pollfd(), events = "r" }
  while not self.closed do
    self.cqueues.poll(knock)
    if self.closed then return end -- and the listener, too: it must not be asked any more
    local sock, why = self.listener:accept(0)
    -- What those that are there already have said is read first.
    if sock and self.connections >= CONNECTIONS then self.cqueues.sleep(0) end
    if not sock and why ~= errno.ETIMEDOUT then
      self.cqueues.sleep(REST)
    elseif sock and not self.closed and (self.connections < CONNECTIONS or make_room(self)) then
      self.connections = self.connections + 1
      table.insert(self.silent, sock)
      self.loop:wrap(function()
        self:serve(sock)
        sock:close()
        self.connections = self.connections - 1
      end)
    elseif sock then
      sock:close()
    end
  end
end

-- HTTP status and message for what became of a callback.
local ANSWERS = { unverified = { 401, "the signature does not hold" }, malformed = { 400, "not a callback" },
  not_found = { 404, "no such task" }, expired = { 404, "no such task" } }

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

function Receiver:serve(sock)
  local request, code, message = self.requests.read(sock, webhook.max_body)
  forget(self.silent, sock)
  if not request then
    if code then self.requests.answer(sock, code, message) end
    return
  end
  if request.path ~= self.path then return self.requests.answer(sock, 404, "nothing here") end
  if request.method ~= "POST" then return self.requests.answer(sock, 405, "POST expected") end
  local job = self.client:spawn(handle, self, request)
  local deadline = self.cqueues.monotime() + ANSWER_WITHIN
  while job:status() == "pending" and self.cqueues.monotime() < deadline and not self.closed do
    self.stepped:wait(deadline - self.cqueues.monotime())
  end
  if job:status() == "done" then return self.requests.answer(sock, job:result()) end
  -- The service tries again; what is under way goes on meanwhile.
  return self.requests.answer(sock, 503, "not now")
end

---Runs the loop until every job of the client has ended, or for so many seconds.
---@param seconds number|nil
---@return true|nil, veo.Error|nil
function Receiver:run(seconds)
  local deadline = seconds and self.cqueues.monotime() + seconds
  self.pending = self.client:step(0) or 0
  while not self.closed do
    local left = deadline and deadline - self.cqueues.monotime() or math.huge
    if left <= 0 then return true end
    if not deadline and self.pending == 0 and self.connections == 0 then return true end
    local ok, why = self.loop:step(math.min(left, 1))
    if not ok then
      return nil, errors.new { code = "job_failed", operation = "receiver", message = "receiver: " .. tostring(why) }
    end
  end
  return true
end

---Stops listening; to be called before the client is closed. A loop that goes on forgets the client's descriptor.
function Receiver:close()
  if self.closed then return end
  self.closed = true
  if self.fd then self.cqueues.cancel(self.fd) end
  self.cqueues.cancel(self.listener:pollfd())
  self.listener:close()
  self.stepped:signal()
end

return M
