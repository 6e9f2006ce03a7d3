-- A process that downloads into a folder, one link after the other, and says what came of each: its file or its error,
-- then how many warnings the log got, and the last one.
--
--   saver.lua CA FOLDER LINK…
local veo = require "veo"

local links = { (table.unpack or unpack)(arg, 3) } -- luacheck: ignore
local warnings, last = 0, "none"
local client = veo.new { api_key = "spec", base_url = "http://127.0.0.1:9", ca_file = arg[1] ~= "" and arg[1] or nil,
  retry = { base = 0.01, max = 0.02 }, log = function(event)
    if event.event == "warning" then warnings, last = warnings + 1, event.message end
  end }
for i, link in ipairs(links) do
  local target = link:find("^function:") and function() end or arg[2] .. "/" .. i .. ".mp4"
  local file, err = client:download(link:gsub("^function:", ""), target)
  print(file and "saved " .. file.bytes or ("%s %s %s"):format(err.code, tostring(err.attempts), err.message))
end
print(warnings, last)
client:close()
