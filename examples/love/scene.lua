-- Draws the scene: sea and boat, the steps of the work, and the frame graphs. Knows nothing of lua-veo.

local M = {}

local PHASES = { "extending", "rendering", "saving", "saved" }
local INK, PALE, GOOD, BAD = { 0.92, 0.95, 0.98 }, { 0.55, 0.63, 0.72 }, { 0.36, 0.78, 0.55 }, { 0.91, 0.38, 0.33 }

local function sea(time, width, height)
  love.graphics.clear(0.09, 0.13, 0.2)
  love.graphics.setColor(0.97, 0.75, 0.45)
  love.graphics.circle("fill", width * 0.78, height * 0.34, 34)
  local x, y = width * 0.1 + 30 * time % (width * 0.75), height * 0.46 + 4 * math.sin(time * 2)
  love.graphics.setColor(0.85, 0.88, 0.9)
  love.graphics.polygon("fill", x, y - 12, x, y - 86, x + 44, y - 18)
  love.graphics.setColor(0.62, 0.32, 0.25)
  love.graphics.polygon("fill", x - 42, y - 8, x + 58, y - 8, x + 40, y + 18, x - 28, y + 18)
  for row = 0, 3 do
    love.graphics.setColor(0.1, 0.3 - 0.05 * row, 0.45 - 0.07 * row)
    local left = nil
    for px = 0, width, 24 do
      local top = height * (0.49 + 0.04 * row) + 6 * math.sin(px / 46 + time * (2 - 0.2 * row) + row)
      local bottom = row == 3 and height or top + height * 0.09
      if left then love.graphics.polygon("fill", px - 24, left, px, top, px, bottom, px - 24, bottom) end
      left = top
    end
  end
end

local function steps(view, x, y)
  local reached
  for i, name in ipairs(PHASES) do
    if name == view.phase then reached = i end
  end
  for i, name in ipairs(PHASES) do
    local done = reached and (i < reached or view.phase == "saved")
    love.graphics.setColor(done and GOOD or i == reached and INK or PALE)
    love.graphics.circle(done and "fill" or "line", x + 8, y + 10, 6)
    love.graphics.print(name, x + 22, y + 2)
    x = x + 120
  end
end

local function bar(view, x, y, width)
  love.graphics.setColor(1, 1, 1, 0.15)
  love.graphics.rectangle("fill", x, y, width, 10, 5)
  love.graphics.setColor(view.phase == "failed" and BAD or GOOD)
  if view.phase == "saved" or view.phase == "failed" then
    love.graphics.rectangle("fill", x, y, width, 10, 5)
  elseif view.phase == "saving" and view.total then
    love.graphics.rectangle("fill", x, y, math.max(10, width * view.bytes / view.total), 10, 5)
  else -- the service tells no percentage: something that moves
    love.graphics.rectangle("fill", x + (width - 90) * (0.5 + 0.5 * math.sin(view.elapsed * 3)), y, 90, 10, 5)
  end
end

-- The last values as columns; `limit` (seconds) is drawn as a line.
local function graph(title, values, limit, top, x, y, width, height)
  love.graphics.setColor(0, 0, 0, 0.45)
  love.graphics.rectangle("fill", x, y, width, height, 4)
  local first = math.max(1, #values - width + 8)
  local longest = 0
  for i = first, #values do
    local value = values[i]
    longest = math.max(longest, value)
    love.graphics.setColor(value > limit and BAD or GOOD)
    local tall = math.min(1, value / top) * (height - 24)
    love.graphics.rectangle("fill", x + 4 + i - first, y + height - 3 - tall, 1, tall)
  end
  local line = y + height - 3 - limit / top * (height - 24)
  love.graphics.setColor(INK[1], INK[2], INK[3], 0.5)
  love.graphics.line(x + 4, line, x + width - 4, line)
  love.graphics.setColor(INK)
  local caption = ("%s: limit %.1f ms, longest shown %.2f ms"):format(title, limit * 1000, longest * 1000)
  love.graphics.print(caption, x + 8, y + 4)
end

function M.draw(view)
  local width, height = love.graphics.getDimensions()
  sea(view.elapsed, width, height)
  love.graphics.setColor(INK)
  love.graphics.print(view.prompt or "", 30, 24, 0, 1.4)
  love.graphics.setColor(PALE)
  love.graphics.print(view.message or ("%5.1f s   %s%s"):format(view.elapsed, view.task or "",
    view.looks and ("   looked %d times"):format(view.looks) or ""), 30, 52)
  steps(view, 30, 78)
  bar(view, 30, 108, width - 60)
  local half = math.floor((width - 80) / 2)
  graph("work of a frame", view.frames, 1 / 60, 1 / 40, 30, height - 150, half, 120)
  graph("step(0)", view.steps, 0.002, 0.004, 50 + half, height - 150, half, 120)
end

return M
