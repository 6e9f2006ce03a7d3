-- luasocket: luasocket.lua URL COUNT: status calls with socket.http, which opens a connection for each; lua-cjson decodes.
local http = require "socket.http"
local ltn12 = require "ltn12"
local cjson = require "cjson"
local url, count = arg[1], tonumber(arg[2])

for i = 1, count do
  local parts = {}
  local _, code = http.request {
    url = ("%s/api/v1/veo/record-info?taskId=bench%08d"):format(url, i),
    headers = { Authorization = "Bearer bench-key", Accept = "application/json" },
    sink = ltn12.sink.table(parts),
  }
  assert(code == 200)
  assert(cjson.decode(table.concat(parts)).data.successFlag == 1)
end
