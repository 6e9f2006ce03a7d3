-- A very small HTTP/2 server with chosen faults. What `h2_get`, `h2_post` and `h2_head` of a listener can be:
--   "answer"    a good reply (default);  "hang"  no answer
--   "refuse"    RST_STREAM with REFUSED_STREAM, which tells a client that the request was not processed
--   "cancel"    RST_STREAM with CANCEL, which does not
--   "http_1_1"  RST_STREAM with HTTP_1_1_REQUIRED
--   "goaway"    GOAWAY that leaves the stream out, then closed
--   "last"      GOAWAY and then a good reply; the client is to close
--   "close"     the connection is closed unanswered
--   "<how>_<phase>"  see phases.lua; the stream of "hang" alone falls silent
-- `all` of a listener can also be a whole reply of replies.lua.
local cqueues = require "cqueues"
local flows = require "flow"
local hpack = require "hpack"
local option = require "option"
local phases = require "phases"
local replies = require "replies"

local M = {}

local DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
local END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 32
local NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, HTTP_1_1_REQUIRED = 0, 2, 7, 8, 13

local function read(con)
  local head = con:read(9)
  if not head or #head < 9 then
    return nil
  end
  local length, kind, flags, stream = string.unpack(">I3 B B I4", head)
  return kind, flags, stream & 0x7fffffff, length > 0 and con:read(length) or ""
end

-- A header block out of its frame, without padding and priority.
local function unwrap(flags, payload)
  local first, last = 1, #payload
  if flags & PADDED ~= 0 then
    first, last = 2, last - payload:byte(1)
  end
  if flags & PRIORITY ~= 0 then
    first = first + 5
  end
  return payload:sub(first, last)
end

local function reset(code)
  return function(flow, stream)
    flow:frame(RST_STREAM, 0, stream, string.pack(">I4", code))
    flow:close(stream)
    return true
  end
end

local function goaway(flow, last, code)
  flow:frame(GOAWAY, 0, 0, string.pack(">I4 I4", last, code))
end

-- Literals without indexing: 8 is the name ":status", 0 says that the name follows.
local function headers(flow, stream, status, length)
  local size = tostring(length)
  flow:frame(HEADERS, END_HEADERS, stream, "\8" .. string.pack("s1", status)
    .. "\0" .. string.pack("s1s1", "content-type", "application/json")
    .. "\0" .. string.pack("s1s1", "content-length", size))
end

-- Each takes (flow, stream, request, self) and says true when the connection goes on.
local behave = {
  refuse = reset(REFUSED_STREAM),
  cancel = reset(CANCEL),
  http_1_1 = reset(HTTP_1_1_REQUIRED),
}

local function reply(flow, stream, request, status, body)
  headers(flow, stream, status, #body)
  flow:data(stream, request.method == "HEAD" and "" or body, true)
  flow:close(stream)
  return true
end

function behave.answer(flow, stream, request)
  return reply(flow, stream, request, "200", replies.body(request.method, request.path))
end

function behave.late(flow, stream, request, self)
  self.tell "late"
  cqueues.sleep(0.1)
  return behave.answer(flow, stream, request)
end

function behave.hang()
  return true
end

function behave.close() end

function behave.goaway(flow, stream)
  goaway(flow, stream > 2 and stream - 2 or 0, NO_ERROR)
  cqueues.sleep(0.2) -- let it be read, and acted on, before the connection ends
end

function behave.last(flow, stream, request)
  goaway(flow, stream, NO_ERROR)
  return behave.answer(flow, stream, request)
end

-- The faults of phases.lua. Told, and then given the time to be read, before the end.
local function in_phase(flow, stream, request, self, how, phase)
  local body = replies.body(request.method, request.path)
  if phase == "headers" or phase == "body" then
    headers(flow, stream, "200", #body)
  end
  if phase == "body" then
    flow:data(stream, phases.part(body), false)
  end
  self.tell(phase)
  if how == "hang" then
    return true
  end
  cqueues.sleep(0.02)
  if how == "rst" then
    return reset(INTERNAL_ERROR)(flow, stream)
  elseif how == "goaway" then
    goaway(flow, stream, INTERNAL_ERROR)
    cqueues.sleep(0.02)
  elseif how == "reset" then
    option.linger(flow.con)
  end
end

local function behaviour_of(self, request)
  if (request.path or ""):find("^/k/late/") then
    return "late"
  end
  return self.listener["h2_" .. request.method:lower()] or self.listener.all or "answer"
end

-- What takes long gets a coroutine, so that the connection is read meanwhile: its windows open there.
local function aside(self, fn, ...)
  self.loop:wrap(function(...) pcall(fn, ...) end, ...)
  return true
end

-- One complete request. It is judged when its headers are in, or for what waits for the body when that is.
local function act(flow, self, stream, request, complete)
  local behaviour = behaviour_of(self, request)
  local how, phase = phases.parse(behaviour)
  local whole = replies.other[behaviour]
  if not complete and (behaviour == "answer" or behaviour == "late" or whole or (how and phase ~= "request")) then
    return true
  end
  request.done = true
  if self.listener.delay then
    cqueues.sleep(self.listener.delay)
  end
  if self.listener.all and whole then
    return aside(self, reply, flow, stream, request, whole[1]:match("%d+"), whole[2])
  elseif behave[behaviour] then
    local aloof = behaviour == "answer" or behaviour == "late"
    if aloof then
      return aside(self, behave[behaviour], flow, stream, request, self)
    end
    return behave[behaviour](flow, stream, request, self)
  end
  return in_phase(flow, stream, request, self, how, phase)
end

-- One frame; false at the connection's end.
local function take(flow, self, open, decode)
  local kind, flags, stream, payload = read(flow.con)
  if not kind or kind == GOAWAY then
    return false
  elseif kind == SETTINGS and flags & ACK == 0 then
    flow:settings(payload)
    flow:frame(SETTINGS, ACK, 0, "")
  elseif kind == PING and flags & ACK == 0 then
    flow:frame(PING, ACK, 0, payload)
  elseif kind == WINDOW_UPDATE then
    flow:update(stream, payload)
  elseif kind == RST_STREAM then
    flow:close(stream)
    open[stream] = nil
  elseif kind == HEADERS then
    local request = decode(unwrap(flags, payload))
    request.event, request.protocol = "request", "h2"
    self.record(request)
    open[stream] = request
    flow:open(stream)
    return act(flow, self, stream, request, flags & END_STREAM ~= 0)
  elseif kind == DATA and open[stream] then
    local request = open[stream]
    if #payload > 0 then
      flow:frame(WINDOW_UPDATE, 0, 0, string.pack(">I4", #payload))
    end
    -- A stream that fell silent before its request's body takes no more of it than its window holds.
    if #payload > 0 and not request.done then
      flow:frame(WINDOW_UPDATE, 0, stream, string.pack(">I4", #payload))
    end
    if flags & END_STREAM ~= 0 and not request.done then
      return act(flow, self, stream, request, true)
    end
  end
  return true
end

function M.serve(con, self)
  con:settimeout(60)
  if con:read(24) ~= "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" then
    return
  end
  local flow, open, decode = flows.new(con), {}, hpack.decoder()
  flow:frame(SETTINGS, 0, 0, string.pack(">I2 I4", 3, 100)) -- MAX_CONCURRENT_STREAMS
  while take(flow, self, open, decode) do end
  flow:close()
end

return M
