-- A very small HTTP/2 server with chosen faults. What `h2_get` and `h2_post` of a listener can be:
--   "answer"    a good reply (default);  "hang"  no answer
--   "refuse"    RST_STREAM with REFUSED_STREAM, which tells a client that the request was not processed
--   "cancel"    RST_STREAM with CANCEL, which does not
--   "http_1_1"  RST_STREAM with HTTP_1_1_REQUIRED
--   "goaway"    GOAWAY that leaves the stream out, then closed
--   "close"     the connection is closed unanswered
local cqueues = require "cqueues"
local hpack = require "hpack"
local replies = require "replies"

local M = {}

local DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
local END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 32
local REFUSED_STREAM, CANCEL, HTTP_1_1_REQUIRED = 7, 8, 13

local function send(con, kind, flags, stream, payload)
  con:write(string.pack(">I3 B B I4", #payload, kind, flags, stream), payload)
end

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
  return function(con, stream)
    send(con, RST_STREAM, 0, stream, string.pack(">I4", code))
    return true
  end
end

-- Each takes (con, stream, request) and says true when the connection goes on.
local behave = {
  refuse = reset(REFUSED_STREAM),
  cancel = reset(CANCEL),
  http_1_1 = reset(HTTP_1_1_REQUIRED),
}

function behave.answer(con, stream, request)
  -- 0x88 is ":status: 200"; 0x5f, a literal with the name "content-type" (31)
  send(con, HEADERS, END_HEADERS, stream, "\136\95\16application/json")
  send(con, DATA, END_STREAM, stream, replies.body(request.method))
  return true
end

function behave.hang()
  return true
end

function behave.close() end

function behave.goaway(con, stream)
  send(con, GOAWAY, 0, 0, string.pack(">I4 I4", stream > 2 and stream - 2 or 0, 0))
  cqueues.sleep(0.2) -- let it be read, and acted on, before the connection ends
end

-- One complete request. It is judged when its headers are in, or for an answer when its body is.
local function act(con, self, stream, request, complete)
  local behaviour = self.listener["h2_" .. request.method:lower()] or "answer"
  if behaviour == "answer" and not complete then
    return true
  end
  if self.listener.delay then
    cqueues.sleep(self.listener.delay)
  end
  return behave[behaviour](con, stream, request)
end

function M.serve(con, self)
  con:settimeout(60)
  if con:read(24) ~= "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" then
    return
  end
  send(con, SETTINGS, 0, 0, string.pack(">I2 I4", 3, 100)) -- MAX_CONCURRENT_STREAMS
  local decode, open, go_on = hpack.decoder(), {}, true
  while go_on do
    local kind, flags, stream, payload = read(con)
    if not kind or kind == GOAWAY then
      return
    elseif kind == SETTINGS and flags & ACK == 0 then
      send(con, SETTINGS, ACK, 0, "")
    elseif kind == PING and flags & ACK == 0 then
      send(con, PING, ACK, 0, payload)
    elseif kind == HEADERS then
      local request = decode(unwrap(flags, payload))
      request.event, request.protocol = "request", "h2"
      self.record(request)
      open[stream] = request
      go_on = act(con, self, stream, request, flags & END_STREAM ~= 0)
    elseif kind == DATA and open[stream] then
      if #payload > 0 then
        send(con, WINDOW_UPDATE, 0, 0, string.pack(">I4", #payload))
        send(con, WINDOW_UPDATE, 0, stream, string.pack(">I4", #payload))
      end
      if flags & END_STREAM ~= 0 and (self.listener["h2_" .. open[stream].method:lower()] or "answer") == "answer" then
        go_on = act(con, self, stream, open[stream], true)
      end
    end
  end
end

return M
