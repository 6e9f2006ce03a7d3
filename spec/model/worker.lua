-- A process of the model: takes one command after another, a line of JSON each, and answers each with one. It ends with
-- its socket, so it never outlives the model. wall_clock is preloaded: its wall clock can jump, and it can be killed at
-- a chosen instant.
--
--   worker.lua PORT NAME
local cjson = require "cjson"
local socket = require "socket"

local errors = require "veo.errors"
local process = require "veo.ledger.process"
local veo = require "veo"

local clock = require "wall_clock"
local peer = assert(socket.connect("127.0.0.1", tonumber(arg[1])))
peer:setoption("tcp-nodelay", true)
peer:send(cjson.encode { hello = arg[2] } .. "\n")

veo.preload() -- before the folder changes
local client, me, countdown

-- Death at the nth commit from now on, just before it or just after.
local Database = getmetatable(require("veo.ledger.database").new("nothing.db")).__index
local run = Database.run
function Database:run(sql, ...)
  local counted = countdown and sql == "COMMIT"
  if counted then countdown.n = countdown.n - 1 end
  local dies = counted and countdown.n == 0
  if dies and countdown.side == "before" then clock.die() end
  local changed = run(self, sql, ...)
  if dies then clock.die() end
  return changed
end

-- What the ledger knows this client as.
local name_of = process.name
function process.name(...)
  me = name_of(...)
  return me
end

local function told(err)
  return { code = err.code, message = err.message, ref = err.ref, taskId = err.taskId, sent = err.sent,
    charged = err.charged or (errors.codes[err.code] or {}).charged, candidate = err.candidate,
    cause = type(err.cause) == "table" and err.cause.code or tostring(err.cause or "") }
end

local function outcome(value, err)
  if value == nil and err then return { err = told(err) } end
  return { ok = true, value = value }
end

local calls = {}

function calls.open(order)
  if client then client:close() end
  assert(clock.chdir(order.folder))
  client = veo.new(order.options)
  return { ok = true, value = me }
end

local function extend(order)
  local task, err = client:extend(order.params, order.options)
  return outcome(task and { taskId = task.taskId, ref = task.ref, joined = task.joined }, err)
end
calls.extend = extend

-- Several orders at once, in jobs of one client.
function calls.all(order)
  local jobs, answers, cancel = {}, {}, order.cancel
  for i, each in ipairs(order.orders) do jobs[i] = client:spawn(extend, each) end
  if cancel and jobs[cancel.nth] then -- a shorter history may have fewer
    for _ = 1, cancel.steps do client:step(cancel.ms) end
    jobs[cancel.nth]:cancel()
  end
  client:run()
  for i, job in ipairs(jobs) do
    local answer, err = job:result()
    answers[i] = answer or outcome(nil, err)
  end
  return { ok = true, value = answers }
end

function calls.save(order)
  local task, err = client:extend(order.params, order.options)
  if not task then return outcome(nil, err) end
  local status
  status, err = client:wait(task)
  local file
  if status then file, err = client:download(status, order.path) end
  return { ok = true, value = { taskId = task.taskId, path = file and file.path }, err = err and told(err) }
end

function calls.resume(order)
  local files = {}
  local options = order.options
  function options.on_result(_, task, _, file)
    if file then files[#files + 1] = { taskId = task.taskId, path = file.path, already = file.already } end
  end
  local summary, err = client:resume(options)
  if summary then summary.uncertain, summary.files = nil, files end
  return outcome(summary, err)
end

function calls.chain(order)
  local result, err = client:chain(order.params)
  return outcome(result and { taskId = result.taskId, path = result.path }, err)
end

function calls.settle(order)
  local record, err = client:settle(order.ref, order.word, order.force and { force = true } or nil)
  return outcome(record and { taskId = record.taskId, state = record.state }, err)
end

function calls.callback(order)
  local status, err = client:callback({}, order.body, { target = order.target })
  return outcome(status and { taskId = status.taskId }, err)
end

function calls.tasks()
  local list, err = client:tasks()
  return outcome(list and #list, err)
end

function calls.prune(order)
  if not client.prune then return { ok = true } end
  return outcome(client:prune { before = order.before })
end

function calls.close()
  if client then client:close() end
  client = nil
  clock.shift(0)
  return { ok = true }
end

function calls.jump(order)
  clock.shift(order.shift)
  return { ok = true }
end

while true do
  local line = peer:receive("*l")
  if not line then break end
  local order = cjson.decode(line)
  local kill = order.kill
  if kill and kill.after then clock.die_in(kill.after) end
  countdown = kill and kill.commit and { n = kill.commit, side = kill.side }
  local ok, answer = pcall(calls[order.call], order)
  if kill and kill.after then clock.die_in(0) end
  countdown = nil
  if not ok then answer = { raised = tostring(answer) } end
  peer:send(cjson.encode(answer) .. "\n")
end
os.exit(0) -- without a word to the ledger, as a process ends that was told nothing
