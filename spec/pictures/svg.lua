--- A terminal's screen as SVG: standard input is what `tmux capture-pane -e -p` prints (text with SGR sequences).
---
---   lua5.4 spec/pictures/svg.lua TITLE < screen > picture.svg

local WIDTH, HEIGHT, SIZE = 8.4, 19, 14 -- of a character, of a line, of the letters
local MARGIN, BAR = 16, 34

local INK, PAPER = "#d7dae0", "#1b1f27"
local COLOURS = { [0] = "#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0" }

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }
local function escape(text) return (text:gsub("[&<>]", ENTITIES)) end

local function length(text) return select(2, text:gsub("[^\128-\191]", "")) end

-- What an SGR sequence changes: colours 30 to 37 and 90 to 97, bold, dim, reverse, and their ends.
local function apply(style, codes)
  for code in (codes == "" and "0" or codes):gmatch "%d+" do
    local n = tonumber(code)
    if n == 0 then
      style.colour, style.bold, style.dim, style.reverse = nil, nil, nil, nil
    elseif n == 1 then
      style.bold = true
    elseif n == 2 then
      style.dim = true
    elseif n == 7 then
      style.reverse = true
    elseif n == 22 then
      style.bold, style.dim = nil, nil
    elseif n == 27 then
      style.reverse = nil
    elseif n >= 30 and n <= 37 then
      style.colour = COLOURS[n - 30]
    elseif n >= 90 and n <= 97 then
      style.colour = COLOURS[n - 90]
    elseif n == 39 then
      style.colour = nil
    end
  end
end

-- One run of letters of the same look.
local function run(style, text, column, top)
  local ink = style.colour or INK
  local x, out = MARGIN + column * WIDTH, ""
  if style.reverse then
    out = ('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'):format(x, top, length(text) * WIDTH, HEIGHT,
      ink)
    ink = PAPER
  end
  -- What draws it drops blanks at the ends.
  local blanks, letters = text:match "^( *)(.-) *$"
  if letters == "" then return out end
  x, text = x + #blanks * WIDTH, letters
  return out .. ('<text x="%.1f" y="%d" textLength="%.1f"%s%s%s>%s</text>'):format(x, top + 14, length(text) * WIDTH,
    ink ~= INK and (' fill="%s"'):format(ink) or "", style.bold and ' font-weight="700"' or "",
    style.dim and ' opacity="0.6"' or "", escape(text))
end

local function line(text, style, top)
  local out, column, at = {}, 0, 1
  while at <= #text do
    local from, to, codes = text:find("\27%[([%d;]*)m", at)
    local piece = text:sub(at, (from or #text + 1) - 1)
    if piece ~= "" then out[#out + 1] = run(style, piece, column, top) end
    column = column + length(piece)
    if from then apply(style, codes) end
    at = (to or #text) + 1
  end
  return table.concat(out), column
end

local lines, style, columns = {}, {}, 80
for text in io.read("*a"):gsub("%s+$", ""):gmatch "([^\n]*)\n?" do
  local drawn, width = line(text, style, BAR + 12 + #lines * HEIGHT)
  lines[#lines + 1] = drawn
  columns = math.max(columns, width)
end
while lines[#lines] == "" do lines[#lines] = nil end

local width, height = math.ceil(2 * MARGIN + columns * WIDTH), BAR + 24 + #lines * HEIGHT
io.write(([[
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" xml:space="preserve">
<title>%s</title>
<rect width="100%%" height="100%%" rx="8" fill="%s"/>
<circle cx="20" cy="18" r="6" fill="#e06c75"/>
<circle cx="40" cy="18" r="6" fill="#e5c07b"/>
<circle cx="60" cy="18" r="6" fill="#98c379"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%d" fill="%s">
]]):format(width, height, width, height, escape(arg[1] or "terminal"), PAPER, SIZE, INK))
io.write(table.concat(lines, "\n"), "\n</g>\n</svg>\n")
