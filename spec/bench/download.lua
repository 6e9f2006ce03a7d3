-- download.lua URL FILE: one result file, as `client:download` saves it.
local veo = require "veo"
local client = veo.new { base_url = "http://127.0.0.1:1", api_key = "bench-key" }
assert(client:download(arg[1], arg[2], { overwrite = true }))
client:close()
