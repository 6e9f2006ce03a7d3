--- The control path, /TOKEN/_simulator/…, on a port of its own: not counted; what the `sim` object of a spec talks to.
local callbacks = require "veo.simulator.callbacks"
local json = require "veo.simulator.json"
local script = require "veo.simulator.script"

local M = {}

local function list(text) return text == "{}" and "[]" or text end

local actions = {
  about = function(world) return world.about end,
  requests = function(world, input) return world.journal:find(input) end,
  counts = function(world) return world.journal.counts end,
  charges = function(world) return world.tasks.charges end,
  credits = function(world, input)
    if input.set then world.tasks.credits = input.set end
    return { credits = world.tasks.credits }
  end,
  tasks = function(world)
    local found = {}
    for i, task in ipairs(world.tasks.list) do found[i] = world.tasks:describe(task) end
    return found
  end,
  violations = function(world) return world.journal.violations end,
  callbacks = function(world) return world.callbacks end,
  uploads = function(world)
    local found = {}
    for i, file in ipairs(world.uploads) do
      found[i] = { fileName = file.name, uploadPath = file.path, size = file.size, sha256 = file.sha256, url = file.url,
        source = file.source }
    end
    return found
  end,
  call_back = function(world, input)
    local task = world.tasks.by_id[input.taskId or ""]
    if not task then return nil, "no such task: " .. tostring(input.taskId) end
    local rule, why = script.rule(input.effect or {})
    if not rule then return nil, why end
    world.loop:wrap(function() callbacks.send(world, task, input.url or task.callback or "", rule.effect) end)
    return {}
  end,
  reset = function(world)
    world:reset()
    return {}
  end,
  script = function(world, input)
    local done, why = world:set_script(input)
    return done and {} or nil, why
  end,
  add = function(world, input)
    return world.tasks:describe(world.tasks:preset_like(input))
  end,
}

local lists = { requests = true, charges = true, tasks = true, violations = true, callbacks = true, uploads = true }

--- Answers a control request: POST /TOKEN/_simulator/<action> with a JSON body, or GET without one.
function M.answer(world, request)
  local home = "/" .. world.token .. "/_simulator/"
  if request.path:sub(1, #home) ~= home then return { status = 404, body = "" } end
  local name = request.path:sub(#home + 1)
  local action = actions[name]
  local answer, why
  if action then
    local input = request.body and request.body ~= "" and json.decode(request.body) or {}
    answer, why = action(world, input)
  else
    why = "no such action: " .. name
  end
  local text = answer and json.encode(answer) or json.encode { error = why or "failed" }
  return {
    status = answer and 200 or 400, content_type = "application/json", body = lists[name] and list(text) or text,
  }
end

return M
