-- lua-http: lua_http.lua URL COUNT IN_FLIGHT: status calls over IN_FLIGHT kept connections, decoded with lua-cjson.
local cqueues = require "cqueues"
local http_client = require "http.client"
local http_headers = require "http.headers"
local cjson = require "cjson"
local url, count, in_flight = arg[1], tonumber(arg[2]), tonumber(arg[3])
local host, port = url:match("^http://([^:]+):(%d+)$")

local next_id = 0
local function call(connection)
  local headers = http_headers.new()
  headers:append(":method", "GET")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", ("/api/v1/veo/record-info?taskId=bench%08d"):format(next_id))
  headers:append("authorization", "Bearer bench-key")
  headers:append("accept", "application/json")
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(headers, true))
  assert(assert(stream:get_headers()):get(":status") == "200")
  assert(cjson.decode(assert(stream:get_body_as_string())).data.successFlag == 1)
end

local function worker()
  local connection = assert(http_client.connect { host = host, port = tonumber(port), tls = false })
  while next_id < count do
    next_id = next_id + 1
    call(connection)
  end
  connection:close()
end

local loop = cqueues.new()
for _ = 1, in_flight do
  loop:wrap(worker)
end
assert(loop:loop())
