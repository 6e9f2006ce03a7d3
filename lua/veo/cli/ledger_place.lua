--- The ledger that the command keeps where none is named, so that an order that was made is never paid twice:
--- $XDG_STATE_HOME/veo/orders.db, or ~/.local/state/veo/orders.db.
---
--- A ledger belongs to one service. Where that one has another's orders, as after trying the simulator, this service's
--- stand beside it, in orders-ADDRESS.db.

local filenames = require "veo.util.filename"
local packages = require "veo.cli.packages"
local phrases = require "veo.cli.phrases"

local M = {}

local NO_SUCH_FILE, DENIED = 2, 13 -- errno

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function folder()
  local state, home = environment("XDG_STATE_HOME"), environment("HOME")
  if state and state:sub(1, 1) == "/" then return state .. "/veo" end -- the standard has any other ignored
  if home and home:sub(1, 1) == "/" then return home .. "/.local/state/veo" end
  return nil, "neither HOME nor XDG_STATE_HOME names a folder"
end

-- Makes it with its folders, for this user alone. Two commands that do so at once make one: nothing is emptied.
local SCRIPT = "unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER; umask 077; mkdir -p %s 2>&1 && { : >> %s; } 2>&1"

local function make(where, path)
  local pipe = io.popen(SCRIPT:format(phrases.quote(where), phrases.quote(path)))
  local said = pipe and pipe:read("*a") or ""
  if pipe then pipe:close() end
  local file = io.open(path, "rb")
  if file then file:close() end
  if file then return true end
  return nil, said:match("([^:\n%s][^:\n]*)\n*$") or "it cannot be made"
end

local function look(path)
  local file, _, number = io.open(path, "rb")
  if file then file:close() end
  return file and "there" or number == DENIED and "denied" or number == NO_SUCH_FILE and "absent" or "none"
end

---@class veo.cli.LedgerPlace
---@field path string|nil
---@field made boolean|nil     it was not there before
---@field lacks string|nil     why there can be none
---@field problem string|nil   it is there and cannot be used: to go on without it might pay twice

-- The name of a service's own ledger.
local function name_for(base)
  return filenames.fill("orders-{key}.db", { taskId = base, ref = base, operation = "", created = 0,
    key = base:gsub("^%a+://", ""):gsub("/+$", "") })
end

---@param make_it boolean  nothing is looked up in a ledger that is not there
---@param base string      the service's address
---@param other boolean|nil  orders.db is another service's
---@return veo.cli.LedgerPlace
function M.find(make_it, base, other)
  if not (pcall(require, "DBI") and pcall(require, "dbd.sqlite3")) then
    return { lacks = packages.missing "LuaDBI" }
  end
  local where, why = folder()
  if not where then return { lacks = why } end
  local path = where .. "/" .. name_for(base)
  if not other and look(path) == "absent" then path = where .. "/orders.db" end
  local found = look(path)
  if found == "there" or not make_it and found ~= "denied" then return { path = found == "there" and path or nil } end
  if found == "denied" then
    return { problem = ("the ledger %s cannot be read, and may know this order: mend its permissions, name another "
      .. "with --ledger, or do without by --no-ledger"):format(path) }
  end
  local made
  made, why = make(where, path)
  if made then return { path = path, made = true } end
  return { lacks = ("%s cannot be made (%s)"):format(path, why) }
end

return M
