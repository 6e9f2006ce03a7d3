--- What must hold after every step, whatever happened: the simulator's list of charges is the truth, and the ledger, the
--- files and what the calls said are held against it.
local cjson = require "cjson"

local helper = require "spec.support.helper"
local media = require "veo.simulator.media"

local M = {}

local KNOWN = { accepted = true, done = true, saved = true, failed = true }
local WITHOUT_ANSWER = { uncertain = true, intent = true, lost = true }

---The order that a prompt of this history belongs to: one key is one order, whatever its body; a hop has a source too.
---@return string|nil
function M.group(self, prompt, source)
  local name = type(prompt) == "string" and prompt:match("^" .. self.tag .. " (.*) end$")
  if not name then return nil end
  return name:match("^key %d+") or name:find("^chain") and name .. " of " .. tostring(source) or name
end

---What the server and the ledger say now; asked again only when something may have happened since.
function M.look(self)
  local world = self.world
  for _, worker in pairs(self.workers) do self.stale = self.stale or worker.call ~= nil end
  if not self.stale then return self.now end
  self.stale = false
  local _, list = world.sim:charges()
  local now = { charges = {}, tasks = {}, rows = world:rows(), paid = {} }
  for _, task in ipairs(world.sim:tasks()) do now.tasks[task.taskId] = task end
  for _, charge in ipairs(list) do
    charge.group = M.group(self, charge.prompt, charge.source)
    if charge.group then
      now.charges[#now.charges + 1] = charge
      -- A failed task may be ordered again; under a key it may not.
      local counts = charge.group:find("^key") or now.tasks[charge.taskId].state ~= "failed"
      now.paid[charge.group] = (now.paid[charge.group] or 0) + (counts and 1 or 0)
    end
  end
  for _, row in ipairs(now.rows) do
    -- One that was pruned does not say any more what was ordered, nor does one that a callback puts beside it.
    local ok, body = pcall(cjson.decode, row.body)
    local task = now.tasks[row.task_id or ""] or {}
    local order = ok and type(body) == "table" and body.prompt and body or self.ordered[row.ref]
      or { prompt = task.prompt or "pruned", taskId = task.source or "nothing" }
    self.ordered[row.ref] = order
    row.prompt, row.source = order.prompt, order.taskId
    row.group = M.group(self, row.prompt, row.source)
  end
  return now
end

---The bytes that a task's file must have.
function M.bytes_of(now, taskId)
  local task = now.tasks[taskId]
  return task and media.clip(media.clip_of_hop(task.hop)) .. media.mark(taskId)
end

-- Every charge is known by its task, or there is an order without an answer that it may be of. A row that was settled as
-- lost is such a one: a person said so, and was wrong.
local function all_known(now, problem)
  local known, open = {}, {}
  for _, row in ipairs(now.rows) do
    if row.task_id and row.state ~= "refused" then known[row.task_id] = true end
  end
  local taken = {}
  for _, charge in ipairs(now.charges) do taken[charge.taskId] = true end
  for _, row in ipairs(now.rows) do
    if WITHOUT_ANSWER[row.state] and not (row.task_id and taken[row.task_id]) then
      local name = row.prompt .. row.source
      open[name] = (open[name] or 0) + 1
    end
  end
  for _, charge in ipairs(now.charges) do
    if not known[charge.taskId] then
      local name = charge.prompt .. charge.source
      open[name] = (open[name] or 0) - 1
      if open[name] < 0 then problem("charged and unknown: %s, task %s", charge.prompt, charge.taskId) end
    end
  end
end

-- A row's task is the one that was ordered by it, and no other row's.
local function own_tasks(now, problem)
  local seen = {}
  for _, row in ipairs(now.rows) do
    if row.task_id and KNOWN[row.state] then
      local task = now.tasks[row.task_id]
      if seen[row.task_id] then problem("two rows have the task %s", row.task_id) end
      seen[row.task_id] = true
      if not task or task.prompt ~= row.prompt or task.source ~= row.source then
        problem("the order %q has the task of %q", row.prompt, task and task.prompt or "nobody")
      end
    end
  end
end

local function paid_once(self, now, problem)
  for group, paid in pairs(now.paid) do
    local allowed = self.allowed[group] or 1
    if self.day_passed and group:find("^plain") then allowed = paid end
    if paid > allowed then problem("paid %d times instead of %d: %s", paid, allowed, group) end
  end
end

local function files(self, now, problem)
  for _, row in ipairs(now.rows) do
    -- What a person called saved may be anywhere.
    local path = row.state == "saved" and not self.said[row.ref] and row.path
    if path and not self.touched[path] then
      if path:sub(1, 1) ~= "/" then
        problem("saved under a relative name: %s", path)
      elseif helper.read(path) ~= M.bytes_of(now, row.task_id) then
        problem("not the file of task %s (%s): %s", row.task_id, row.prompt, path)
      end
    end
  end
  for path, bytes in pairs(self.kept) do
    if helper.read(path) ~= bytes then problem("somebody else's file was overwritten: %s", path) end
  end
end

local function budgets(self, now, problem)
  local budget = self.history.budget
  if not budget then return end
  local spent, reserved, by_client = 0, {}, {}
  for _, charge in ipairs(now.charges) do
    spent = spent + charge.credits
    by_client[charge.user_agent] = (by_client[charge.user_agent] or 0) + charge.credits
  end
  for _, row in ipairs(now.rows) do
    if row.state ~= "refused" and row.state ~= "lost" then
      reserved[row.day] = (reserved[row.day] or 0) + (row.price or 0)
    end
  end
  -- What was wrongly called lost is spent beside the budget.
  local limit = budget.day + self.forgiven * 60
  for day, credits in pairs(reserved) do
    if credits > limit then problem("over budget: %d credits reserved of a day's %d", credits, limit) end
    -- A clock that jumped may be in another day; so may this one be, about midnight.
    if next(reserved, next(reserved)) == nil and spent > limit then
      problem("over budget: %d credits spent of a day's %d (%d)", spent, limit, day)
    end
  end
  for client, credits in pairs(by_client) do
    if credits > budget.client then
      problem("over a client's budget: %s spent %d of %d", client, credits, budget.client)
    end
  end
end

-- An order that a living process has under way, and that only takes its time, is not called dead.
local function living(self, now, problem)
  for _, worker in pairs(self.workers) do
    local call = worker.call
    if call and call.quiet and not self.world:ready(worker.process) then
      for _, row in ipairs(now.rows) do
        if row.client == worker.owner and row.group == call.orders[1].group and not call.rows[row.ref]
          and (row.state == "uncertain" or row.state == "refused") then
          problem("the order of a living process is %s: %s", row.state, row.prompt)
        end
      end
    end
  end
end

-- A task that a living process holds, and that process did nothing meanwhile, is not taken over by another one.
local function kept(self, now, problem)
  local idle = {}
  for _, worker in pairs(self.workers) do
    if worker.owner and not self.acted[worker.owner] then idle[worker.owner] = true end
  end
  for _, row in ipairs(now.rows) do
    local before = self.held[row.ref]
    if before and idle[before] and row.owner and row.owner ~= before then
      problem("the task of a living process was taken by another one: %s", row.prompt)
    end
    self.held[row.ref] = row.owner
  end
  self.acted = {}
  for _, worker in pairs(self.workers) do
    if worker.call and worker.owner then self.acted[worker.owner] = true end
  end
end

---Everything that must hold now.
---@param problem fun(text: string, ...)
function M.all(self, now, problem)
  all_known(now, problem)
  own_tasks(now, problem)
  paid_once(self, now, problem)
  files(self, now, problem)
  budgets(self, now, problem)
  living(self, now, problem)
  kept(self, now, problem)
end

---What must hold at the end, when everything that can be done was done: each paid video is here, or its end is known.
function M.last(self, now, problem)
  local rows = {}
  for _, row in ipairs(now.rows) do
    -- What an uncertain order has is a candidate: a person may have given the task to the order's first try.
    local before = row.task_id and rows[row.task_id]
    if row.task_id and not (before and row.state == "uncertain") then rows[row.task_id] = row end
  end
  local lost = {}
  for _, row in ipairs(now.rows) do
    if row.state == "lost" then lost[row.prompt .. row.source] = (lost[row.prompt .. row.source] or 0) + 1 end
  end
  for _, charge in ipairs(now.charges) do
    local row, name = rows[charge.taskId], charge.prompt .. charge.source
    local state = row and row.state
    local good = state == "saved" or state == "lost" or state == "failed" and now.tasks[charge.taskId].state == "failed"
      -- Where somebody's own file stands under the name, that is kept.
      or row and row.path and (self.kept[row.path] or self.touched[row.path])
    if not row and (lost[name] or 0) > 0 then
      lost[name] = lost[name] - 1
    elseif not good then
      problem("not saved at the end, but %s: %s, task %s", state or "unknown", charge.prompt, charge.taskId)
    end
  end
end

return M
