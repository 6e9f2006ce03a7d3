--- What the `ledger` option names: a file of SQLite's, or a PostgreSQL server. Whatever only looks like one of them is
--- refused with the right spelling, or SQLite would make a new file of that name, and every key could be paid again.

local find, format, gmatch, gsub, match = string.find, string.format, string.gmatch, string.gsub, string.match

local M = {}

local EXAMPLE = '"renders.db" or "postgresql://user@host/db"'
-- Words of a libpq connection string, "host=… dbname=…".
local WORDS = { host = true, hostaddr = true, port = true, dbname = true, user = true, password = true, service = true,
  passfile = true, sslmode = true, connect_timeout = true, application_name = true, options = true }

-- The URI that says the same; without its password, for it goes into an error.
local function as_uri(words)
  local found = {}
  for name, value in gmatch(words, "(%w+)%s*=%s*'?([^%s']+)") do found[name] = value end
  return format("postgresql://%s%s%s/%s", found.user and found.user .. "@" or "", found.host or found.hostaddr or "",
    found.port and ":" .. found.port or "", found.dbname or "")
end

---@param where string
---@return "sqlite"|"postgresql"|nil kind
---@return string|nil problem
function M.kind(where)
  if find(where, "^postgres://") or find(where, "^postgresql://") then return "postgresql" end
  local word = match(where, "^%s*([%w_]+)%s*=")
  if word and WORDS[word] then return nil, format('a connection string is not read here: write "%s"', as_uri(where)) end
  if find(where, "^:memory:") or find(where, "mode=memory", 1, true) then
    return nil, 'a ledger in memory forgets with its process what was paid: name a file, as "renders.db"'
  end
  local scheme, rest = match(where, "^(%a[%w+.-]+):(.*)$")
  if scheme == "file" or scheme == "sqlite" or scheme == "sqlite3" then
    local path = gsub(gsub(rest, "^//+", "/"), "%?.*$", "")
    return nil, format('a URI of a file is not read here: write "%s"', path)
  end
  if scheme == "postgres" or scheme == "postgresql" then return nil, 'write "postgresql://user@host/db"' end
  if scheme and find(rest, "^//") then return nil, format("%s:// is unknown here: write %s", scheme, EXAMPLE) end
  if find(where, "^:") then return nil, format('write "./%s" for a file of that name', where) end
  return "sqlite"
end

return M
