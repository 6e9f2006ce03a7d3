--- HTTP/1.1 over one cqueues socket, by hand: the faults need control over every byte.
-- Nothing here uses pcall across a yield, so that it also runs on plain Lua 5.1.
local cqueues = require "cqueues"
local errno = require "cqueues.errno"

local EAGAIN = errno.EAGAIN
local HEAD_LIMIT = 64 * 1024

local M = {}

local reasons = {
  [100] = "Continue", [200] = "OK", [204] = "No Content", [206] = "Partial Content",
  [301] = "Moved Permanently", [302] = "Found", [303] = "See Other", [304] = "Not Modified",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request", [401] = "Unauthorized",
  [402] = "Payment Required", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [410] = "Gone", [412] = "Precondition Failed", [413] = "Content Too Large",
  [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable", [417] = "Expectation Failed",
  [422] = "Unprocessable Content", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
}

local function keep_error(_, _, why) return why end

--- @param sock any an accepted or connected cqueues socket
--- @return table connection
function M.connection(sock)
  sock:setmode("bn", "bn")
  sock:onerror(keep_error)
  return { sock = sock, buffer = "" }
end

--- Reads once into the buffer, waiting when nothing is there.
--- @param timeout number|nil seconds; false comes back when they pass with nothing read
--- @return boolean|nil more true, or nil at the end of the stream or after an error
local function fill(connection, timeout)
  local sock = connection.sock
  local deadline = timeout and cqueues.monotime() + timeout
  while true do
    local data, why = sock:recv(-65536)
    if data then
      connection.buffer = connection.buffer == "" and data or connection.buffer .. data
      return true
    elseif why ~= EAGAIN then
      return nil
    end
    if deadline then
      local left = deadline - cqueues.monotime()
      if left <= 0 then return false end
      cqueues.poll(sock, left)
    else
      cqueues.poll(sock)
    end
  end
end

--- Writes all of it.
--- @return boolean|nil done nil when the other side is gone
function M.write(connection, data)
  local sock, from, size = connection.sock, 1, #data
  while from <= size do
    local count, why = sock:send(data, from, size, "bn")
    if count and count > 0 then from = from + count end
    if from <= size then
      if why and why ~= EAGAIN then return nil end
      if why or not count or count == 0 then cqueues.poll(sock) end
    end
  end
  return true
end

--- Waits until the other side closes; what it sends meanwhile is thrown away.
function M.wait_for_close(connection, timeout)
  repeat
    connection.buffer = ""
    local more = fill(connection, timeout)
  until not more
end

local function unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end
M.unescape = unescape

function M.escape(text)
  return (text:gsub("[^%w._~-]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- @param text string|nil the part of a target after "?"
--- @return table<string, string> query
function M.query(text)
  local query = {}
  for pair in (text or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    query[unescape(name)] = unescape(value)
  end
  return query
end

--- Header lines as a table with lower-case names; repeated ones are joined with a comma.
function M.headers(text)
  local headers = {}
  for name, value in text:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return headers
end

--- Reads a head: the first line and the headers.
--- @param timeout number|nil seconds for each wait
--- @return string|nil first_line, table|nil headers, string|nil why nil, nil, nil at a clean end
function M.read_head(connection, timeout)
  while true do
    local from, to = connection.buffer:find("\r\n\r\n", 1, true)
    if from then
      local head = connection.buffer:sub(1, from + 1)
      connection.buffer = connection.buffer:sub(to + 1)
      local first, rest = head:match("^\r?\n?([^\r\n]*)\r\n(.*)$")
      return first, M.headers(rest)
    end
    if #connection.buffer > HEAD_LIMIT then return nil, nil, "head too long" end
    if not fill(connection, timeout) then
      return nil, nil, connection.buffer ~= "" and "cut in the head" or nil
    end
  end
end

local function take(connection, count, sink)
  while count > 0 do
    if connection.buffer == "" and not fill(connection) then return nil end
    local piece = connection.buffer
    if #piece > count then
      piece = piece:sub(1, count)
      connection.buffer = connection.buffer:sub(count + 1)
    else
      connection.buffer = ""
    end
    count = count - #piece
    sink(piece)
  end
  return true
end

local function take_line(connection)
  while true do
    local line, rest = connection.buffer:match("^([^\n]*)\n(.*)$")
    if line then
      connection.buffer = rest
      return (line:gsub("\r$", ""))
    end
    if not fill(connection) then return nil end
  end
end

--- Reads a body piece by piece.
--- @param headers table
--- @param sink fun(piece: string)
--- @return boolean|nil whole nil when it was cut
function M.read_body(connection, headers, sink)
  if (headers["transfer-encoding"] or ""):lower():find("chunked", 1, true) then
    while true do
      local line = take_line(connection)
      local size = line and tonumber(line:match("^%x+") or "", 16)
      if not size then return nil end
      if size == 0 then
        repeat line = take_line(connection) until not line or line == ""
        return line and true or nil
      end
      if not take(connection, size, sink) or not take_line(connection) then return nil end
    end
  end
  return take(connection, tonumber(headers["content-length"]) or 0, sink)
end

--- The head of a request with a JSON body.
function M.head_of_request(method, target, host, body, more)
  return ("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: veo-simulator\r\nContent-Type: application/json\r\n"
    .. "Content-Length: %d\r\n%s\r\n"):format(method, target, host, #body, more or "")
end

--- Reads a reply's body to its end, also one that only a close ends.
function M.read_body_text(connection, headers)
  local pieces = {}
  local function sink(piece) pieces[#pieces + 1] = piece end
  if headers["content-length"] or headers["transfer-encoding"] then
    if not M.read_body(connection, headers, sink) then return nil end
  else
    repeat
      sink(connection.buffer)
      connection.buffer = ""
    until not fill(connection)
  end
  return table.concat(pieces)
end

--- The head of a reply.
--- @param status integer
--- @param headers string[][] pairs of name and value, in order
function M.head(status, headers)
  local lines = { "HTTP/1.1 " .. status .. " " .. (reasons[status] or "Status") }
  for i = 1, #headers do
    lines[i + 1] = headers[i][1] .. ": " .. headers[i][2]
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

--- An HTTP-date, `seconds` from now.
function M.date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + math.floor(seconds or 0))
end

return M
