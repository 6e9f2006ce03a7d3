-- One extension: ordered, waited for, saved. Started again after a crash it goes on where it was, and pays nothing.
-- The ledger needs LuaDBI (Debian: lua-dbi-sqlite3); `veo.new()` works without one, and then remembers nothing.
--
--   KIE_API_KEY=… lua5.4 examples/1_one.lua TASK_ID boat.mp4

local veo = require "veo"
local client = veo.new { ledger = "renders.db" }
local file = assert(client:extend_and_save({ taskId = arg[1], prompt = "The boat turns" }, arg[2]))
print(file.path, file.bytes)
