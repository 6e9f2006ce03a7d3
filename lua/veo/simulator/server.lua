--- Listeners on loopback and the life of a connection.
local cqueues = require "cqueues"
local faults = require "veo.simulator.faults"
local http = require "veo.simulator.http"
local http1 = require "veo.util.http1"
local listener = require "veo.util.listener"

local M = {}

-- Bytes of a body: one that is kept, and a file that is uploaded.
local BODY_LIMIT, FILE_LIMIT = 8 * 1024 * 1024, 8 * 1024 * 1024 * 1024
-- A request has 30 s, and one more for each 64 KiB.
local PATIENCE = 30
local BOUNDS = { head = 64 * 1024, headers = 200, chunks = 20000, rate = 65536 }
local CONNECTIONS = 4096

local connections = 0

local function refuse(connection, code)
  connection:write(http.head(code, { { "Content-Length", "0" }, { "Connection", "close" } }))
end

--- Reads one request, without its body.
--- @return table|nil request, integer|nil code
local function read_request(connection, context)
  connection:within(nil) -- as long as it likes before the first byte
  if not connection:has_more() and not connection:fill() then return nil end
  connection:within(PATIENCE)
  local first, headers = connection:head()
  if not first then return nil, headers end
  local request = http1.request_line(first)
  if not request then return nil, 400 end
  local query = request.target:match("^[^?]*%??(.*)$")
  request.query, request.headers, request.connection = http.query(query), headers, connection.number
  request.listener, request.time = context.name, cqueues.monotime()
  local wish = (headers.connection or ""):lower()
  request.keep = request.minor == "1" and not wish:find("close", 1, true) or wish:find("keep%-alive") ~= nil
  connection.requests = connection.requests + 1
  request.nth_on_connection = connection.requests
  return request
end

--- @return boolean|nil whole, integer|nil code
local function read_body(connection, request, context)
  local headers = request.headers
  if not headers["content-length"] and not headers["transfer-encoding"] then return true end
  if (headers.expect or ""):lower() == "100-continue" then
    if not connection:write("HTTP/1.1 100 Continue\r\n\r\n") then return nil end
  end
  local sink, finish = context.body_sink(request)
  local limit = sink and FILE_LIMIT or BODY_LIMIT
  if not sink then
    local pieces, size = {}, 0
    sink = function(piece) size, pieces[#pieces + 1] = size + #piece, piece end
    finish = function() request.body, request.body_bytes = table.concat(pieces), size end
  end
  local whole, code = connection:body(headers, limit, sink)
  finish()
  return whole, code
end

-- Answers one request; whether the connection can carry another.
local function answer(connection, context, guests)
  local request, code = read_request(connection, context)
  local whole
  if request then whole, code = read_body(connection, request, context) end
  guests:has_spoken(connection.sock)
  if whole then
    local response, effect = context.answer(request)
    return faults.send(connection, response, effect, request)
  end
  if request then context.cut(request) end
  if code then refuse(connection, code) end
  return false
end

local function serve(sock, context, guests)
  if context.tls then
    sock:onerror(function(_, _, why) return why end)
    if not sock:starttls(context.tls, PATIENCE) then return end
  end
  local connection = http1.connection(sock, BOUNDS)
  connections = connections + 1
  connection.number, connection.requests = connections, 0
  while answer(connection, context, guests) do
    guests:is_silent(sock)
    if connection:has_more() then cqueues.sleep(0) end -- the others have their turn between two that came at once
  end
end

--- Listens on a loopback port.
--- @param loop any cqueues controller
--- @param context table name, port, tls (context or nil), answer(request), cut(request), body_sink(request)
--- @return integer|nil port, string|nil why
function M.listen(loop, context)
  local guests, why = listener.new("127.0.0.1", context.port or 0, CONNECTIONS)
  if not guests then return nil, why end
  loop:wrap(function() guests:run(loop, function(sock) serve(sock, context, guests) end) end)
  return guests.port
end

return M
