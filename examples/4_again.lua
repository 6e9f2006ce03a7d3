-- After a crash of any script that uses the ledger: every task that it ordered is waited for and saved under the name
-- that the script gave, and nothing is paid twice. An order whose answer was lost is listed: only a person can find out
-- what became of it.
--
--   KIE_API_KEY=… lua5.4 examples/4_again.lua

local veo = require "veo"
local client = veo.new { ledger = "renders.db" }
local summary = assert(client:resume { path = function(task) return task.path or task.taskId .. ".mp4" end })
print(summary.saved .. " saved, " .. summary.failed .. " failed, " .. summary.open .. " still open")
for _, order in ipairs(summary.uncertain) do print("uncertain: " .. order.ref, order.params.prompt) end
