--- What each kind of step does. A step that does not find what it needs does nothing.
local cjson = require "cjson"

local checks = require "spec.model.checks"
local hands = require "spec.model.hands"
local helper = require "spec.support.helper"
local orders_of = require "spec.model.orders"
local filenames = require "veo.util.filename"

local begin, call, failed, finish = hands.begin, hands.call, hands.failed, hands.finish
local need, open = hands.need, hands.open
local made, name_of, prompt_of = orders_of.made, orders_of.name_of, orders_of.prompt_of
local saved, submit = orders_of.saved, orders_of.submit
local KEYS = orders_of.KEYS

local function nothing() end

local steps = {}

function steps.order(self, step)
  need(self, step.who)
  local rules = {}
  local order, given = made(self, step, rules)
  given.call = "extend"
  submit(self, step, given, { order }, rules, nothing)
end

function steps.all(self, step)
  need(self, step.who)
  local rules, orders, given = {}, {}, {}
  for i, one in ipairs(step.orders) do orders[i], given[i] = made(self, one, rules) end
  submit(self, step, { call = "all", orders = given, cancel = step.cancel }, orders, rules, nothing)
end

local function path_of(self, step, name)
  return (step.relative and "" or self.world.room .. "/") .. "files/" .. name
end

function steps.save(self, step)
  need(self, step.who)
  local rules = {}
  local order, given = made(self, step, rules)
  given.call = "save"
  given.path = path_of(self, step, (name_of(step.intent):gsub(" ", "-")) .. ".mp4")
  submit(self, step, given, { order }, rules, function(answer)
    if answer.ok then saved(self, step.who, answer.value.taskId, answer.value.path) end
  end)
end

function steps.resume(self, step)
  need(self, step.who)
  local path = path_of(self, step, step.named and "{key}.mp4" or "{taskId}.mp4")
  begin(self, step.who, { call = "resume", kill = step.kill, options = { path = path, limit = step.limit } }, nil,
    function(answer)
      self.now = checks.look(self)
      for _, file in ipairs(answer.ok and answer.value.files or {}) do saved(self, step.who, file.taskId, file.path) end
    end)
  return not step.background and finish(self, step.who)
end

function steps.chain(self, step)
  need(self, step.who)
  local rules, prompts = {}, {}
  for hop = 1, 2 do
    prompts[hop] = prompt_of(self, ("chain %d%s hop %d v%d"):format(step.chain, step.keyed and "k" or "", hop,
      hop == 2 and step.last or 1))
  end
  orders_of.add_rules(rules, prompts[step.hop], step.effects)
  local name = ("%s/files/chain-%d%s-%d"):format(self.world.room, step.chain, step.keyed and "k" or "", step.last)
  submit(self, step, { call = "chain", params = { taskId = self.world.sim.source, prompts = prompts,
    key = step.keyed and "chain" .. step.chain or nil, path = name .. ".mp4", repeat_failed = step.repeat_failed,
    save_hops = step.hops and name .. "-hop{hop}.mp4" or nil } }, {}, rules, function(answer)
      if answer.ok then saved(self, step.who, answer.value.taskId, answer.value.path) end
    end)
end

local function nth(list, n) return list[(n - 1) % math.max(#list, 1) + 1] end

-- The charge of an order without an answer: what a person finds in the service's own list.
function steps.charge_of(self, row)
  local known = {}
  for _, other in ipairs(self.now.rows) do
    if other.task_id and other.state ~= "uncertain" then known[other.task_id] = true end
  end
  for _, charge in ipairs(self.now.charges) do
    if charge.prompt == row.prompt and charge.source == row.source and not known[charge.taskId] then return charge end
  end
end

local words = {}

function words.own(self, row)
  local charge = steps.charge_of(self, row)
  return charge and charge.taskId
end
function words.lost() return "lost" end
function words.saved() return "saved" end
function words.source(_, row) return row.source end
function words.other(self, row)
  for _, charge in ipairs(self.now.charges) do
    if charge.prompt ~= row.prompt then return charge.taskId end
  end
end
function words.foreign(self)
  self.stale = true
  return self.world.sim:add({ taskId = self.tag .. "-foreign-" .. #self.now.rows, prompt = "not ours" }).taskId
end

function steps.settle(self, step)
  need(self, step.who)
  self.now = checks.look(self)
  local rows = {}
  for _, row in ipairs(self.now.rows) do
    if row.state == "uncertain" or row.state == "intent" or step.word == "saved" then rows[#rows + 1] = row end
  end
  local row = nth(rows, step.nth)
  local word = row and words[step.word](self, row)
  if not word then return end
  -- A person who says "lost" frees the order, and answers for what that costs.
  if word == "lost" then
    self.allowed[row.group] = math.max(self.allowed[row.group] or 1, self.now.paid[row.group] or 0) + 1
  end
  local answer = call(self, step.who, { call = "settle", ref = row.ref, word = word })
  if word == "saved" and answer.ok then self.said[row.ref] = true end
  if word == "lost" and answer.ok then
    self.forgiven = self.forgiven + 1
    self.now = checks.look(self)
    self.allowed[row.group] = math.max(self.allowed[row.group], (self.now.paid[row.group] or 0) + 1)
  end
end

function steps.callback(self, step)
  need(self, step.who)
  self.now = checks.look(self)
  local called = {}
  for _, charge in ipairs(self.now.charges) do if charge.callBackUrl then called[#called + 1] = charge end end
  local charge = nth(called, step.nth)
  if not charge then return end
  -- A foreign one: the target of this order, and a task of another one.
  local other = step.foreign and nth(self.now.charges, step.nth + 1)
  local taskId = other and other.taskId or charge.taskId
  local answer = call(self, step.who, { call = "callback", target = charge.callBackUrl:match("^%w+://[^/]+(.*)$"),
    body = cjson.encode { code = 200, msg = "ok", data = { taskId = taskId } } })
  if not answer.ok or taskId ~= charge.taskId then return end
  for _, row in ipairs(self.world:rows()) do if row.task_id == taskId then return end end
  failed("the genuine callback of task %s left no trace", taskId)
end

function steps.jump(self, step)
  need(self, step.who)
  self.workers[step.who].shift = (self.workers[step.who].shift or 0) + step.seconds
  self.jumped = true
  self.day_passed = self.day_passed or math.abs(self.workers[step.who].shift) >= 20 * 3600
  call(self, step.who, { call = "jump", shift = self.workers[step.who].shift })
end

function steps.kill(self, step)
  local worker = self.workers[step.who]
  if not worker then return end
  self.world:kill(worker.process)
  self.workers[step.who], self.dead[worker.owner], self.stale = nil, true, true
end

function steps.close(self, step)
  need(self, step.who)
  call(self, step.who, { call = "close" })
  open(self, step.who)
end

function steps.await(self, step) finish(self, step.who) end

function steps.tasks(self, step)
  need(self, step.who)
  call(self, step.who, { call = "tasks" })
end

function steps.prune(self, step)
  need(self, step.who)
  call(self, step.who, { call = "prune", before = os.time() + 1 })
end

-- What the dead hold runs out, as it does with time.
function steps.lapse(self)
  self.stale = true
  for owner in pairs(self.dead) do
    self.world:execute("UPDATE veo_tasks SET lease = 0, boot_lease = 0 WHERE owner = ? AND lease > 0", owner)
    self.world:execute("UPDATE veo_workers SET lease = 0, boot_lease = 0 WHERE owner = ?", owner)
  end
end

-- Somebody else's file stands where a task's may be wanted.
function steps.plant(self, step)
  local path = filenames.fill(self.world.room .. "/files/{key}.mp4", { key = KEYS[step.key], created = 0 })
  if helper.read(path) then return end
  local bytes = "somebody else's " .. step.key
  helper.write(path, bytes)
  self.kept[path] = bytes
end

-- The owner of a saved file moves it away, or edits it.
function steps.move(self, step)
  local list = {}
  for _, row in ipairs(self.world:rows()) do
    local path = row.state == "saved" and row.path
    if path and path:sub(1, 1) == "/" and not self.kept[path] then list[#list + 1] = path end
  end
  local path = nth(list, step.nth)
  if not path or not helper.read(path) then return end
  self.touched[path] = true
  if not step.edit then return os.remove(path) end
  local bytes = helper.read(path) .. "edited"
  helper.write(path, bytes)
  self.kept[path] = bytes
end

return steps
