-- Goes on from what nginx spooled: asks for each task's status, saves what has succeeded, removes the spooled file last.
--
--   KIE_API_KEY=… KIE_WEBHOOK_KEY=… lua5.4 examples/nginx/collect.lua /srv/veo/spool /srv/veo/videos     run it by cron
--
-- Debian: lua-filesystem lua-cjson lua-luaossl.

local cjson = require "cjson.safe"
local lfs = require "lfs"
local veo = require "veo"

local spool, videos = arg[1], arg[2]
if not videos then error("usage: collect.lua SPOOL VIDEOS", 0) end

local client = veo.new()

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return cjson.decode(text)
end

local function collect(path)
  local callback = assert(read(path), path .. " is not what nginx writes")
  -- nginx checked the signature when it came; it may be hours old by now.
  local status, event = client:callback(callback.headers, callback.body,
    { target = callback.target, now = callback.received })
  if not status then return print("later:  " .. path .. ": " .. tostring(event)) end
  if status.state == "succeeded" then
    local name = videos .. "/" .. status.taskId:gsub("[^%w_-]", "_") .. ".mp4"
    local file, err = client:download(status, name)
    if not file and err.code ~= "exists" then return print("later:  " .. name .. ": " .. err:explain()) end
    print("saved:  " .. name)
  elseif status.state == "failed" then
    print("failed: " .. status.taskId .. ": " .. tostring(status.errorMessage))
  end
  os.remove(path)
end

for name in lfs.dir(spool) do
  if name:find "^%d+%-.*%.json$" then client:spawn(collect, spool .. "/" .. name) end
end
assert(client:run())
client:close()
