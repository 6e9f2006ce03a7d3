-- One process of the crash loop: does its work from the top, as a cron job would, and is killed somewhere on the way.
--
--   worker.lua MODE ID SETTINGS.lua     prints its process id first, then one line for every result
local mode, id, file = arg[1], arg[2], arg[3]
local settings = dofile(file)

io.stdout:setvbuf "no"
local stat = io.open("/proc/self/stat")
print(stat:read("*l"):match("^(%d+)"))
stat:close()

if settings.other_host then
  -- As if on a machine of its own: nobody can see whether this process lives, so only its lease speaks.
  require("veo.ledger.process").name = function(nonce) return "host-" .. id .. "/1:1:1:" .. nonce end
  require("veo.ledger.process").dead = function() return false end
end

local veo = require "veo"
local client = veo.new {
  base_url = settings.url, api_key = settings.api_key, ledger = settings.ledger, lease = settings.lease,
  rate = { count = 100000, polls = false }, retry = { base = 0.01 }, webhook_key = false,
  wait = { first = 0.05, interval = 0.05, growth = 1, max_interval = 0.05, timeout = 60 },
}

local callback = tonumber(id) and tonumber(id) % 2 == 0 and settings.callback or nil
local function shot(n)
  return { taskId = settings.source, prompt = ("%s-%s-%d"):format(mode, id, n), callBackUrl = callback }
end
local function key(n) return ("%s-%s-%d"):format(mode, id, n) end
local function tell(value, err)
  if value then print "good" else print("bad", err.code, tostring(err)) end
end

local function ordered(n)
  local task, err = client:extend(shot(n), { key = key(n) })
  if not task then return nil, err end
  return task:wait()
end

local work = {}

function work.submit()
  for n = 1, settings.orders do tell(client:extend(shot(n), { key = key(n) })) end
end

-- Ten at a time are ready together, and share their commits.
function work.together()
  for from = 1, settings.orders, 10 do
    for n = from, from + 9 do client:spawn(function() tell(client:extend(shot(n), { key = key(n) })) end) end
    client:run()
  end
end

function work.wait()
  for n = 1, 3 do client:spawn(function() tell(ordered(n)) end) end
  client:run()
end

function work.save()
  for n = 1, 3 do
    client:spawn(function()
      local path = settings.folder .. "/" .. key(n) .. ".mp4"
      local status, err = ordered(n)
      if not status then return tell(nil, err) end
      local found = client:tasks { key = key(n) }
      if found and found[1] and found[1].state == "saved" then return tell(true) end
      local saved
      saved, err = client:download(status, path)
      tell(saved, err)
    end)
  end
  client:run()
end

function work.chain()
  tell(client:chain { taskId = settings.source, prompts = { key(1), key(2), key(3) }, callBackUrl = callback,
    path = settings.folder .. "/" .. mode .. "-" .. id .. ".mp4" })
end

local function log(line)
  local out = io.open(settings.folder .. "/results", "a")
  out:write(line, "\n")
  out:close()
end

function work.resume()
  repeat
    local summary, err = client:resume {
      path = settings.folder .. "/resumed-{key}.mp4",
      on_result = function(_, task, why)
        if settings.fleet then
          log(("%s %s %s %.3f"):format(task.taskId, id, why and why.code or "saved", require("veo.core").now()))
        end
      end,
    }
    tell(summary, err)
    if settings.fleet then client:sleep(0.5) end
  until not settings.fleet or io.open(settings.folder .. "/stop")
end

work[mode]()
client:close()
print "end"
