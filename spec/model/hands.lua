--- The workers of a history, by their roles: a call in one of them, and what came of it.
local M = {}

-- How often an order is sent at most; what an ambiguous one may cost.
M.ATTEMPTS = 2

---Ends the history: this is what it has shown.
function M.failed(...) error({ problem = string.format(...) }, 0) end

-- b and c are in PID namespaces of their own, as if in two containers.
local PLACES = { a = "near", b = "far", c = "far", z = "near" }

function M.finish(self, who)
  local worker = self.workers[who]
  local call = worker and worker.call
  if not call then return nil end
  local answer = self.world:receive(worker.process)
  worker.call, self.stale = nil, true
  if answer.dead or answer.hung then
    self.workers[who], self.dead[worker.owner or ""] = nil, true
    if answer.hung then M.failed("no answer to %s from %s", call.order.call, who) end
    if not call.order.kill then M.failed("a crash in %s of %s", call.order.call, who) end
  elseif answer.raised then
    M.failed("an error raised in %s of %s: %s", call.order.call, who, answer.raised)
  end
  call.done(answer)
  return answer
end

-- One call in a worker. `orders`: what it may order, for the check of what it says about money.
function M.begin(self, who, order, orders, done)
  local worker = self.workers[who]
  local call = { order = order, orders = orders or {}, done = done or function() end, rows = {} }
  worker.call = call
  if worker.owner then self.acted[worker.owner] = true end
  self.world:send(worker.process, order)
  return call
end

function M.call(self, who, order)
  M.begin(self, who, order)
  return M.finish(self, who)
end

-- A client of its own name each time, so that the server's list says whose a charge is.
function M.open(self, who)
  local worker, world = self.workers[who], self.world
  self.opened = self.opened + 1
  worker.name = ("%s-%d"):format(who, self.opened)
  local answer = M.call(self, who, { call = "open", folder = world.room .. "/" .. who, options = {
    base_url = world.sim.url, api_key = world.sim.api_key, ledger = world.ledger, user_agent = worker.name,
    webhook_key = false, timeout = 5, deadline = 0.4, max_credits = self.history.budget,
    rate = self.history.rate or { count = 10000, window = 0.1, polls = false },
    retry = { base = 0.002, max = 0.005, attempts = M.ATTEMPTS },
    wait = { first = 0.01, interval = 0.01, max_interval = 0.02, timeout = 5 },
  } })
  worker.owner = answer and answer.value
end

function M.need(self, who)
  if self.workers[who] then M.finish(self, who) end
  if not self.workers[who] then
    self.workers[who] = { process = self.world:worker(PLACES[who]) }
    M.open(self, who)
  end
  return self.workers[who]
end

return M
