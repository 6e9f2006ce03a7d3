--- The tasks of the simulated service: how they come to be, live over time, end, and what they cost.
local cqueues = require "cqueues"
local script = require "veo.simulator.script"

local M = {}
M.__index = M

--- Prices in credits: one source, 2026-09-24. They are data that ages; a generation has no published price there,
-- the simulator takes the same as for an extension.
M.prices = { fast = 60, lite = 30, quality = 250, ["1080p"] = 5, ["4k"] = 120 }

--- @param options table the simulator's options
function M.new(options)
  local self = setmetatable({ options = options }, M)
  self:reset()
  return self
end

--- Back to the start: only the preset source exists, the balance is full, nothing was charged.
function M:reset()
  self.list, self.by_id = {}, {}
  self.charges = {}
  self.credits = self.options.credits
  self.random = self.options.seed or (os.time() % 100000 * 1000 + math.floor(cqueues.monotime() * 1000) % 1000)
  self.count = 0
  self:preset(self.options.source)
end

-- A generator of our own (Lehmer, exact in doubles): the same numbers under every Lua for one seed.
function M:draw()
  self.random = (self.random * 48271 + 11) % 2147483647
  return self.random / 2147483647
end

local function hex(self, digits)
  local text = {}
  for i = 1, digits do text[i] = ("%x"):format(math.floor(self:draw() * 16)) end
  return table.concat(text)
end

--- A signature for a link.
function M:token() return hex(self, 12) end

--- A finished clip of 8 s that can be extended.
function M:preset(id)
  return self:add { id = id, kind = "generate", hop = 0, render = 0, visible = 0, seeds = 48213,
    prompt = "a boat on a lake" }
end

--- Adds a task that a spec wants to exist: finished, unless it names render.
function M:preset_like(given)
  local task = { id = given.taskId, kind = given.kind or "extend", hop = given.hop or 1, source = given.source,
    render = given.render or 0, visible = given.visible or 0, prompt = given.prompt or "the boat turns",
    seeds = given.seeds, model = given.model, callback = given.callBackUrl, fail = given.fail,
    error_code = given.error_code, error_message = given.error_message }
  return self:add(task)
end

--- Adds a task.
--- @param task table id (made when absent), kind, hop, source, prompt, seeds, model, params; in seconds of the
--- service's time render, visible; fail, error_code, error_message
function M:add(task)
  local options, now = self.options, cqueues.monotime()
  self.count = self.count + 1
  if not task.id then
    task.id = options.deterministic and ("veo_%s_task_%06d"):format(task.kind, self.count) or hex(self, 32)
  end
  local spread = options.render_spread
  local render = task.render or options.render * (1 - spread + 2 * spread * self:draw())
  task.token = self:token()
  task.seeds = task.seeds or 10000 + math.floor(self:draw() * 90000)
  task.created, task.created_at = now, os.time() * 1000
  task.done = now + render / options.speed
  task.done_at = task.created_at + math.floor(render / options.speed * 1000)
  task.visible_from = now + (task.visible or options.visible) / options.speed
  task.rules, task.link_life = task.rules or {}, options.link_life
  self.list[#self.list + 1] = task
  self.by_id[task.id] = task
  return task
end

--- The task with this id. An id that holds directives ("sim.flag-2") names a finished extension.
function M:get(id)
  local task = self.by_id[id]
  if not task and script.from_task_id(id) then
    task = self:add { id = id, kind = "extend", hop = 1, source = self.options.source, render = 0, visible = 0,
      prompt = "the boat turns", seeds = 48213 }
  end
  return task
end

--- generating, succeeded or failed, now.
function M:state(task, effect)
  if effect and effect.state then return effect.state end
  if cqueues.monotime() < task.done then return "generating" end
  return task.fail and "failed" or "succeeded"
end

function M:is_visible(task)
  return cqueues.monotime() >= task.visible_from
end

--- Takes credits for a task.
--- @return boolean paid false when the balance is too low; nothing changed then
function M:charge(price)
  if price > self.credits then return false end
  self.credits = self.credits - price
  return true
end

--- Notes what was taken: the truth that specs compare with.
function M:record_charge(task, price, operation, request)
  task.consumed = (task.consumed or 0) + price
  self.charges[#self.charges + 1] = {
    taskId = task.id, credits = price, operation = operation, model = task.model, source = task.source,
    prompt = task.prompt, callBackUrl = task.callback, request = request.number, time = request.time,
    user_agent = request.headers["user-agent"],
  }
end

--- What the control path tells about a task.
function M:describe(task)
  return {
    taskId = task.id, kind = task.kind, state = self:state(task), hop = task.hop, source = task.source,
    prompt = task.prompt, seeds = task.seeds, model = task.model, watermark = task.watermark,
    callBackUrl = task.callback, visible = self:is_visible(task), upgraded = task.upgraded or false,
    fail = task.fail, seconds_left = math.max(0, task.done - cqueues.monotime()),
  }
end

return M
