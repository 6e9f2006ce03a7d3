-- Twenty extensions of one video at once, each with a seed of its own. One that fails does not stop the others.
--
--   KIE_API_KEY=… lua5.4 examples/2_twenty.lua TASK_ID

local veo = require "veo"
local client = veo.new { ledger = "renders.db" }
local seeds = {}
for n = 1, 20 do seeds[n] = 10000 + n end
local files, problems = client:map(seeds, function(seed)
  return client:extend_and_save({ taskId = arg[1], prompt = "The boat turns", seeds = seed }, seed .. ".mp4")
end)
for n, seed in ipairs(seeds) do print(seed, files[n] and files[n].path or problems[n]) end
