--- What a person sees. Results go to standard output and nothing else does; on a terminal one line of standard error
--- follows what is going on, in a log file only what changed is written.

local visible = require "veo.util.visible"

local M = {}

---@class veo.cli.Terminal
---@field live boolean     standard error is a terminal that can overwrite a line
---@field columns integer
local Terminal = {}
Terminal.__index = Terminal

-- Without a terminal, a wait says that it goes on after this many seconds.
local STILL = 60

-- Plain Lua has neither isatty nor the window's width; a shell that inherits standard error does. One process answers
-- both: it prints nothing where standard error is not a terminal.
local function look()
  local dumb = os.getenv("TERM")
  if dumb == nil or dumb == "" or dumb == "dumb" then return nil end
  local pipe = io.popen("unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER; "
    .. "test -t 2 && { stty size <&2 2>/dev/null || echo 24 80; }")
  if not pipe then return nil end
  local size = pipe:read("*a")
  pipe:close()
  local columns = size and size:match("^%d+ (%d+)")
  if not columns then return nil end
  columns = tonumber(columns)
  return columns >= 20 and columns or 80
end

---@return veo.cli.Terminal
function M.new()
  local columns = look()
  return setmetatable({ live = columns ~= nil, columns = columns or 80, shown = false, said_at = 0 }, Terminal)
end

---Text from elsewhere cannot steer the terminal.
---@param text any
---@return string
function M.clean(text)
  return visible(tostring(text))
end

-- The first `width` characters, not bytes: a cut character would be shown as rubbish.
local function cut(text, width)
  local count, at = 0, 1
  while at <= #text do
    local last = at
    while (text:byte(last + 1) or 0) >= 0x80 and (text:byte(last + 1) or 0) < 0xC0 do last = last + 1 end
    count = count + 1
    if count > width then return text:sub(1, at - 1) end
    at = last + 1
  end
  return text
end

function Terminal:wipe()
  if not self.shown then return end
  io.stderr:write("\r\27[K")
  self.shown = false
end

---Lines that stay.
---@param text string
function Terminal:note(text)
  self:wipe()
  io.stderr:write((text:gsub("[^\n\t]+", M.clean)), "\n")
end

---What is going on. The text may change all the time; where no line can be overwritten it is written when `key` changes,
---and now and then.
---@param text string
---@param key string
---@param minor boolean|nil  that it has begun is no news
function Terminal:progress(text, key, minor)
  text = M.clean(text)
  if self.live then
    -- The last column stays free: some terminals wrap as soon as it is filled.
    io.stderr:write("\r", cut(text, self.columns - 1), "\27[K")
    self.shown = true
    return
  end
  local now = os.time()
  if key == self.key and now - self.said_at < STILL then return end
  local quiet = minor and key ~= self.key
  self.key, self.said_at = key, now
  if quiet then return end
  io.stderr:write(text, "\n")
end

---A result. False when it could not be written.
---@param text string
---@return boolean
function Terminal:result(text)
  self:wipe()
  local written = io.stdout:write(text, "\n")
  return (written and io.stdout:flush()) and true or false
end

---Folds a paragraph to the window; what is no terminal gets one long line, which is easier to search.
---@param text string
---@param indent string|nil  of the lines after the first
---@return string
function Terminal:fold(text, indent)
  if not self.live then return text end
  indent = indent or ""
  local lines, line, width = {}, "", 0
  local limit = math.min(self.columns, 100) - 1
  for word in text:gmatch("%S+") do
    local _, length = word:gsub("[^\128-\191]", "")
    if width > 0 and width + 1 + length > limit then
      lines[#lines + 1] = line
      line, width = indent .. word, #indent + length
    else
      line = width > 0 and line .. " " .. word or word
      width = width > 0 and width + 1 + length or length
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

return M
