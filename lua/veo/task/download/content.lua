--- What was received, by its first bytes. Pages and other text are told from a video; what is neither may be a video
--- of an unknown form, and is not thrown away.

local find, sub = string.find, string.sub

local text = require "veo.util.text"

local M = {}

---This many bytes are enough to recognize a video.
M.ENOUGH = 12

-- Names that the first box of a video was seen to have, in QuickTime's files too.
local FIRST = { ftyp = true, styp = true, wide = true, free = true, skip = true, moov = true, mdat = true, pnot = true }
local WEBM = "\26\69\223\163"
local UTF16 = { ["\255\254"] = true, ["\254\255"] = true }

---@param head string
---@return boolean
function M.is_video(head)
  return FIRST[sub(head, 5, 8)] ~= nil or sub(head, 1, 4) == WEBM
end

---The message for what is no video.
---@param content_type string|nil  what its server calls it
---@return string
function M.complaint(content_type)
  return "what came is no video" .. (content_type and (", and is called " .. text.printable(content_type, 60)) or "")
end

---@param head string  the first 1024 bytes, or all when there are fewer
---@return "video"|"text"|"other"|"nothing"
function M.kind(head)
  if head == "" then return "nothing" end
  if M.is_video(head) then return "video" end
  -- Bytes that occur in no text, whatever its encoding, but in UTF-16.
  if UTF16[sub(head, 1, 2)] or not find(head, "[%z\1-\8\11\14-\26\28-\31]") then return "text" end
  return "other"
end

return M
