-- A chain of three: each prompt extends the video that the one before it made, and the whole is saved.
--
--   KIE_API_KEY=… lua5.4 examples/3_chain.lua TASK_ID long.mp4

local veo = require "veo"
local client = veo.new { ledger = "renders.db" }
local prompts = { "The boat turns", "It enters the harbour", "Night falls" }
local result = assert(client:chain { taskId = arg[1], prompts = prompts, path = arg[2] })
print(result.path, #result.hops .. " hops")
