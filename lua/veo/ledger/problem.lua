--- What goes wrong in a database, as it is raised inside a transaction and as it leaves one: a message and its cause.

local ipairs, tostring = ipairs, tostring
local find, gsub = string.find, string.gsub

-- What a driver's message means, first match first.
local CAUSES = {
  { "locked", "busy" }, { "lock timeout", "busy" }, { "disk is full", "full" }, { "No space left", "full" },
  { "readonly", "readonly" }, { "read%-only", "readonly" }, { "not a database", "corrupt" }, { "malformed", "corrupt" },
  { "disk I/O error", "io" }, { "unable to open", "open" }, { "could not connect", "open" },
  { "connection to server", "open" }, { "Failed to connect", "open" },
  { "closed the connection", "lost" }, { "no connection", "lost" }, { "could not receive", "lost" },
  { "could not send", "lost" }, { "administrator command", "lost" }, { "statement timeout", "slow" },
  { "idle%-in%-transaction", "lost" }, { "invalid byte sequence", "value" }, { "violates .*constraint", "value" },
}

-- What LuaDBI puts before it.
local PREFIXES = { "^Execute failed ", "^Error executing statement parameters: ",
  "^Error preparing statement handle: " }

local function cause_of(message)
  for _, rule in ipairs(CAUSES) do
    if find(message, rule[1]) then return rule[2] end
  end
  return "database"
end

---@param message any
---@param cause string|nil  nil: by the message
---@return { message: string, cause: string }
return function(message, cause)
  message = tostring(message)
  for _, prefix in ipairs(PREFIXES) do message = gsub(message, prefix, "") end
  message = gsub(gsub(message, "%s+", " "), "%s+$", "")
  return { message = message, cause = cause or cause_of(message) }
end
