--- A tiny blocking HTTP client for the control path.
-- On cqueues: its sockets block in plain code and cooperate inside a cqueues loop. LuaSocket is not used because
-- loading it makes the whole process ignore SIGPIPE, which would hide a fault of the client under test.
local json = require "veo.simulator.json"

local M = {}

-- Seconds for an answer, which may hold twenty thousand requests.
local PATIENCE = 120
local BOUNDS = { head = 65536, headers = 100, chunks = 0 }

--- Posts JSON, reads JSON. A new connection for each call: the simulator may have been restarted.
--- @param base string http://127.0.0.1:PORT/TOKEN
--- @param path string
--- @param input table|nil
--- @return table|nil answer, string|nil why
function M.post(base, path, input)
  local socket = require "cqueues.socket"
  local http, http1 = require "veo.simulator.http", require "veo.util.http1"
  local host, port, token = base:match("^http://([^:/]+):(%d+)(/%x+)$")
  if not host then return nil, "not a control URL: " .. tostring(base) end
  local sock = socket.connect { host = host, port = tonumber(port), nodelay = true }
  local connection = http1.connection(sock, BOUNDS)
  if not sock:connect(10) then
    sock:close()
    return nil, "nothing listens on " .. base
  end
  local body = json.encode(input or {})
  local pieces, whole = {}, nil
  connection:within(PATIENCE)
  if connection:write(http.head_of_request("POST", token .. path, host .. ":" .. port, body) .. body) then
    local first, headers = connection:head()
    whole = first and connection:body(headers, math.huge, function(piece) pieces[#pieces + 1] = piece end)
  end
  sock:close()
  local answer = whole and json.decode(table.concat(pieces))
  if type(answer) ~= "table" then return nil, "no answer from " .. base end
  if answer.error then return nil, answer.error end
  return answer
end

return M
