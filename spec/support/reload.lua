-- A host that loads lua-veo again while a client of the first one lives, and runs a whole job of both at once. Says in
-- lines what came of it. Arguments: the folder of the second core ("": the first again), whether the first loads all its
-- rooms before, the simulator's address, key and source task, a folder to write in.
local newer, preload, url, key, source, folder = (table.unpack or unpack)(arg) -- luacheck: ignore

local function options()
  return { base_url = url, api_key = key, timeout = 60,
    wait = { first = 0.01, interval = 0.02, max_interval = 0.05, timeout = 60 } }
end

local function job(client, name)
  return client:spawn(function()
    local task = assert(client:extend { taskId = source, prompt = "the boat turns for the " .. name })
    return assert(client:download(assert(client:wait(task)), folder .. "/" .. name .. ".mp4"))
  end)
end

local old = require "veo"
local old_core = require "veo.core"
if preload == "preload" then old.preload() end
local first = old.new(options())

for name in pairs(package.loaded) do
  if name == "veo" or name:find("^veo%.") then package.loaded[name] = nil end
end
if newer ~= "" then package.cpath = newer .. "/?.so;" .. package.cpath end
local new = require "veo"
local core = require "veo.core"
local second = new.new(options())
print("versions", old._VERSION, new._VERSION, old ~= new)

local one, other = job(first, "old"), job(second, "new")
local deadline = core.now() + 60
while (one:status() == "pending" or other:status() == "pending") and core.now() < deadline do
  first:step(5)
  second:step(5)
end
print("jobs", one:status(), other:status())
print("shown", tostring(first), tostring(second))

local function refusal(fn, ...)
  local ok, message = pcall(fn, ...)
  return ok and "taken" or message
end
print("client", refusal(second.status, first, source))
local bare = { base_url = url, api_key = key }
print("core", refusal(core.new(bare).status, old_core.new(bare), source))
local sink = old_core.sink(folder .. "/x.part")
print("sink", refusal(core.sink(folder .. "/y.part").size, sink))
local _, err = first:chain { taskId = source, prompts = { "turns" } }
print("chain", err and err.code or "done", err and err.message or "")
first:close()
second:close()
