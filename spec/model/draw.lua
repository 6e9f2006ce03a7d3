--- Draws a history: a list of steps, plain data, each of which can be carried out whatever became of the others (what it
--- needs and does not find makes it nothing). So that a history can be shortened by leaving steps out.
local random = require "spec.model.random"

local M = {}

-- What the server does to an order, one effect an attempt; a lost one is charged or not.
local LOST = {
  { close = "unanswered", charge = true }, { close = "unanswered", charge = false }, { garbage = true },
  { cut = 20 }, { http = 502 }, { http = 500, charge = true }, { code = 500, charge = true },
  { code = 500, charge = false }, { code = 408, charge = true }, { form = "html", charge = true },
  { task_id_form = "absent" }, { task_id_form = "bare" }, { task_id_form = "record" },
}
local REFUSED = { { code = 402 }, { code = 400 }, { code = 401 }, { code = 422 }, { code = 429 }, { code = 455 } }
local FINE = { {}, {}, {}, { delay = 0.03 }, { fail = 2 }, { task_id_form = "snake" } }

local function effects(r)
  return r:weighted {
    { 9, function() return { r:pick(FINE) } end }, { 6, function() return { r:pick(LOST) } end },
    { 2, function() return { r:pick(REFUSED) } end }, { 2, function() return { r:pick(LOST), r:pick(REFUSED) } end },
    { 1, function() return { r:pick(LOST), r:pick(LOST) } end },
    { 1, function() return { r:pick(REFUSED), r:pick(LOST) } end },
  }()
end

local function kill(r, commits, seconds)
  if not r:chance(0.22) then return nil end
  if r:chance(0.5) then return { commit = r:upto(commits), side = r:pick { "before", "after" } } end
  return { after = math.floor(r:draw() * seconds * 10000) / 10000 + 0.0001 }
end

local function who(r) return r:weighted { { 4, "a" }, { 4, "b" }, { 2, "c" } } end

local function intent(r)
  if r:chance(0.65) then return { key = r:upto(4), body = r:chance(0.85) and 1 or 2 } end
  return { plain = r:upto(3) }
end

local function order(r)
  local what = intent(r)
  return { intent = what, effects = effects(r), ambiguous = r:chance(0.3) or nil,
    on_duplicate = what.plain and r:weighted { { 6, nil }, { 2, "join" }, { 1, "allow" } } or nil }
end

local steps = {}

function steps.order(r)
  local step = order(r)
  step.who, step.kill, step.background = who(r), kill(r, 3, 0.02), r:chance(0.25) or nil
  -- Long enough for others to come to a wrong opinion of it.
  if step.background and r:chance(0.6) then step.effects = { { delay = 0.15 } } end
  return step
end

-- Orders that are ready together; one of them may be cancelled a few steps later.
function steps.all(r)
  local step = { who = who(r), orders = {}, kill = kill(r, 5, 0.03) }
  for i = 1, 1 + r:upto(5) do step.orders[i] = order(r) end
  if r:chance(0.3) then
    step.cancel = { nth = r:upto(#step.orders), steps = r:upto(5), ms = r:pick { 0, 0, 1, 5 } }
  end
  return step
end

function steps.save(r)
  local step = order(r)
  step.who, step.kill, step.relative = who(r), kill(r, 6, 0.05), r:chance(0.2) or nil
  return step
end

function steps.resume(r)
  return { who = who(r), kill = kill(r, 5, 0.04), background = r:chance(0.2) or nil, relative = r:chance(0.2) or nil,
    limit = r:chance(0.2) and 1 or nil, named = r:chance(0.7) }
end

function steps.chain(r)
  local last = r:chance(0.3) and 2 or 1
  return { who = who(r), chain = r:upto(2), effects = effects(r), hop = r:upto(2), last = last, kill = kill(r, 9, 0.08),
    keyed = r:chance(0.5), repeat_failed = r:chance(0.3) or nil, hops = r:chance(0.3) or nil }
end

function steps.settle(r)
  return { who = who(r), nth = r:upto(8), word = r:weighted { { 4, "own" }, { 3, "lost" }, { 2, "source" },
    { 3, "other" }, { 2, "foreign" }, { 1, "saved" } } }
end

function steps.callback(r)
  return { who = who(r), nth = r:upto(8), foreign = r:chance(0.35) or nil }
end

function steps.jump(r)
  return { who = who(r), seconds = r:pick { -7200, -600, 600, 600, 4000, 7200, 7200, 2 * 86400 } }
end

function steps.kill(r) return { who = who(r) } end
function steps.close(r) return { who = who(r) } end
function steps.await(r) return { who = who(r) } end
function steps.lapse() return {} end
function steps.tasks(r) return { who = who(r) } end
function steps.plant(r) return { key = r:upto(4) } end
function steps.move(r) return { nth = r:upto(5), edit = r:chance(0.5) or nil } end
function steps.prune(r) return { who = who(r) } end

local WEIGHTS = { { 30, "order" }, { 9, "all" }, { 9, "save" }, { 13, "resume" }, { 6, "chain" }, { 9, "settle" },
  { 7, "callback" }, { 5, "jump" }, { 5, "kill" }, { 3, "close" }, { 3, "await" }, { 4, "lapse" }, { 3, "tasks" },
  { 2, "plant" }, { 2, "move" }, { 2, "prune" } }

---@param seed integer
---@param length integer
---@return { seed: integer, budget: table|nil, rate: table|nil, steps: table[] }
function M.history(seed, length)
  local r = random.new(seed)
  local history = { seed = seed, steps = {} }
  if r:chance(0.3) then history.budget = { day = 60 * (1 + r:upto(5)), client = 60 * (1 + r:upto(4)) } end
  if r:chance(0.08) then history.rate = { count = 2, window = 0.3 } end
  for i = 1, length do
    local kind = r:weighted(WEIGHTS)
    local step = steps[kind](r)
    step.kind = kind
    history.steps[i] = step
  end
  return history
end

return M
