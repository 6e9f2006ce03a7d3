--- The outermost boxes of an MP4, read while its bytes pass: for a download to a function what src/boxes.c is for a
--- file.

local setmetatable = setmetatable
local byte, find, min, sub = string.byte, string.find, math.min, string.sub

local M = {}
M.__index = M

local PART = { moov = "index", moof = "index", mdat = "media" }
local WEBM = "\26\69\223\163"

---@class veo.download.Boxes
function M.new()
  return setmetatable({ at = 0, left = 0, head = "" }, M)
end

local function number(text, from, to)
  local value = 0
  for i = from, to do value = value * 256 + byte(text, i) end
  return value
end

local function is_name(name)
  return find(name, "^[!-~\169][ -~\169][ -~\169][ -~\169]$") ~= nil
end

-- Reads a head; false when more bytes of it are needed.
local function read(self)
  local head = self.head
  local size, name = number(head, 1, 4), sub(head, 5, 8)
  if self.at == 0 and (sub(head, 1, 4) == WEBM or not is_name(name)) then
    self.kind = "none"
  elseif not is_name(name) or size > 1 and size < 8 then
    self.kind = "strange"
  elseif size == 0 then
    self.open = true
  elseif size == 1 then
    if #head < 16 then return false end
    size = number(head, 9, 16)
    if size < 16 then self.kind = "strange" end
  end
  self.size = size
  if PART[name] then self[PART[name]] = true end
  return true
end

-- A box begins behind its head.
local function enter(self)
  if self.kind or self.open then return end
  self.last, self.at = self.at, self.at + self.size
  self.left, self.head = self.size - #self.head, ""
end

---Takes the next bytes.
---@param chunk string
function M:feed(chunk)
  local at = 1
  while at <= #chunk and not self.kind and not self.open do
    if self.left > 0 then
      local n = min(self.left, #chunk - at + 1)
      at, self.left = at + n, self.left - n
    else
      -- One head at a time: all but 16 bytes of a large box are skipped.
      local wanted = #self.head < 8 and 8 or 16
      local more = sub(chunk, at, at + wanted - #self.head - 1)
      at, self.head = at + #more, self.head .. more
      if #self.head == wanted and read(self) then enter(self) end
    end
  end
end

-- Whether the bytes end within a box.
local function is_cut(self)
  return self.left > 0 or self.head ~= "" and not self.open
end

-- Whether what comes last is a box, and not only bytes behind the last one.
local function ends_with_box(self)
  return self.left > 0 or #self.head >= 8 and is_name(sub(self.head, 5, 8))
end

---What is to be said at this end: see fingerprint.lua.
---@return { boxes: "whole"|"open"|"cut"|"strange"|nil, box_at: number }
function M:look()
  if self.kind == "none" then return { box_at = 0 } end
  local kind = self.kind or is_cut(self) and "cut"
  -- Behind all of a film, what is no box is padding.
  if self.index and self.media and not (kind and ends_with_box(self)) then kind = self.open and "open" or "whole" end
  return { boxes = kind or "cut", box_at = self.left > 0 and self.last or self.at }
end

return M
