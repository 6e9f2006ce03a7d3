-- saving.lua URL PREFIX COUNT: so many result files at once, each a job of its own; prints the seconds that each took.
local veo = require "veo"
local url, prefix, count = arg[1], arg[2], tonumber(arg[3])

local client = veo.new { base_url = "http://127.0.0.1:1", api_key = "bench-key", max_downloads = count }
local function save(i)
  local begun = veo.now()
  assert(client:download(("%s?%d"):format(url, i), prefix .. i, { overwrite = true }))
  print(veo.now() - begun)
end
local jobs = {}
for i = 1, count do
  jobs[i] = client:spawn(save, i)
end
client:run()
for _, job in ipairs(jobs) do
  assert(job:status() == "done")
end
client:close()
