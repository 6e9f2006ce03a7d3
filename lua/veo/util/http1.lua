--- HTTP/1.1 on one cqueues socket, for servers: read in linear time and in short turns, with bounds on bytes, lines and
--- seconds, because the other side is not known yet. No pcall across a yield, so that it runs on Lua 5.1.

local setmetatable, tonumber = setmetatable, tonumber
local huge, min = math.huge, math.min
local byte, find, lower, match, sub = string.byte, string.find, string.lower, string.match, string.sub
local concat = table.concat

local cqueues = require "cqueues"
local errno = require "cqueues.errno"

local M = {}

---@class veo.http1.Bounds
---@field head integer      bytes of a head, and of what stands around and behind chunks
---@field headers integer   lines of a head
---@field chunks integer    lines around and behind chunks
---@field seconds number    for a whole message…
---@field rate number|nil   …and a second more for so many bytes that came
---@field read integer|nil  bytes of one read, 65,536 unless given; Lua's collector works for what a turn allocates

---@class veo.http1.Connection
local Connection = { __name = "veo.http1" }
Connection.__index = Connection

-- After this many reads without waiting, or this many lines, the other coroutines get a turn: 64 KiB, or 0.1 ms.
local READS, LINES = 1, 64
local READ_SIZE = 65536
-- Seconds after which an answer is given up when the other side takes no byte.
local STALLED = 300

local function keep_error(_, _, why) return why end

---@param sock any  accepted or connected
---@param bounds veo.http1.Bounds
---@return veo.http1.Connection
function M.connection(sock, bounds)
  sock:setmode("bn", "bn")
  sock:onerror(keep_error)
  return setmetatable({ sock = sock, bounds = bounds, buffer = "", at = 1, reads = 0, lines = 0, deadline = huge },
    Connection)
end

-- Bytes ------------------------------------------------------------------------------------------------------------------

---Sets the deadline of a message, which arriving bytes may extend; without seconds there is none.
---@param seconds number|nil
function Connection:within(seconds)
  self.deadline = seconds and cqueues.monotime() + seconds or huge
end

-- Lets the other coroutines run.
local function pause(self)
  self.reads, self.lines = 0, 0
  cqueues.sleep(0)
end

---Reads more, once the buffer is used up.
---@return true|nil more
---@return string|nil why  "late" or "closed"
function Connection:fill()
  if self.reads >= READS then pause(self) end
  while true do
    local left = self.deadline - cqueues.monotime()
    if left <= 0 then return nil, "late" end
    local data, why = self.sock:recv(-(self.bounds.read or READ_SIZE))
    if data then
      self.buffer, self.at, self.reads = data, 1, self.reads + 1
      local rate = self.bounds.rate
      if rate then self.deadline = self.deadline + #data / rate end
      return true
    end
    if why ~= errno.EAGAIN then return nil, "closed" end
    cqueues.poll(self.sock, left < huge and left or nil)
    self.reads, self.lines = 0, 0
  end
end

---Whether there is more to be read without waiting for it.
---@return boolean
function Connection:has_more() return self.at <= #self.buffer end

-- A line that is not complete in the buffer.
local function long_line(self, limit)
  local parts, size = {}, 0
  repeat
    if not self:has_more() then
      local more, why = self:fill()
      if not more then return nil, why end
    end
    local stop = find(self.buffer, "\n", self.at, true)
    local last = stop or #self.buffer
    size = size + last - self.at + 1
    if size > limit + 2 then return nil, "long" end
    parts[#parts + 1] = sub(self.buffer, self.at, last)
    self.at = last + 1
  until stop
  local line = concat(parts)
  if byte(line, -2) ~= 13 then return nil, "bare" end
  return sub(line, 1, -3)
end

---A line without its end; each byte is looked at once.
---@param limit integer  bytes
---@return string|nil line
---@return string|nil why  "late", "closed", "long", or "bare" where CR and LF do not end it together
function Connection:line(limit)
  self.lines = self.lines + 1
  if self.lines > LINES then pause(self) end
  local at, stop = self.at, find(self.buffer, "\n", self.at, true)
  if not stop then return long_line(self, limit) end
  self.at = stop + 1
  if stop - at + 1 > limit + 2 then return nil, "long" end
  if byte(self.buffer, stop - 1) ~= 13 or stop == at then return nil, "bare" end
  return sub(self.buffer, at, stop - 2)
end

---Passes this many bytes on as they arrive.
---@param count integer
---@param sink fun(piece: string)
---@return true|nil whole, string|nil why
function Connection:take(count, sink)
  while count > 0 do
    if not self:has_more() then
      local more, why = self:fill()
      if not more then return nil, why end
    end
    local last = min(#self.buffer, self.at + count - 1)
    count = count - (last - self.at + 1)
    local piece = sub(self.buffer, self.at, last)
    self.at = last + 1
    sink(piece)
  end
  return true
end

---Waits until the other side has closed, however long that takes. What it sends is discarded.
function Connection:drain()
  self:within(nil)
  repeat self.buffer, self.at = "", 1 until not self:fill()
end

---Writes all of it.
---@param data string
---@param seconds number|nil  that pass without the other side taking anything
---@return true|nil done
function Connection:write(data, seconds)
  local from, due = 1, nil
  seconds = seconds or STALLED
  while true do
    local sent, why = self.sock:send(data, from, #data, "bn")
    if sent and sent > 0 then from, due = from + sent, nil end
    if from > #data then return true end
    if why and why ~= errno.EAGAIN then return nil end
    due = due or cqueues.monotime() + seconds
    local left = due - cqueues.monotime()
    if left <= 0 then return nil end
    cqueues.poll(self.sock, left) -- which may come back with nothing ready
  end
end

-- Messages ---------------------------------------------------------------------------------------------------------------

-- The answer that says why nothing was read; none when the other side has closed.
local CODES = { late = 408, long = 413, bare = 400 }
local MESSAGES = { late = "the request did not come whole", closed = "the request did not come whole",
  long = "too long", bare = "a line ends with CR and LF" }

local function ended(why) return nil, CODES[why], MESSAGES[why] end

-- Blanks at the end are removed one by one: "[ \t]+$" takes quadratic time where blanks stand in the middle.
local function without_blanks(text)
  local last = #text
  while last > 0 and (byte(text, last) == 32 or byte(text, last) == 9) do last = last - 1 end
  return sub(text, 1, last)
end

-- A name and a value from a header line; nil when it is none.
local function header_of(line)
  local name, value = match(line, "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.*)$")
  if not name or find(value, "[%z\1-\8\10-\31\127]") then return nil end
  return lower(name), without_blanks(value)
end

---The first line and the headers, whose names are in lower case; what comes twice is joined with a comma and a blank.
---@return string|nil first
---@return table<string, string>|integer|nil headers  without a first line the answer, for whom one can be given
---@return string|nil message
function Connection:head()
  local headers, left = {}, self.bounds.head
  local first, why = self:line(left)
  if first == "" then first, why = self:line(left) end -- as some send behind the message before
  if not first then return ended(why) end
  left = left - #first
  for _ = 1, self.bounds.headers do
    local line
    line, why = self:line(left)
    if not line then return ended(why) end
    if line == "" then return first, headers end
    left = left - #line
    local name, value = header_of(line)
    if not name then return nil, 400, "a header as name and value expected" end
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return nil, 413, "too many headers"
end

-- How long the body is: bytes, or "chunked"; nil and why when the headers do not say so clearly.
local function length_of(headers)
  local coding, length = headers["transfer-encoding"], headers["content-length"]
  if coding then
    if length then return nil, 400, "either a Content-Length or chunks expected" end
    if lower(coding) ~= "chunked" then return nil, 400, "no other coding than chunked expected" end
    return "chunked"
  end
  if not length then return nil, 411, "Content-Length expected" end
  -- Digits only: tonumber would take fractions, exponents and hexadecimal for lengths.
  if not find(length, "^%d+$") then return nil, 400, "Content-Length: one number expected" end
  return tonumber(length)
end

-- More digits than any chunk has would wrap around.
local function size_of(line)
  local digits = match(line, "^(%x+)[ \t]*$") or match(line, "^(%x+)[ \t]*;")
  return digits and #digits <= 8 and tonumber(digits, 16) or nil
end

local function read_chunks(self, limit, sink)
  local left = self.bounds.head
  local size
  for _ = 1, self.bounds.chunks do
    local line, why = self:line(left)
    if not line then return ended(why) end
    left = left - #line
    if size == 0 then -- the trailers
      if line == "" then return true end
    elseif size then
      if line ~= "" then return nil, 400, "not chunked as it should be" end
      size = nil
    else
      size = size_of(line)
      if not size then return nil, 400, "not chunked as it should be" end
      if size > limit then return nil, 413, "too long" end
      limit = limit - size
      local whole
      whole, why = self:take(size, sink)
      if not whole then return ended(why) end
    end
  end
  return nil, 413, "too many chunks"
end

---Reads a body piece by piece.
---@param headers table<string, string>
---@param limit number   bytes
---@param sink fun(piece: string)
---@return true|nil whole
---@return integer|nil code     the answer, for whom one can be given
---@return string|nil message
function Connection:body(headers, limit, sink)
  local length, code, message = length_of(headers)
  if not length then return nil, code, message end
  if length == "chunked" then return read_chunks(self, limit, sink) end
  if length > limit then return nil, 413, "too long" end
  local whole, why = self:take(length, sink)
  if not whole then return ended(why) end
  return true
end

---What a request's first line says.
---@param first string
---@return { method: string, target: string, path: string, minor: string }|nil
function M.request_line(first)
  local method, target, minor = match(first, "^(%u+) (%S+) HTTP/1%.([01])$")
  if not method or find(target, "[%z\1-\32\127]") then return nil end
  return { method = method, target = target, path = match(target, "^[^?#]*"), minor = minor }
end

return M
