-- status.lua HOW URL COUNT: so many status calls on one connection, through `core` (veo.core alone) or `veo` (the client).
local how, url, count = arg[1], arg[2], tonumber(arg[3])
local options = { base_url = url, api_key = "bench-key" }
local client = how == "core" and require("veo.core").new(options) or require("veo").new(options)

for i = 1, count do
  local reply = assert(client:status(("bench%08d"):format(i)))
  assert(how == "core" and reply.code == 200 or reply.done)
end
client:close()
