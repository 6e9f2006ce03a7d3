-- lua-http: lua_http.lua URL COUNT: status calls one after the other over one HTTP/2 connection, decoded with lua-cjson.
local cqueues = require "cqueues"
local http_client = require "http.client"
local http_headers = require "http.headers"
local cjson = require "cjson"
local url, count = arg[1], tonumber(arg[2])
local host, port, prefix = url:match("^https://([^:]+):(%d+)(.*)$")

local function call(connection, i)
  local headers = http_headers.new()
  headers:append(":method", "GET")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":scheme", "https")
  headers:append(":path", ("%s/api/v1/veo/record-info?taskId=bench%08d"):format(prefix, i))
  headers:append("authorization", "Bearer bench-key")
  headers:append("accept", "application/json")
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(headers, true))
  assert(assert(stream:get_headers()):get(":status") == "200")
  assert(cjson.decode(assert(stream:get_body_as_string())).data.successFlag == 1)
end

local loop = cqueues.new()
loop:wrap(function()
  local connection = assert(http_client.connect { host = host, port = tonumber(port), tls = true, version = 2 })
  for i = 1, count do
    call(connection, i)
  end
  connection:close()
end)
assert(loop:loop())
