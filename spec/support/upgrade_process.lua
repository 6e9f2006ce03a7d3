--- A process of its own that orders one upgrade and prints its task, or the code of its error.
---   lua spec/support/upgrade_process.lua URL KEY LEDGER API OPERATION SOURCE

local veo = require "veo"

local url, key, place, api, operation, source = (table.unpack or unpack)(arg, 1, 6) -- luacheck: ignore
local client = veo.new { base_url = url, api_key = key, ledger = place, api = api, timeout = 60,
  rate = { count = 10000, window = 0.1, polls = 1000 }, upgrade = { interval = 0.02 },
  wait = { first = 0.01, interval = 0.02, max_interval = 0.05, timeout = 60 } }
local task, err = client:task(source):upgrade(operation == "get_4k" and "4k" or "1080p")
print(task and task.taskId or err.code)
client:close()
