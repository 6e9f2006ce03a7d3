--- What a person sees. Results go to standard output and nothing else does; on a terminal one line of standard error
--- follows what is going on, in a log file only what changed is written.

local json = require "veo.cli.json"
local veo = require "veo"
local visible = require "veo.util.visible"

local M = {}

---@class veo.cli.Terminal
---@field live boolean     standard error is a terminal that can overwrite a line
---@field columns integer  its width, as it is now
---@field quiet boolean|nil  nothing but errors
---@field as_json boolean|nil  standard error is a line of JSON for each event
local Terminal = {}
Terminal.__index = Terminal

-- Without a terminal, a wait says that it goes on after this many seconds.
local STILL = 60

local COLOURS = { error = "31", warning = "33", good = "32" }

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- A window can be made narrower while the command runs; one that tells nothing sensible counts as usual.
local function measure(self)
  local columns = self.can_move and veo.console.columns(2)
  self.live = columns and true or false
  self.columns = columns and columns >= 20 and columns or 80
end

---@param args { quiet: boolean|nil }|nil
---@return veo.cli.Terminal
function M.new(args)
  local kind = environment("TERM")
  local self = setmetatable({ can_move = kind ~= nil and kind ~= "dumb", shown = false, said_at = 0,
    quiet = args and args.quiet, as_json = environment("VEO_LOG") == "json" or nil }, Terminal)
  if self.as_json then self.can_move = false end
  measure(self)
  self.coloured = self.live and not environment("NO_COLOR")
  return self
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

local function write(self, text, kind)
  if self.live then io.stderr:write("\r\27[K") end -- a terminal shows ^C
  self.shown = false
  if self.as_json then
    io.stderr:write(json.encode { event = kind == "error" and "problem" or "note", message = text }, "\n")
    return
  end
  text = text:gsub("[^\n\t]+", M.clean)
  local colour = self.coloured and COLOURS[kind]
  -- The first word tells what it is, and is what is coloured.
  if colour then text = text:gsub("^[^%s]+", "\27[" .. colour .. "m%0\27[0m") end
  io.stderr:write(text, "\n")
end

---Lines that stay, unless only errors are wanted.
---@param text string
---@param kind "good"|"warning"|nil  its colour
function Terminal:note(text, kind)
  if not self.quiet then write(self, text, kind) end
end

---Lines about what went wrong, and about money: always told.
---@param text string
function Terminal:problem(text)
  write(self, text, "error")
end

---One event of the library's log.
---@param event table  without secrets
function Terminal:event(event)
  if self.as_json then
    io.stderr:write(json.encode(event), "\n")
    return
  end
  local words = {}
  for name, value in pairs(event) do
    if name ~= "event" and name ~= "at" then
      words[#words + 1] = name .. "=" .. (type(value) == "table" and json.encode(value) or tostring(value))
    end
  end
  table.sort(words)
  write(self, ("%s %s %s"):format(event.at, event.event, table.concat(words, " ")))
end

---What is going on. The text may change all the time; where no line can be overwritten it is written when `key` changes,
---and now and then.
---@param text string
---@param key string
---@param minor boolean|nil  that it has begun is no news
function Terminal:progress(text, key, minor)
  if self.quiet or self.as_json then return end
  measure(self)
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

---A bar of so many columns.
---@param share number  0 to 1
---@param width integer
---@return string
function Terminal:bar(share, width)
  local full = math.floor(math.max(0, math.min(share, 1)) * width)
  return "[" .. ("#"):rep(full) .. ("-"):rep(width - full) .. "]"
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
