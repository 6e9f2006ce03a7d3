--- A listening cqueues socket with a limit of connections. When it is full, the connection that has been silent for
--- longest is closed for the next one, so that silent connections keep nobody out.

local setmetatable = setmetatable

local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local socket = require "cqueues.socket"

local M = {}

---@class veo.Listener
---@field port integer
---@field connections integer  there now
local Listener = {}
Listener.__index = Listener

-- Seconds to wait after an accept that failed: without a free descriptor it fails again at once.
local REST = 0.05

local function keep_error(_, _, why) return why end

---@param host string
---@param port integer       0: any free one
---@param most integer       connections at a time
---@return veo.Listener|nil listener, string|nil why
function M.new(host, port, most)
  local sock, why = socket.listen { host = host, port = port, nodelay = true, reuseaddr = true }
  if not sock then return nil, errno.strerror(why) end
  sock:onerror(keep_error)
  local ok
  ok, why = sock:listen()
  if not ok then return nil, errno.strerror(why) end
  local _, _, its_port = sock:localname()
  return setmetatable({ sock = sock, port = its_port, most = most, connections = 0,
    -- connections whose message is not whole: number → socket, from the oldest up; and the other way round
    silent = {}, number = {}, oldest = 1, newest = 0 }, Listener)
end

---No complete message has arrived on this connection: it may be closed to make room.
function Listener:is_silent(sock)
  if self.number[sock] then return end
  self.newest = self.newest + 1
  self.silent[self.newest], self.number[sock] = sock, self.newest
end

---A complete message has arrived: the connection is served to its end.
function Listener:has_spoken(sock)
  local number = self.number[sock]
  if number then self.silent[number], self.number[sock] = nil, nil end
end

-- Ends the connection that has been silent for longest; its coroutine notices. False when all are being answered.
local function make_room(self)
  while self.oldest <= self.newest do
    local sock = self.silent[self.oldest]
    self.oldest = self.oldest + 1
    if sock then
      self.number[sock], self.silent[self.oldest - 1] = nil, nil
      sock:shutdown "rw"
      return true
    end
  end
  return false
end

local function let_in(self, loop, sock, serve)
  self.connections = self.connections + 1
  self:is_silent(sock)
  loop:wrap(function()
    serve(sock)
    self:has_spoken(sock)
    sock:close()
    self.connections = self.connections - 1
  end)
end

---Accepts connections until it is closed.
---@param loop any                 a cqueues controller
---@param serve fun(sock: any)     runs in a coroutine of its own for each; the socket is closed behind it
function Listener:run(loop, serve)
  local knock = { pollfd = self.sock:pollfd(), events = "r" }
  while not self.closed do
    cqueues.poll(knock)
    if self.closed then return end -- and the socket, too: it must not be asked any more
    local sock, why = self.sock:accept(0)
    -- What those that are there already have said is read first.
    if sock and self.connections >= self.most then cqueues.sleep(0) end
    if not sock and why ~= errno.ETIMEDOUT then
      cqueues.sleep(REST)
    elseif sock and not self.closed and (self.connections < self.most or make_room(self)) then
      let_in(self, loop, sock, serve)
    elseif sock then
      sock:close()
    end
  end
end

function Listener:close()
  if self.closed then return end
  self.closed = true
  cqueues.cancel(self.sock:pollfd())
  self.sock:close()
end

return M
