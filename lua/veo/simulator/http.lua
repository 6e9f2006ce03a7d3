--- What HTTP/1.1 is written in, by hand: the faults need control over every byte.
local M = {}

local reasons = {
  [100] = "Continue", [200] = "OK", [204] = "No Content", [206] = "Partial Content",
  [301] = "Moved Permanently", [302] = "Found", [303] = "See Other", [304] = "Not Modified",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request", [401] = "Unauthorized",
  [402] = "Payment Required", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [410] = "Gone", [412] = "Precondition Failed", [413] = "Content Too Large",
  [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable", [417] = "Expectation Failed",
  [422] = "Unprocessable Content", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
}

local function unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end
M.unescape = unescape

function M.escape(text)
  return (text:gsub("[^%w._~-]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- @param text string|nil the part of a target after "?"
--- @return table<string, string> query
function M.query(text)
  local query = {}
  for pair in (text or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    query[unescape(name)] = unescape(value)
  end
  return query
end

--- The head of a request with a JSON body.
function M.head_of_request(method, target, host, body, more)
  return ("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: veo-simulator\r\nContent-Type: application/json\r\n"
    .. "Content-Length: %d\r\n%s\r\n"):format(method, target, host, #body, more or "")
end

--- The head of a reply.
--- @param status integer
--- @param headers string[][] pairs of name and value, in order
function M.head(status, headers)
  local lines = { "HTTP/1.1 " .. status .. " " .. (reasons[status] or "Status") }
  for i = 1, #headers do
    lines[i + 1] = headers[i][1] .. ": " .. headers[i][2]
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

--- An HTTP-date, `seconds` from now.
function M.date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + math.floor(seconds or 0))
end

return M
