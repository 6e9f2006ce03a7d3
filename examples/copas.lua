-- Inside Copas: the work is a job for each video, and one Copas thread steps them all. Copas waits with select, which
-- takes whatever has `getfd`, so that thread can wait for the client's one descriptor. Where there is none (macOS, BSD) it
-- sleeps for as long as the client says.
--
--   KIE_API_KEY=… lua5.1 examples/copas.lua out.mp4 TASK_ID       saves out-1.mp4, out-2.mp4
--   VEO_SIMULATE=1 lua5.1 examples/copas.lua out.mp4              the same against the simulator on loopback
--
-- Debian: lua-copas lua-socket (for Lua 5.1, 5.2 and LuaJIT). Copas wakes only one of several threads that wait for the
-- same descriptor; therefore jobs, and no `pause` with plain calls.

local copas = require "copas"
local veo = require "veo"

local path, task_id = arg[1] or "out.mp4", arg[2]
local prompts = { "The boat turns towards the harbour", "The sun goes down" }

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 } -- a render of five minutes takes three seconds
  task_id = task_id or simulator.source
end
if not task_id then error("usage: copas.lua OUT.mp4 TASK_ID", 0) end

local client = veo.new(options)
local jobs = {}
for i, prompt in ipairs(prompts) do
  local params = { taskId = task_id, prompt = prompt, model = "fast" }
  local target = path:gsub("%.mp4$", "") .. "-" .. i .. ".mp4"
  jobs[i] = client:spawn(client.extend_and_save, client, params, target, { overwrite = true })
end

-- To Copas a socket whose first read would block and whose second one succeeds.
local blocked = false
local descriptor = {
  getfd = function() return client.loop:pollfd() end,
  dirty = function() return false end,
  settimeout = function() return 1 end,
  receive = function()
    blocked = not blocked
    if blocked then return nil, "timeout", "" end
    return ""
  end,
  close = function() end, -- Copas closes what its thread waited for
}

local open = true
copas.addthread(function()
  while client:step(0) > 0 do
    if client.loop:pollfd() then copas.receive(descriptor) else copas.sleep(client.loop:timeout() or 0.1) end
  end
  open = false
end)

-- Copas' loop, with what else the host does between its turns.
local turns = 0
while open do
  copas.step(0.1)
  turns = turns + 1
end

for _, job in ipairs(jobs) do
  local file = assert(job:result())
  print(("saved:   %s, %d bytes"):format(file.path, file.bytes))
end
print("turns:   " .. turns)

client:close()
if simulator then simulator:stop() end
