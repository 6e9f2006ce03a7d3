-- HTTP/2 sending: whole frames from several streams, DATA within both windows (RFC 9113, 5.2).
local condition = require "cqueues.condition"

local M = {}
local Flow = {}
Flow.__index = Flow

local DATA, END_STREAM, FRAME = 0, 1, 16384

function M.new(con)
  return setmetatable({ con = con, window = 65535, initial = 65535, streams = {}, changed = condition.new(),
    writing = false, over = false }, Flow)
end

---One frame; false when the connection is over. A write that waits for room must not be cut by another one.
function Flow:frame(kind, flags, stream, payload)
  while self.writing do
    self.changed:wait()
  end
  if self.over then
    return false
  end
  self.writing = true
  local ok = self.con:write(string.pack(">I3 B B I4", #payload, kind, flags, stream), payload)
  self.writing = false
  self.changed:signal()
  return ok ~= nil and ok ~= false
end

function Flow:open(stream)
  self.streams[stream] = self.initial
end

---The stream, or without one the connection, is over.
function Flow:close(stream)
  self.over = self.over or stream == nil
  if stream then
    self.streams[stream] = nil
  end
  self.changed:signal()
end

---The client's SETTINGS: INITIAL_WINDOW_SIZE counts.
function Flow:settings(payload)
  for at = 1, #payload - 5, 6 do
    local id, value = string.unpack(">I2 I4", payload, at)
    if id == 4 then
      for stream, window in pairs(self.streams) do
        self.streams[stream] = window + value - self.initial
      end
      self.initial = value
    end
  end
  self.changed:signal()
end

function Flow:update(stream, payload)
  local more = string.unpack(">I4", payload) & 0x7fffffff
  if stream == 0 then
    self.window = self.window + more
  elseif self.streams[stream] then
    self.streams[stream] = self.streams[stream] + more
  end
  self.changed:signal()
end

---Sends a body, as the windows let it; false when the stream was ended meanwhile.
function Flow:data(stream, bytes, last)
  local at = 1
  repeat
    while not self.over and self.streams[stream] and at <= #bytes
      and (self.window <= 0 or self.streams[stream] <= 0) do
      self.changed:wait()
    end
    if self.over or not self.streams[stream] then
      return false
    end
    local count = math.min(FRAME, #bytes - at + 1, self.window, self.streams[stream])
    count = math.max(count, 0)
    self.window, self.streams[stream] = self.window - count, self.streams[stream] - count
    local ends = last and at + count > #bytes
    if not self:frame(DATA, ends and END_STREAM or 0, stream, bytes:sub(at, at + count - 1)) then
      return false
    end
    at = at + count
  until at > #bytes
  return true
end

return M
