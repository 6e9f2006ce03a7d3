-- An answer that a spec chooses for each request: a file of JSON holds { get = …, post = … }, each
--   { text = the body, http = 200 unless given, how = what becomes of it, at = bytes of it that come, all unless given }
-- how:
--   "whole"   as announced (default)
--   "length"  less than its Content-Length announced, then closed;  "reset"  the same, then RST
--   "open"    the same, and the connection is kept open
--   "chunk"   chunked, without the last chunk, then closed
--   "junk"    gzip, with bytes behind its end
-- `coding`: the Content-Encoding, whatever the body is; `file`: the body's bytes, which may be no text; `slowly`: one at a
-- time.
local cjson = require "cjson"

local CHUNKED = { chunk = true }

local function head(told, length)
  return ("HTTP/1.1 %d Told\r\nContent-Type: application/json\r\n%s%s\r\n"):format(told.http or 200,
    told.coding and "Content-Encoding: " .. told.coding .. "\r\n" or "",
    CHUNKED[told.how] and "Transfer-Encoding: chunked\r\n" or ("Content-Length: %d\r\n"):format(length))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

return function(con, request, path, reset)
  local told = cjson.decode(read(path))[request.method:lower()]
  local how, body = told.how or "whole", told.file and read(told.file) or told.text
  local come = told.at and body:sub(1, math.floor(told.at)) or body
  if how == "whole" and told.slowly then
    con:write(head(told, #come))
    for i = 1, #come do
      con:write(come:sub(i, i))
      con:flush()
    end
    return true
  elseif how == "whole" then
    con:write(head(told, #come), come)
    return true
  elseif how == "junk" then
    local packed = require("veo.simulator.gzip").pack(come) .. "junk"
    con:write((head(told, #packed):gsub("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n")), packed)
    return false
  elseif how == "chunk" then
    con:write(head(told), #come > 0 and ("%x\r\n%s\r\n"):format(#come, come) or "")
    return false
  end
  con:write(head(told, #body + 7), come)
  if how == "reset" then
    reset(con)
  elseif how == "open" then
    while con:read(-4096) do end
  end
  return false
end
