--- One row: in one client, alone or beside others, an exchange that comes to an `end`, then one (or several in turn)
--- that has to work.
local core = require "veo.core"
local kinds = require "spec.support.pairs.kinds"
local world = require "spec.support.pairs.world"

local M = {}
local Row = {}
Row.__index = Row

-- Seconds within which anything here is over, on a busy machine too; what is not hangs.
local PATIENCE = 60

---Lets the client work once, and takes what it has.
function Row:step()
  -- Beside others it is driven as a frame loop does it, alone as a script does.
  self.client:step(self.beside and 0 or 0.02)
  while self.client:take() do end
end

---Waits until the client or the fault server has something, or `seconds` have passed.
function Row:yield(seconds)
  self.wake = seconds and core.now() + seconds
  coroutine.yield()
end

---Leaves the client alone for so long.
function Row:leave(seconds)
  local till = core.now() + seconds
  while core.now() < till do self:yield(till - core.now()) end
end

---Steps until `check` gives something; nil when it did not within the row's patience.
function Row:until_true(check)
  while true do
    self:step()
    local found = check()
    if found then return found end
    if core.now() >= self.deadline then return nil end
    self:yield()
  end
end

function Row:patience() self.deadline = core.now() + PATIENCE end

-- What a function target does: it takes each piece.
local function drain(job)
  if not job.pieces then return end
  for piece in function() return job.transfer:read() end do
    job.pieces[#job.pieces + 1] = piece
    job.longest = math.max(job.longest or 0, #piece)
  end
end

---Drives an exchange to its end → reply | nil, failure.
function Row:finish(job)
  local reply, failure = nil, job.failure
  if job.transfer then
    local ended = self:until_true(function()
      drain(job)
      reply, failure = job.transfer:result()
      return reply ~= false
    end)
    if not ended then reply, failure = nil, { reason = "hung", message = "it did not end" } end
  end
  return reply, failure
end

---Lets go of what a job holds.
function Row:drop(job)
  if job.transfer then job.transfer:cancel() end
  if job.sink then job.sink:close() end
  if job.path then os.remove(job.path) end
end

---Waits until the client's connections have nothing more to give; beside a neighbour that never ends, for a while.
function Row:quiet()
  local began = core.now()
  local before
  repeat
    before = core.now()
    self:step()
    self:yield(0.02)
    local now = core.now()
  until now - before >= 0.02 or now - began > 0.1
end

---Waits until the lane's server tells that it came so far, and the client has read what it said.
function Row:told(event)
  self.listens = function() return self.world:has_told(self.lane, self.transport, event) end
  local there = self:until_true(self.listens)
  self.listens = nil
  self:quiet()
  return there
end

-- ---------------------------------------------------------------- neighbours

-- A function that reads nothing until the end; where connections are shared a file that comes slowly; and on the
-- lane's own connection a late call.
local function start_neighbours(row)
  local late = row.ending.lane and not row.ending.fresh
  local list = { { kind = kinds["function"], o = { file = world.files.beside, origin = row.origin, stream = 1024 } } }
  if row.transport == "h2" then
    local name = world.files.second[1]
    list[2] = { kind = kinds.file, o = { file = name, url = row.origin .. "/slow/" .. name } }
  end
  if late then list[#list + 1] = { kind = kinds.call, late = true, o = { url = row.home .. "/k/late/other" } } end
  for _, one in ipairs(list) do one.job = one.kind.start(row, one.o) end
  row:until_true(function()
    for _, one in ipairs(list) do
      if not one.late and not one.job.transfer:headers() then return false end
    end
    return not late or row.world:has_told(row.lane, row.transport, "late")
  end)
  return list
end

-- What an end takes along is let go first: libcurl 7.88 would put the next one on the connection that is dying.
local function bury(row, list)
  for i = #list, 1, -1 do
    if list[i].late and row.ending.kills then
      local job = table.remove(list, i).job
      local _, failure = row:finish(job)
      row:drop(job)
      if failure and failure.reason == "hung" then return "the late call beside it did not end" end
    end
  end
end

local function end_neighbours(row, list)
  local problem
  for _, one in ipairs(list) do
    local reply, failure = row:finish(one.job)
    local wrong = not reply and failure.message or one.kind.check(row, one.job, reply)
    if wrong then
      problem = problem or ("the %s beside it: %s"):format(one.kind.name, wrong)
    end
    row:drop(one.job)
  end
  return problem
end

-- ------------------------------------------------------------------- the row

local function open(row)
  local ending = row.ending
  row.origin = row.world.origin[row.transport]
  row.home = ending.lane and row.world:lane(row.lane, row.transport) or row.origin
  row.word = row.world:name "row"
  local base = row.home
  if ending.host and row.first.base then base = ending.host(row) end
  if ending.lane then row.world:set(row.lane, row.transport) end
  row.client = core.new { base_url = base .. "/k/" .. row.word, api_key = "spec-key-0123456789",
    ca_file = row.world.ca_file, timeout = PATIENCE, connect_timeout = PATIENCE,
    allow_http = true }
end

-- The exchange that comes to its end; what is wrong when it comes to another one.
local function end_first(row)
  local ending = row.ending
  local o = { origin = row.home, file = world.files.first }
  if ending.host then o.origin = ending.host(row) end
  for name, value in pairs(ending.o and ending.o(row) or {}) do o[name] = value end
  local fault = type(ending.lane) == "function" and ending.lane(row) or ending.lane
  if fault then row.world:set(row.lane, row.transport, fault) end
  if ending.patience then row.deadline = core.now() + ending.patience end
  if ending.begin then ending.begin(row) end
  local job = row.first.start(row, o)
  local reply, failure = (ending.act or Row.finish)(row, job)
  if ending.over then ending.over(row) end
  local wrong = ending.expect(row, reply, failure, job)
  row:drop(job)
  if ending.lane then row.world:set(row.lane, row.transport) end
  return wrong
end

-- An exchange that has to work; what is wrong with it.
local function try(row, kind)
  row:patience()
  local job = kind.start(row, { origin = row.origin, file = row.file })
  local reply, failure = row:finish(job)
  local wrong
  if reply then wrong = kind.check(row, job, reply) else wrong = ("%s: %s"):format(failure.reason, failure.message) end
  row:drop(job)
  return wrong or row.look and row.look(kind)
end

local function main(row)
  open(row)
  row:patience()
  local neighbours = row.beside and start_neighbours(row) or {}
  local wrong = end_first(row)
  if wrong then wrong = "the first came to another end: " .. wrong end
  wrong = wrong or bury(row, neighbours)
  for _, kind in ipairs(row.seconds) do
    local why = try(row, kind)
    if why then wrong = (#row.seconds > 1 and "then " .. kind.name .. ": " or "") .. why end
  end
  row:patience()
  return end_neighbours(row, neighbours) or wrong
end

---@param fields { ending: table, first: table, seconds: table[], transport: string, beside: boolean, file: string|nil,
---  done: fun(row: table, problem: string|nil), look: nil|fun(kind: table): string|nil }
function M.new(fields)
  fields.main = main
  return setmetatable(fields, Row)
end

return M
