-- A host that is a sandbox: drops what it is told to before or after it loads lua-veo, makes one call, looks whether the
-- client works behind it, and says in one line what came of it. Arguments: when (before, loaded, made), what is dropped (with commas; "all" for everything), the
-- call, the simulator's address, key and source task, a folder to write in, the folder to be in.
local when, what, call, url, upload, key, source, folder, home = (table.unpack or unpack)(arg) -- luacheck: ignore

-- This host keeps for itself what it takes from the others.
local G, write, exit, chdir = _G, io.write, os.exit, home ~= "" and require("lfs").chdir
local error, getmetatable, pairs, pcall, select = error, getmetatable, pairs, pcall, select
local tostring, type = tostring, type
local format, gmatch, gsub, match = string.format, string.gmatch, string.gsub, string.match
local collectgarbage = collectgarbage

local LIBRARIES = { "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8", "bit32", "bit" }

local function drop(name)
  if name == "string metatable" then
    getmetatable("").__index = nil
  elseif name == "all" then
    for _, library in pairs(LIBRARIES) do
      local functions = G[library] or {}
      -- A require that is left to others would not find its own tables.
      for field in pairs(library == "package" and {} or functions) do functions[field] = nil end
    end
    getmetatable("").__index = nil
    for global in pairs(G) do G[global] = nil end
  else
    local library, field = match(name, "^(%w+)%.(%w+)$")
    if not library then G[name] = nil elseif G[library] then G[library][field] = nil end
  end
end

local function drop_all()
  for name in gmatch(what, "[^,]+") do drop(name) end
  if chdir then chdir(home) end
end

local function main_job(client)
  local log
  local task, err = client:extend { taskId = source, prompt = "the boat turns" }
  if not task then return nil, err end
  local status
  status, err = client:wait(task, { on_progress = function(seen) log = seen end })
  if not status then return nil, err end
  if not log then error "no progress was told" end
  return client:download(status, folder .. "/video.mp4")
end

local CALLS = {
  main = main_job,
  job = function(client)
    return client:spawn(main_job, client):wait()
  end,
  ledger = function(client) return main_job(client) end,
  to_function = function(client)
    local bytes = 0
    local file, err = client:download(client:status(source), function(chunk) bytes = bytes + #chunk end)
    return file and bytes == file.bytes or nil, err
  end,
  download = function(client) return client:download(client:status(source), folder .. "/video.mp4") end,
  chain = function(client)
    return client:chain { taskId = source, prompts = { "turns" }, path = folder .. "/chain.mp4" }
  end,
  hops = function(client)
    return client:chain { taskId = source, prompts = { "turns", "sails" }, save_hops = folder .. "/{day}-{hop}.mp4" }
  end,
  upload = function(client) return client:upload(folder .. "/picture.png") end,
  callback = function(client)
    local body = '{"code":200,"data":{"taskId":"%s"}}'
    local _, err = client:callback({}, format(body, source))
    if err.code ~= "unverified" then return nil, err end
    local task = client:extend { taskId = source, prompt = "x" }
    return client:callback({}, format(body, task.taskId))
  end,
  signed = function(client)
    local headers = { ["x-webhook-timestamp"] = "1790000000", ["x-webhook-signature"] = "x" }
    return client:callback(headers, '{"code":200,"data":{"taskId":"' .. source .. '"}}')
  end,
  invalid = function(client) return client:extend { taskid = source, prompt = "x" } end,
  misuse = function(client)
    local ok, problem = pcall(client.wait, client, source, { intervall = 3 })
    return not ok and match(problem, "did you mean interval") and true or nil, problem
  end,
  failing = function(client)
    local job = client:spawn(function() error("a mistake") end)
    local _, err = job:wait()
    return match(err.traceback, "a mistake") and { path = gsub(err.traceback, "\n.*", "") .. match(err.traceback,
      "no traceback.*") } or nil, err
  end,
}

local function options(log)
  return { base_url = url, upload_url = upload, api_key = key, timeout = 60, log = log,
    webhook_key = call == "signed" and "k", ledger = call == "ledger" and folder .. "/ledger.db" or nil,
    wait = { first = 0.01, interval = 0.02, max_interval = 0.05, timeout = 60 }, retry = { base = 0.01, max = 0.03 } }
end

local function say(word, ...)
  write(word, "\t", gsub(tostring((...)), "\n", " "), "\t", tostring((select(2, ...))), "\n")
  exit(0)
end

local timed = true
local function told(event) timed = timed and type(event.time) == "number" end

if when == "before" then drop_all() end
local veo = G.require "veo"
if when == "preloaded" then
  veo.preload()
  drop_all()
elseif when == "loaded" then
  drop_all()
end
local made, client = pcall(veo.new, options(told))
if not made then say("raised", client) end
if when == "made" then drop_all() end
if collectgarbage then collectgarbage() end
local result, err = CALLS[call](client)
local works, problem = client:status(source)
if not works then say("broken", problem) end
if result then say("done", type(result) == "table" and result.path or result, timed and "timed" or "untimed") end
say(err.code, err.message, err.charged)
