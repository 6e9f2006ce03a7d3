--- Listeners on loopback and the life of a connection.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local http = require "veo.simulator.http"
local faults = require "veo.simulator.faults"

local M = {}

local BODY_LIMIT = 8 * 1024 * 1024
local connections = 0

--- Reads one request.
--- @return table|nil request, string|nil why
local function read_request(connection, context)
  local first, headers, why = http.read_head(connection)
  if not first then return nil, why end
  local method, target, version = first:match("^(%u+) (%S+) HTTP/(1%.[01])$")
  if not method then return nil, "not a request line" end
  local path, query = target:match("^([^?]*)%??(.*)$")
  local request = {
    method = method, target = target, path = path, query = http.query(query), headers = headers,
    connection = connection.number, listener = context.name, time = cqueues.monotime(),
  }
  local wish = (headers.connection or ""):lower()
  request.keep = version == "1.1" and not wish:find("close", 1, true) or wish:find("keep%-alive") ~= nil
  request.nth_on_connection = connection.requests + 1
  connection.requests = request.nth_on_connection
  return request
end

local function read_body(connection, request, context)
  local headers = request.headers
  if not headers["content-length"] and not headers["transfer-encoding"] then return true end
  if (headers.expect or ""):lower() == "100-continue" then
    if not http.write(connection, "HTTP/1.1 100 Continue\r\n\r\n") then return nil end
  end
  local sink, finish = context.body_sink(request)
  if not sink then
    local pieces, size = {}, 0
    sink = function(piece)
      size = size + #piece
      if size <= BODY_LIMIT then pieces[#pieces + 1] = piece end
    end
    finish = function() request.body, request.body_bytes = table.concat(pieces), size end
  end
  local whole = http.read_body(connection, headers, sink)
  finish()
  return whole
end

local function serve(sock, context)
  if context.tls then
    sock:onerror(function(_, _, why) return why end)
    if not sock:starttls(context.tls, 30) then
      sock:close()
      return
    end
  end
  local connection = http.connection(sock)
  connections = connections + 1
  connection.number, connection.requests = connections, 0
  local keep
  repeat
    local request, why = read_request(connection, context)
    keep = false
    if request then
      if read_body(connection, request, context) then
        local response, effect = context.answer(request)
        keep = faults.send(connection, response, effect, request)
      else
        context.cut(request)
      end
    elseif why == "not a request line" or why == "head too long" then
      http.write(connection, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    end
  until not keep
  sock:close()
end

--- Listens on a loopback port.
--- @param loop any cqueues controller
--- @param context table name, port, tls (context or nil), answer(request), cut(request), body_sink(request)
--- @return integer|nil port, string|nil why
function M.listen(loop, context)
  local listener, why = socket.listen { host = "127.0.0.1", port = context.port or 0, nodelay = true, reuseaddr = true }
  if not listener then return nil, why end
  listener:onerror(function(_, _, number) return number end)
  local ready
  ready, why = listener:listen()
  if not ready then return nil, why end
  local _, _, port = listener:localname()
  loop:wrap(function()
    while true do
      local sock, failure = listener:accept()
      if sock then
        loop:wrap(serve, sock, context)
      elseif failure then
        cqueues.sleep(0.01)  -- out of descriptors: the ones in use must end first
      end
    end
  end)
  return port
end

return M
