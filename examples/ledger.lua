-- Orders shots that are paid once, however often this runs, and picks up what a crash left: examples/4_again.lua with
-- keys, a budget, and a crash to look at. Orders and resume are two steps here, because a crash comes between them; a
-- script that does one after the other has extend_and_save.
--
--   KIE_API_KEY=… lua5.4 examples/ledger.lua renders.db TASK_ID      the ledger is made when it is not there
--   VEO_SIMULATE=1 lua5.4 examples/ledger.lua                        the same against the simulator, with a crash
--
-- Needs LuaDBI with SQLite (Debian: lua-dbi-sqlite3).

local veo = require "veo"

local ledger, task_id = arg[1] or os.tmpname(), arg[2]
local options = { ledger = ledger, max_credits = { day = 500 } }

local simulator
local simulated = os.getenv "VEO_SIMULATE"
if simulated then
  if simulated:find("^http") then
    options.base_url, options.api_key = simulated, arg[3] -- the child below
  else
    simulator = veo.simulator.start { speed = 200 }
    options.base_url, options.api_key = simulator.url, simulator.api_key
    task_id = simulator.source
  end
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
end
if not task_id then error("usage: ledger.lua RENDERS.db TASK_ID", 0) end

local client = veo.new(options)

local function order()
  for n, prompt in ipairs { "The boat turns", "The harbour at night", "Gulls over the mast" } do
    -- The key names the order: the same one again finds the task that is there, and costs nothing.
    local task, err = client:extend({ taskId = task_id, prompt = prompt }, { key = "boat-" .. n })
    if task then
      print(("ordered:  boat/%d is task %s%s"):format(n, task.taskId, task.joined and " (as before)" or ""))
    else
      print(("ordered:  boat/%d: %s"):format(n, err:explain()))
    end
  end
end

if simulated and not simulator then
  order()
  io.stdout:flush()
  os.execute "kill -9 $PPID" -- a crash: nothing is closed, nothing is said
elseif simulator then
  print("a first process orders and is killed")
  os.execute(("VEO_SIMULATE='%s' %s %s %s %s %s"):format(simulator.url, arg[-1], arg[0], ledger, task_id,
    simulator.api_key))
  print("a second one begins")
end

order()
local summary = assert(client:resume {
  path = "{key}.mp4",
  on_result = function(_, task, err, file)
    print(("resumed:  %s, %s"):format(task.key or task.taskId, file and "saved as " .. file.path or tostring(err)))
  end,
})
print(("saved %d, failed %d, still open %d"):format(summary.saved, summary.failed, summary.open))
for _, task in ipairs(summary.uncertain) do
  -- Never sent again by itself: somebody has to say what became of it.
  print(("uncertain: %s %q; look at the service's list, then client:settle(%q, taskId or \"lost\")"):format(
    task.key or "", task.params.prompt, task.ref))
end

client:close()
if simulator then
  local _, charges = simulator:charges()
  print(("charged:  %d times for 3 orders"):format(#charges))
  simulator:stop()
end
