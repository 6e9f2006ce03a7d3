--- Whether the boxes of a video fill it. A file of the announced length is whole; where no length was announced, only
--- its boxes can show that.

local format = string.format

local M = {}

local SAYS = {
  cut = "the file ends within the box at byte %.0f, or before its index or its media",
  strange = "there is no box at byte %.0f of the file, where one should begin",
}

---What speaks against it.
---@param look { boxes: string|nil, box_at: number|nil }|nil  of fingerprint.lua; nothing is said of what is no MP4 file
---@return string|nil
function M.wrong(look)
  local says = look and SAYS[look.boxes]
  return says and format(says, look.box_at)
end

---Whether the file is whole, as far as that can be known; `log` is told of anything odd.
---@param ctx table
---@param source veo.download.Source
---@param path string|nil
---@param look table|nil
---@param untold boolean|nil  nobody told the length
---@return boolean|nil verified
function M.verdict(ctx, source, path, look, untold)
  local wrong = M.wrong(look)
  if not wrong then return look and (look.boxes == "whole" or look.boxes == "open" and not untold) or nil end
  if ctx.log then
    ctx.log { event = "warning", operation = "download", taskId = source.taskId, path = path,
      message = wrong .. (untold and "; its length was not told: it may not be whole"
        or "; its length is the one that was told") }
  end
  if untold then return false end
  return nil
end

return M
