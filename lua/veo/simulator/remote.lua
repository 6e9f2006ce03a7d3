--- A tiny blocking HTTP client for the control path.
-- On cqueues: its sockets block in plain code and cooperate inside a cqueues loop. LuaSocket is not used because
-- loading it makes the whole process ignore SIGPIPE, which would hide a fault of the client under test.
local json = require "veo.simulator.json"

local M = {}

--- Posts JSON, reads JSON. A new connection for each call: the simulator may have been restarted.
--- @param base string http://127.0.0.1:PORT
--- @param path string
--- @param input table|nil
--- @return table|nil answer, string|nil why
function M.post(base, path, input)
  local socket = require "cqueues.socket"
  local http = require "veo.simulator.http"
  local host, port = base:match("^http://([^:/]+):(%d+)$")
  if not host then return nil, "not a control URL: " .. tostring(base) end
  local sock = socket.connect { host = host, port = tonumber(port), nodelay = true }
  local connection = http.connection(sock)
  if not sock:connect(10) then
    sock:close()
    return nil, "nothing listens on " .. base
  end
  local body = json.encode(input or {})
  local headers, text
  if http.write(connection, http.head_of_request("POST", path, host .. ":" .. port, body) .. body) then
    local _
    _, headers = http.read_head(connection)
    text = headers and http.read_body_text(connection, headers)
  end
  sock:close()
  local answer = text and json.decode(text)
  if type(answer) ~= "table" then return nil, "no answer from " .. base end
  if answer.error then return nil, answer.error end
  return answer
end

return M
