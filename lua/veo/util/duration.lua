--- Seconds as they are read: 0:07, 12:30 or 1:02:03.

local floor, max = math.floor, math.max
local format = string.format

---@param seconds number
---@return string
return function(seconds)
  seconds = floor(max(seconds, 0) + 0.5)
  local hours, minutes = floor(seconds / 3600), floor(seconds / 60) % 60
  if hours > 0 then return format("%d:%02d:%02d", hours, minutes, seconds % 60) end
  return format("%d:%02d", minutes, seconds % 60)
end
