--- Plays a history: carries its steps out one after another and checks after each. Returns the first problem.
local checks = require "spec.model.checks"
local hands = require "spec.model.hands"
local steps = require "spec.model.steps"

local M = {}

-- A person and a fresh process see to everything that is left.
local function drain(self)
  for _, who in ipairs { "a", "b", "c" } do
    if self.workers[who] then
      hands.finish(self, who)
      if self.history.seed % 2 == 0 then
        steps.kill(self, { who = who })
      elseif self.workers[who] then
        hands.call(self, who, { call = "close" })
      end
    end
  end
  steps.lapse(self)
  hands.need(self, "z")
  hands.call(self, "z", { call = "tasks" })
  self.now = checks.look(self)
  for _, row in ipairs(self.now.rows) do
    local charge = row.state == "uncertain" and steps.charge_of(self, row)
    if charge then
      local order = { call = "settle", ref = row.ref, word = charge.taskId }
      local answer = hands.call(self, "z", order)
      -- By a clock that has jumped the task may seem older than its order: a person knows better.
      order.force = true
      if not answer.ok and self.jumped then answer = hands.call(self, "z", order) end
      if not answer.ok then hands.failed("an order cannot be settled with its own task: %s", answer.err.message) end
      self.now = checks.look(self)
    end
  end
  -- Whoever settled can also resume; mostly it is another one who does.
  if self.history.seed % 4 > 0 then hands.open(self, "z") end
  for _ = 1, 2 do
    local answer = steps.resume(self, { who = "z" })
    if not answer.ok then hands.failed("the last resume fails: %s", answer.err.message) end
    local summary = answer.value
    if summary.open + summary.busy + summary.lost == 0 then break end
  end
end

local function check(self, last)
  self.now = checks.look(self)
  checks.all(self, self.now, hands.failed)
  if last then checks.last(self, self.now, hands.failed) end
end

local function run(self)
  for i, step in ipairs(self.history.steps) do
    self.at = i
    steps[step.kind](self, step)
    check(self)
  end
  self.at = "the end"
  drain(self)
  check(self, true)
end

---@param world table
---@param history table
---@return string|nil problem
function M.play(world, history)
  world:fresh()
  local self = { world = world, history = history, workers = {}, dead = {}, allowed = {}, touched = {},
    said = {}, held = {}, acted = {}, ordered = {}, kept = {}, forgiven = 0, opened = 0, tag = "h" .. world.count }
  self.now = { charges = {}, rows = {}, paid = {}, tasks = {} }
  self.stale = true
  local ok, why = xpcall(function() run(self) end, function(err)
    return type(err) == "table" and err or { problem = "the model itself: " .. debug.traceback(tostring(err)) }
  end)
  for _, worker in pairs(self.workers) do
    local process = worker.process
    if process.busy then world:kill(process) elseif not process.dead then world:give_back(process) end
  end
  if ok then return nil end
  return ("step %s: %s"):format(tostring(self.at), why.problem)
end

return M
