--- An order of a history: as a worker is given it, what it may cost, and whether what is said of that is true.
local socket = require "socket"

local checks = require "spec.model.checks"
local hands = require "spec.model.hands"
local helper = require "spec.support.helper"

local M = {}

local failed = hands.failed
local ATTEMPTS = hands.ATTEMPTS

-- Keys that made one file name once, in three scripts.
local KEYS = { "\209\129\209\134\208\181\208\189\208\176", "\208\188\209\131\208\183\208\181\208\185",
  "shot/1", "shot_1" }
M.KEYS = KEYS

function M.prompt_of(self, name) return ("%s %s end"):format(self.tag, name) end

function M.name_of(intent)
  return intent.key and ("key %d body %d"):format(intent.key, intent.body) or ("plain %d"):format(intent.plain)
end

---What the server is to do to the orders of a prompt, one effect each.
function M.add_rules(rules, prompt, effects)
  for _, effect in ipairs(effects) do
    local rule = { on = "extend", match = prompt, times = 1 }
    for field, value in pairs(effect) do rule[field] = value end
    if next(effect) then rules[#rules + 1] = rule end
  end
end

-- The orders of a step as the worker is given them, with the rules that the server is to follow.
function M.made(self, step, rules)
  local intent, name = step.intent, M.name_of(step.intent)
  local prompt = M.prompt_of(self, name)
  M.add_rules(rules, prompt, step.effects)
  local group = checks.group(self, prompt)
  return { group = group, prompt = prompt, ambiguous = step.ambiguous, allow = step.on_duplicate == "allow" },
    { params = { taskId = self.world.sim.source, prompt = prompt,
        callBackUrl = (intent.key or intent.plain) % 2 == 1 and "http://127.0.0.1:1/hook?a=b" or nil },
      options = { key = intent.key and KEYS[intent.key], on_duplicate = step.on_duplicate,
        retry = step.ambiguous and { ambiguous = true } or nil } }
end

local function running(self, group)
  local count = 0
  for _, worker in pairs(self.workers) do
    for _, order in ipairs(worker.call and worker.call.orders or {}) do
      if order.group == group then count = count + 1 end
    end
  end
  return count
end

-- How often the group may have been paid, from here on.
local function expect(self, orders)
  local now = self.now
  for _, order in ipairs(orders) do
    local group, paid = order.group, now.paid[order.group] or 0
    local allowed = math.max(self.allowed[group] or 1, 1)
    if order.ambiguous and paid < allowed then allowed = math.max(allowed, paid + ATTEMPTS) end
    if order.allow then allowed = math.max(allowed, paid) + (order.ambiguous and ATTEMPTS or 1) end
    self.allowed[group] = allowed
    order.before = 0
    for _, charge in ipairs(now.charges) do
      if charge.prompt == order.prompt and charge.user_agent == order.by then order.before = order.before + 1 end
    end
  end
end

-- An error that says "nothing was charged" is held against the server's list.
local function believe(self, order, answer)
  if not answer or answer.ok or not answer.err or answer.err.charged ~= "no" then return end
  local after = 0
  for _, charge in ipairs(self.now.charges) do
    if charge.prompt == order.prompt and charge.user_agent == order.by then after = after + 1 end
  end
  if after > order.before then
    failed("an error says that nothing was charged, and it was: %s: %s", order.prompt, answer.err.message)
  end
end

-- Whether an order of the group stands in the ledger, so that another one would be the same again.
local function is_held(self, group)
  for _, row in ipairs(self.now.rows) do
    if row.group == group and row.state ~= "refused" and row.state ~= "lost" then return true end
  end
  return false
end

-- Nothing of the group is under way any more: what was paid is what may have been paid.
local function freeze(self, orders)
  for _, order in ipairs(orders) do
    local paid = self.now.paid[order.group] or 0
    if paid > 0 and running(self, order.group) == 0 and is_held(self, order.group) then
      self.allowed[order.group] = math.min(self.allowed[order.group], math.max(paid, 1))
    end
  end
end

-- What the server is told to do to an order, it does to the same one that another process has under way.
local function disturb(self, orders)
  for _, worker in pairs(self.workers) do
    local call = worker.call
    for _, one in ipairs(orders) do
      if call and call.quiet and call.orders[1].prompt == one.prompt then call.quiet = false end
    end
  end
end

-- Sends a step's orders, and holds what is said of them against what was charged.
function M.submit(self, step, order, orders, rules, each)
  local worker = self.workers[step.who]
  for _, one in ipairs(orders) do one.by = worker.name end
  disturb(self, orders)
  if rules[1] or self.scripted then self.world.sim:script(rules) end
  self.scripted = rules[1] ~= nil
  self.now = checks.look(self)
  expect(self, orders)
  order.kill = step.kill
  local begun = hands.begin(self, step.who, order, orders, function(answer)
    self.now = checks.look(self)
    each(answer)
    -- Two of one order in one call share their charges, so neither can be told what it cost alone.
    local times = {}
    for _, one in ipairs(orders) do times[one.prompt] = (times[one.prompt] or 0) + 1 end
    for i, one in ipairs(orders) do
      local said = #orders == 1 and answer or answer.value and answer.value[i]
      if times[one.prompt] == 1 then believe(self, one, said) end
    end
    freeze(self, orders)
  end)
  for _, row in ipairs(self.now.rows) do begun.rows[row.ref] = true end
  begun.quiet = #orders == 1 and not step.kill and #step.effects == 1
    and (step.effects[1].delay or not next(step.effects[1]))
  if not step.background then return hands.finish(self, step.who) end
  if not step.kill then socket.sleep(0.01) end
end

-- What a call says that it saved.
function M.saved(self, who, taskId, path)
  if not path then return end
  if path:sub(1, 1) ~= "/" then path = ("%s/%s/%s"):format(self.world.room, who, path) end
  if not self.touched[path] and helper.read(path) ~= checks.bytes_of(self.now, taskId) then
    failed("given as the file of task %s: %s", taskId, path)
  end
end

return M
