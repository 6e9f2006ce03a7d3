--- Files that the server sends encoded although nobody asked for it, or only labels so. libcurl decodes what it can;
--- what it cannot decode is requested once more and saved as it comes.

local format = string.format

local text = require "veo.util.text"

local M = {}

local BAD_CONTENT_ENCODING, WRITE_ERROR = 61, 23 -- of libcurl

---Whether a request is for the first byte of a file that may be decoded: a range is one of encoded bytes.
---@param target table  of a download: `as_it_is` once decoding has failed
---@param offset integer
---@return boolean
function M.decodes(target, offset)
  return offset == 0 and not target.as_it_is
end

---What the headers say: `encoded` where what comes is decoded, `encoding` the server's word.
---@param target table
---@param headers table
---@param offset integer  that was asked for
function M.note(target, headers, offset)
  local is_rest = offset > 0 and headers.http_status == 206 -- of which an earlier answer may have said more
  target.encoding = headers.encoding or is_rest and target.encoding or nil
  target.encoded = headers.encoding ~= nil and M.decodes(target, offset)
end

---Whether a file that is decoded has come to the same end twice, though its transfer failed: a length that counts decoded
---bytes is never met, and libcurl stops at junk or another stream behind the first.
---@param target table
---@param failure table|nil  of the core
---@param size integer
---@return boolean
function M.ended(target, failure, size)
  if not failure or not target.encoded or failure.reason ~= "network" or size == 0 then return false end
  local is_second = target.decoded == size
  target.decoded = size
  return is_second
end

---Whether decoding has failed, and another try has to take the file as it comes. That try is not counted.
---@param target table
---@param failure table|nil  of the core
---@param twice boolean|nil   at the same end
---@return boolean
function M.failed(target, failure, twice)
  local code = failure and not target.as_it_is and failure.curl_code
  if code ~= BAD_CONTENT_ENCODING and not (code == WRITE_ERROR and twice) then return false end
  target.as_it_is, failure.free = true, true
  return true
end

---Whether the rest came encoded: the file is asked for anew then, which costs no try the first time.
---@param target table
---@param failure table  of the core
---@return boolean
function M.is_rest(target, failure)
  if not failure.encoded then return false end
  failure.free, target.rest_met = not target.rest_met, true
  return true
end

---Whether what came may be encoded still; said to the log.
---@param ctx table
---@param target table
---@param source veo.download.Source
---@return boolean
function M.is_left(ctx, target, source)
  if not target.encoding or target.encoded then return false end
  if ctx.log then
    ctx.log { event = "warning", operation = "download", taskId = source.taskId, path = target.path,
      message = format("the server says that the file is encoded (%s), which could not be undone: it is taken "
        .. "as it came", text.printable(target.encoding, 60)) }
  end
  return true
end

return M
