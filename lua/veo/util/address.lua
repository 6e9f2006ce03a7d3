--- A service's address, in one spelling.

local gsub, lower, match = string.gsub, string.lower, string.match

local PORTS = { ["http://"] = ":80", ["https://"] = ":443" }

---One spelling of an address, without a password.
---@param url string
---@return string
return function(url)
  local scheme, host, rest = match(url, "^(%a+://)([^/]*)(.*)$")
  if not scheme then return url end
  scheme, host = lower(scheme), gsub(gsub(lower(host), "^.*@", ""), ":0*(%d*)$", ":%1")
  local port = match(host, ":%d*$")
  if port and (port == ":" or port == PORTS[scheme]) then host = gsub(host, ":%d*$", "") end
  return scheme .. host .. gsub(rest, "/+$", "")
end
