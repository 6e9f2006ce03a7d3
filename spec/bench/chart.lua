-- A bar chart of the compared cases as SVG: one block a case, one bar a program, its length the ratio to plain C.
local M = {}

local WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 760, 250, 70, 18, 6, 40
local MOST = 6 -- longer bars are cut, so that the short ones can be told apart
local COLOUR = { base = "#8c959f", ours = "#0969da", other = "#c9b8e8" }

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function text(x, y, content, extra)
  return ('<text x="%.1f" y="%.1f" %s>%s</text>'):format(x, y, extra or "", escape(content))
end

local function longest(case)
  local most = case.target
  for _, program in ipairs(case.programs) do
    most = math.max(most, program.ratio or 0)
  end
  return math.min(most, MOST)
end

local function bar(out, program, y, scale)
  local colour = program.base and COLOUR.base or program.ours and COLOUR.ours or COLOUR.other
  local width = math.min(program.ratio, MOST) * scale
  out[#out + 1] = text(LEFT - 8, y + BAR - 5, program.name, 'text-anchor="end"')
  out[#out + 1] = ('<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>'):format(
    LEFT, y, width, BAR, colour)
  local label = ("%.2f"):format(program.ratio) .. (program.ratio > MOST and " →" or "")
  out[#out + 1] = text(LEFT + width + 6, y + BAR - 5, label,
    'font-weight="600" stroke="#ffffff" stroke-width="4" paint-order="stroke"')
end

-- The dashed line of what was to be reached, behind the bars: at their place in `out`.
local function target(out, place, case, top, bottom, scale)
  local x = LEFT + case.target * scale
  local line = '<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#cf222e" stroke-dasharray="4 3"/>'
  table.insert(out, place, line:format(x, top - 4, x, bottom))
  out[#out + 1] = text(x, top - 8, ("≤ %.2f"):format(case.target), 'text-anchor="middle" fill="#cf222e" font-size="11"')
end

local function block(out, case, y)
  local scale = (WIDTH - LEFT - RIGHT) / longest(case)
  out[#out + 1] = text(16, y + 18, case.title .. " (" .. (case.by == "cpu" and "CPU" or "wall time") .. ")",
    'font-size="14" font-weight="600"')
  y = y + HEAD
  local top = y
  local place = #out + 1
  for _, program in ipairs(case.programs) do
    if program.ratio then
      bar(out, program, y, scale)
      y = y + BAR + GAP
    end
  end
  target(out, place, case, top, y - GAP, scale)
  return y + GAP
end

---The whole chart as text; `note` stands at its foot.
function M.svg(cases, note)
  local body, y = {}, 12
  for _, case in ipairs(cases) do
    y = block(body, case, y)
  end
  y = y + 20
  body[#body + 1] = text(16, y, note, 'fill="#57606a" font-size="11"')
  local head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
    .. 'font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">'):format(WIDTH, y + 14, WIDTH, y + 14)
  local paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
  return table.concat({ head, paper, table.concat(body, "\n"), "</svg>\n" }, "\n")
end

return M
