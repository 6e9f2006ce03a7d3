--- The lines at the bottom of a terminal that follow what is going on, one an order; what has ended scrolls up above them.
--- Where standard error is no terminal, only what has ended is written.

local veo = require "veo"
local visible = require "veo.util.visible"

local M = {}

---@class veo.cli.batch.Board
---@field on boolean            there are lines
---@field results_seen boolean  standard output is on the same terminal: what a line says need not be a result too
local Board = {}
Board.__index = Board

-- The window's lines: asked anew now and then, for it may be resized (seconds).
local LOOK_EVERY = 5

-- Nothing of ours is in its environment.
local function height()
  local pipe = io.popen("unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER; stty size <&2 2>/dev/null")
  local size = pipe and pipe:read("*a")
  if pipe then pipe:close() end
  local lines = tonumber(size and size:match("^(%d+)")) or 0
  return lines > 2 and lines or 24
end

---@param session veo.cli.Session
---@return veo.cli.batch.Board
function M.new(session)
  local term = session.term
  return setmetatable({ term = term, shown = 0, height = 24,
    on = term.live and not term.quiet and not session.args.verbose, -- each event is told then, between the lines
    results_seen = term.live and not term.quiet and veo.console.columns(1) ~= nil }, Board)
end

-- The first characters of a line.
local function cut(text, width)
  local count = 0
  for at in text:gmatch "()[\1-\127\192-\255]" do
    count = count + 1
    if count > width then return text:sub(1, at - 1) end
  end
  return text
end

-- To the first of the lines; what is below is wiped.
local function back(self)
  if self.shown == 0 then return "" end
  return (self.shown > 1 and ("\27[%dA"):format(self.shown - 1) or "") .. "\r\27[J"
end

---Wipes the lines.
function Board:wipe()
  if self.shown > 0 then io.stderr:write(back(self)) end
  self.shown = 0
end

---A line that stays.
---@param text string
---@param problem boolean|nil  it is told whatever is wanted
function Board:note(text, problem)
  self:wipe()
  if problem then self.term:problem(text) else self.term:note(text) end
end

---Shows what is going on now: as many of the lines as have room, and the last.
---@param lines string[]
---@param last string
function Board:paint(lines, last)
  if not self.on then return end
  local now = os.time()
  if not self.looked_at or now - self.looked_at >= LOOK_EVERY then self.looked_at, self.height = now, height() end
  local room = math.max(self.height - 2, 1)
  local out, more = {}, #lines - room
  local width = (veo.console.columns(2) or 80) - 1
  for i = 1, math.min(#lines, more > 0 and room - 1 or room) do out[i] = cut(visible(lines[i]), width) end
  if more > 0 then out[#out + 1] = ("… and %d more"):format(more + 1) end
  out[#out + 1] = cut(visible(last), width)
  -- In one go, and without a wrap: wide letters may make a line too long, and one that takes two would be wiped by half.
  io.stderr:write("\27[?7l", back(self), table.concat(out, "\r\n"), "\27[?7h")
  self.shown = #out
end

return M
