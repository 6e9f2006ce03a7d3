-- The chart of growth as SVG: a panel for each thing measured, over how many there are, a line for each kind of them.
local M = {}

local PANEL, LEFT, TOP, WIDE, HIGH = 260, 50, 44, 190, 130
local FEWEST, MOST = 100, 100000

local function text(x, y, content, extra)
  return ('<text x="%.1f" y="%.1f" %s>%s</text>'):format(x, y, extra or "", content)
end

local function place(panel, count, value)
  local across = math.log(count / FEWEST) / math.log(MOST / FEWEST)
  return panel.left + across * WIDE, TOP + HIGH - value / panel.top * HIGH
end

-- A level across the panel, with its value at the left.
local function level(out, panel, value, extra, words)
  local x, y = place(panel, FEWEST, value)
  out[#out + 1] = ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>'):format(x, y, x + WIDE, y, extra)
  out[#out + 1] = text(x - 6, y + 4, words or ("%g"):format(value), 'text-anchor="end" font-size="11"')
end

local function line(out, panel, drawn)
  local points = {}
  for i, point in ipairs(drawn.points) do
    local x, y = place(panel, point[1], point[2])
    points[i] = ("%.1f,%.1f"):format(x, y)
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>'):format(x, y, drawn.colour)
  end
  out[#out + 1] = ('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>'):format(
    table.concat(points, " "), drawn.colour, drawn.dashed and ' stroke-dasharray="2 3"' or "")
end

local function draw(out, panel)
  out[#out + 1] = text(panel.left, 22, panel.title, 'font-weight="600"')
  level(out, panel, 0, 'stroke="#8c959f"')
  level(out, panel, panel.top, 'stroke="#d0d7de"')
  if panel.goal then level(out, panel, panel.goal, 'stroke="#cf222e" stroke-dasharray="4 3"', "≤ " .. panel.goal) end
  for _, drawn in ipairs(panel.lines) do line(out, panel, drawn) end
  for _, count in ipairs { 100, 1000, 10000, 100000 } do
    local x = place(panel, count, 0)
    out[#out + 1] = text(x, TOP + HIGH + 16, ("%d"):format(count), 'text-anchor="middle" font-size="11"')
  end
end

-- Up to a round number above all values.
local function scale(panel)
  local most = panel.goal or 0
  for _, drawn in ipairs(panel.lines) do
    for _, point in ipairs(drawn.points) do most = math.max(most, point[2]) end
  end
  local unit = 10 ^ math.floor(math.log(most, 10))
  panel.top = math.ceil(most / unit * 2) / 2 * unit
end

---The chart as text. A panel: `title`, `goal` or none, and `lines` of `name`, `colour`, `dashed` and `points`, which are a
---count and a value each. `note` stands at its foot.
function M.svg(panels, note)
  local out, names, x = {}, {}, LEFT
  for i, panel in ipairs(panels) do
    panel.left = LEFT + (i - 1) * PANEL
    scale(panel)
    draw(out, panel)
    for _, drawn in ipairs(panel.lines) do
      if not names[drawn.name] then
        names[drawn.name] = true
        out[#out + 1] = text(x, TOP + HIGH + 42, "— " .. drawn.name,
          ('fill="%s" font-weight="600"'):format(drawn.colour))
        x = x + 8 * #drawn.name + 30
      end
    end
  end
  out[#out + 1] = text(LEFT, TOP + HIGH + 62, note, 'fill="#57606a" font-size="11"')
  local width, high = #panels * PANEL + 10, TOP + HIGH + 76
  local head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
    .. 'font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">'):format(width, high, width, high)
  local paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
  return table.concat({ head, paper, table.concat(out, "\n"), "</svg>\n" }, "\n")
end

return M
