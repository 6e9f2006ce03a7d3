-- HTTP/1.1 with chosen faults. What `get` and `post` of a listener can be:
--   "answer"        a good reply, the connection is kept (default)
--   "close"         the request is read, the connection closed without a word
--   "close_at_head" the same, before the body is read
--   "reset"         the request is read, the connection reset (RST)
--   "hang"          the request is read and never answered
--   "half"          a complete header, half of the promised body, then closed
--   "half_head"     closed in the middle of the header
--   "early_100"     100 Continue, then closed;  "early_103" the same with 103 Early Hints
--   "417"           417 Expectation Failed: at once when the client expects to be asked for its body
--   "stale"         a good reply that keeps the connection, which is then closed all the same
--   "redirect"      307 to the listener's `to`
--   "told"          what the listener's file `told` says when the request is there: see told.lua
--   "<how>_<phase>" see phases.lua;  "refuse", "refuse_in_body", "page", "too_large": whole replies, see replies.lua
local cqueues = require "cqueues"
local option = require "option"
local phases = require "phases"
local replies = require "replies"
local proxy = require "proxy"
local told = require "told"

local M = {}

local function reply(con, status, body, fields)
  con:write("HTTP/1.1 ", status, "\r\nContent-Type: application/json\r\nContent-Length: ", #body, "\r\n",
    fields or "", "\r\n", body)
end

-- The same to a request of this method: HEAD gets no body.
local function answer(con, request, status, body)
  if request.method == "HEAD" then
    con:write("HTTP/1.1 ", status, "\r\nContent-Length: ", #body, "\r\n\r\n")
  else
    reply(con, status, body)
  end
  return true
end

-- Each takes (con, request, self) and says true when the connection goes on.
local behave = {}

function behave.answer(con, request)
  return answer(con, request, "200 OK", replies.body(request.method, request.path))
end

-- One of its requests is answered late, whatever the others get.
function behave.late(con, request, self)
  self.tell "late"
  cqueues.sleep(0.1)
  return behave.answer(con, request)
end

for name, other in pairs(replies.other) do
  behave[name] = function(con, request) return answer(con, request, other[1], other[2]) end
end

-- The faults of phases.lua. Told, and then given the time to be read, before the connection ends.
local function in_phase(con, request, self, how, phase)
  local body = replies.body(request.method, request.path)
  if phase == "headers" then
    con:write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Le")
  elseif phase == "body" then
    con:write("HTTP/1.1 200 OK\r\nContent-Length: ", #body, "\r\n\r\n", phases.part(body))
  end
  self.tell(phase)
  if how == "hang" then
    return behave.hang(con)
  end
  cqueues.sleep(0.02)
  return how == "reset" and option.linger(con)
end

function behave.close() end
behave.close_at_head = behave.close

function behave.reset(con)
  option.linger(con)
end

function behave.hang(con)
  while con:read(-4096) do end
end

function behave.half(con, request)
  local body = replies.body(request.method)
  con:write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ", #body, "\r\n\r\n",
    body:sub(1, #body // 2))
end

function behave.half_head(con)
  con:write("HTTP/1.1 200 OK\r\nContent-Ty")
end

function behave.early_100(con)
  con:write("HTTP/1.1 100 Continue\r\n\r\n")
end

function behave.early_103(con)
  con:write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
end

behave["417"] = function(con)
  reply(con, "417 Expectation Failed", "{}")
  return true
end

function behave.stale(con, request)
  reply(con, "200 OK", replies.body(request.method), "Connection: keep-alive\r\n")
  cqueues.sleep(0.05)
end

function behave.redirect(con, request, self)
  local to = self.urls[self.listener.to] or self.listener.to
  reply(con, "307 Temporary Redirect", "", "Location: " .. to .. request.path .. "\r\n")
  return true
end

function behave.told(con, request, self)
  option.prompt(con) -- or a reset would throw away what Nagle's algorithm holds back
  return told(con, request, self.listener.told, option.linger)
end

local function read_head(con)
  local line = con:read("*l")
  local method, path = (line or ""):match("^(%S+) (%S+) HTTP/1")
  if not method then
    return nil
  end
  local request = { event = "request", protocol = "http/1.1", method = method, path = path, headers = {} }
  for field in function() return con:read("*l") end do
    local name, value = field:match("^([^:]+):%s*(.-)%s*$")
    if not name then
      return request -- the empty line
    end
    request.headers[name:lower()] = value
  end
  return nil
end

local function read_body(con, request, behaviour)
  local length = tonumber(request.headers["content-length"] or 0)
  if request.headers.expect and behaviour == "417" or behaviour == "close_at_head" or behaviour:find("_request$") then
    return
  elseif request.headers.expect and length > 0 then
    con:write("HTTP/1.1 100 Continue\r\n\r\n")
  end
  request.body = length > 0 and con:read(length) or ""
end

function M.serve(con, self)
  con:settimeout(60)
  local go_on = true
  while go_on do
    local request = read_head(con)
    if not request then
      return
    end
    local behaviour = request.path:find("^/k/late/") and "late" or self.listener[request.method:lower()]
      or self.listener.all or "answer"
    local how, phase = phases.parse(behaviour)
    read_body(con, request, behaviour)
    request.authorization = request.headers.authorization ~= nil
    request.headers.authorization = nil -- a key has no place in a log, not even in a spec's
    self.record(request)
    if self.listener.delay then
      cqueues.sleep(self.listener.delay)
    end
    if request.method == "CONNECT" then
      return proxy.serve(con, request, self)
    end
    if how and not behave[behaviour] then
      go_on = in_phase(con, request, self, how, phase)
    else
      go_on = behave[behaviour](con, request, self)
    end
  end
end

return M
