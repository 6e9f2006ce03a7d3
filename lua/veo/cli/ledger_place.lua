--- The ledger that the command keeps where none is named, so that an order that was made is never paid twice:
--- $XDG_STATE_HOME/veo/orders.db, or ~/.local/state/veo/orders.db.
---
--- A ledger belongs to one service. Where that one has another's orders, as after trying the simulator, this service's
--- stand beside it, in orders-ADDRESS.db.

local address = require "veo.util.address"
local filenames = require "veo.util.filename"
local inputs = require "veo.cli.input"
local packages = require "veo.cli.packages"
local phrases = require "veo.cli.phrases"

local M = {}

local NO_SUCH_FILE, NOT_A_FOLDER = 2, 20 -- errno: with any other one, something may be there

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

-- Makes it with its folders, for this user alone. Two commands that do so at once make one: nothing is emptied. A link to
-- nothing may be a ledger's whose disk is not there just now.
local SCRIPT = [[exec 2>&1
unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER
umask 077
where=%s path=%s part=$path
while [ -n "$part" ]; do
  [ -L "$part" ] && [ ! -e "$part" ] && printf 'link %%s' "$part" && exit
  part=${part%%/*}
done
mkdir -p "$where" && : >> "$path"]]

local function make(where, path)
  local pipe = io.popen(SCRIPT:format(phrases.quote(where), phrases.quote(path)))
  local said = pipe and pipe:read("*a") or ""
  if pipe then pipe:close() end
  local link = said:match("^link (.*)")
  if link then return nil, nil, link .. " is a link to nothing that is there now" end
  local file = inputs.open(path)
  if file then file:close() end
  if file then return true end
  return nil, said:match("([^:\n%s][^:\n]*)\n*$") or "it cannot be made"
end

local function look(path)
  local file, why, number = inputs.open(path)
  if file then file:close() end
  if file then return "there" end
  if number == NO_SUCH_FILE or number == NOT_A_FOLDER then return "absent" end
  return "shut", why
end

local function shut(path, why)
  return { problem = ("the ledger %s cannot be read (%s), and may know this order: mend that, name another with "
    .. "--ledger, or do without by --no-ledger"):format(path, why) }
end

---@class veo.cli.LedgerPlace
---@field path string|nil
---@field made boolean|nil     it was not there before
---@field lacks string|nil     why there can be none
---@field problem string|nil   it is there and cannot be used: to go on without it might pay twice

-- The name of a service's own ledger: one, however its address is spelt.
local function name_for(base)
  base = address(base)
  return filenames.fill("orders-{key}.db", { taskId = base, ref = base, operation = "", created = 0,
    key = base:gsub("^%a+://", "") })
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
  local found
  found, why = look(path)
  if found == "shut" then return shut(path, why) end
  if found == "there" or not make_it then return { path = found == "there" and path or nil } end
  local made, link
  made, why, link = make(where, path)
  if made then return { path = path, made = true } end
  if link then return shut(path, link) end
  return { lacks = ("%s cannot be made (%s)"):format(path, why) }
end

return M
