--- Whether all of the file has been received. Where the server tells no length, the end of a body is not trusted at
--- once.

local format = string.format

local M = {}

---@class veo.download.Extent
---@field ended integer|nil  where a body of untold length ended last

-- More is missing, and the server answered as it should: it can be asked for at once.
local function short(message, ...)
  return { reason = "network", short = true, message = format(message, ...) }
end

-- Nobody tells the length. An end that comes twice at the same byte is the end.
local function untold(extent, reply, size)
  reply.untold = true
  local wrong = extent:doubt(reply)
  if not wrong or extent.ended == size then return reply end
  extent.ended = size
  return nil, short("%d bytes came, %s", size, wrong)
end

---What a try's end means.
---@param extent veo.download.Extent  `doubt(reply)` → what speaks against an end that nobody told
---@param reply table|nil       of the core
---@param failure table|nil     of the core
---@param size integer          bytes that are here
---@param known integer|nil     the file's length, as an earlier answer told it
---@return table|nil reply      `untold`: nobody told the length
---@return table|nil failure
function M.judge(extent, reply, failure, size, known)
  local total
  if reply then
    total = reply.total or reply.http_status == 206 and known or nil
  elseif failure.reason == "http" and failure.http_status == 416 and size > 0 then
    -- There is nothing more, if what is here is as long as the file.
    total = failure.total or known
    if total and total ~= size then return nil, failure end
    reply = { http_status = 416, total = total, untold = not known }
  else
    return nil, failure
  end
  if total == size then return reply end
  if total and size > total then
    return nil, { reason = "changed", excess = true, message = format("%d bytes came of %d", size, total) }
  end
  if total then return nil, short("%d bytes came of %d", size, total) end
  return untold(extent, reply, size)
end

return M
