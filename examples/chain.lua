-- examples/3_chain.lua with progress: extends a video three times, each time what the last one made, and saves the whole.
-- Run again after a crash it goes on at the first hop that is not finished, and pays for none twice.
--
--   KIE_API_KEY=… lua5.4 examples/chain.lua long.mp4 TASK_ID "the boat turns" "it enters the harbour" …
--   VEO_SIMULATE=1 lua5.4 examples/chain.lua long.mp4
--
-- Needs LuaDBI with SQLite for its ledger (Debian: lua-dbi-sqlite3).

local veo = require "veo"

local path, task_id = arg[1] or "long.mp4", arg[2]
local prompts = {}
for i = 3, #arg do prompts[#prompts + 1] = arg[i] end
if #prompts == 0 then prompts = { "The boat turns", "It enters the harbour", "Night falls" } end

local options, simulator = { ledger = path .. ".db" }, nil
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 200 }
  options.base_url, options.api_key = simulator.url, simulator.api_key
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
  task_id = task_id or simulator.source
end
if not task_id then error("usage: chain.lua OUT.mp4 TASK_ID [PROMPT …]", 0) end

local client = veo.new(options)
local result, err = client:chain {
  taskId = task_id, prompts = prompts, path = path, model = "fast",
  on_progress = function(info)
    print(("%3.0f %%   hop %d of %d: %s"):format(info.fraction * 100, info.hop, info.hops, info.state))
  end,
}
if result then
  print(("saved:   %s, %d hops, the last one is task %s"):format(result.path, #result.hops, result.taskId))
else
  print(err:explain())
  if err.path then print("saved:   what is finished, as " .. err.path) end
end

client:close()
if simulator then simulator:stop() end
os.exit(result and 0 or 1)
