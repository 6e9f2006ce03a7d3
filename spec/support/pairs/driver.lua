--- Runs rows side by side, each in a coroutine with a client of its own, and sleeps until one of their descriptors, a
--- time that a client names, or what a fault server tells wakes it: a client that names none of them is not stepped.
local core = require "veo.core"
local socket = require "socket"

local M = {}

local function watched(row)
  if not row.handle then
    row.handle = { row = row }
    function row.handle.getfd() return row.client:pollfd() end
    function row.handle.dirty() return false end
  end
  return row.handle
end

-- When the row is to go on at the latest.
local function due(row, now)
  local seconds = row.client and row.client:timeout(true) -- it matters where there is no descriptor
  return math.min(row.deadline or math.huge, row.wake or math.huge, seconds and now + seconds or math.huge)
end

local function finish(row, problem)
  if row.client then row.client:close() end
  row.client = nil
  row.done(row, problem)
end

local function resume(row)
  row.wake = nil
  local ok, problem = coroutine.resume(row.thread)
  if not ok then
    finish(row, "raised: " .. tostring(problem))
  elseif coroutine.status(row.thread) == "dead" then
    finish(row, problem)
  end
  return coroutine.status(row.thread) ~= "dead"
end

-- Waits for the first of the rows → the set of those to be resumed.
local function wait(world, live)
  local now, first, list = core.now(), math.huge, { world.control } -- a child's world has none
  for _, row in pairs(live) do
    first = math.min(first, due(row, now))
    if row.client then list[#list + 1] = watched(row) end
  end
  local readable = socket.select(list, nil, first < math.huge and math.max(first - now, 0) or 10)
  local ready = {}
  for _, handle in ipairs(readable) do
    if handle == world.control then world:hear() else ready[handle.row] = true end
  end
  now = core.now()
  for _, row in pairs(live) do
    if due(row, now) <= now or row.listens and row.listens() then ready[row] = true end
  end
  return ready
end

---Runs all rows, at most `lanes` at a time.
---@param rows table[]  each with `main(row)`, which yields to wait, and `done(row, problem)`
function M.run(world, rows, lanes)
  local live, next_row = {}, 1
  local function fill()
    for lane = 1, lanes do
      while not live[lane] and rows[next_row] do
        local row = rows[next_row]
        next_row = next_row + 1
        row.world, row.lane = world, lane
        row.thread = coroutine.create(function() return row.main(row) end)
        live[lane] = resume(row) and row or nil
      end
    end
  end
  fill()
  while next(live) do
    for row in pairs(wait(world, live)) do
      if not resume(row) then live[row.lane] = nil end
    end
    fill()
  end
end

return M
