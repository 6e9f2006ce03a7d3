--- Starts the simulator's child process with what plain Lua has: io.popen and a FIFO.
-- The child reads its options from the pipe that popen made and watches it for its end; the FIFO carries one line
-- back. The shell opens the FIFO first, so a child that cannot start is seen as an end of file, never as a hang.
local json = require "veo.simulator.json"

local M = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local folder = debug.getinfo(1, "S").source:gsub("^@", ""):gsub("[^/\\]*$", "")

-- Any Lua will do that has cqueues; the caller's own may be one inside a game that has not.
local candidates = "${VEO_SIMULATOR_LUA:-} lua5.4 lua lua5.3 luajit lua5.2 lua5.1"

-- What a child has no use for: keys, and the password of a ledger.
local SECRETS = "unset KIE_API_KEY KIE_WEBHOOK_KEY VEO_LEDGER; "

local command = SECRETS .. [[
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
ulimit -n "$(ulimit -Hn)" 2>/dev/null
for lua in %s; do
  if "$lua" -e 'require "cqueues" require "cjson"' </dev/null >/dev/null 2>&1; then exec "$lua" %s --child; fi
done
echo '{"error":"no Lua with cqueues and cjson found (Debian: lua5.4 lua-cqueues lua-cjson)"}'
]]

--- @param line string options as one line of JSON
--- @return any|nil pipe closing it ends the child, table|string about what the child says, or why not
function M.start(line)
  local fifo = os.tmpname()
  os.remove(fifo)
  local made = os.execute(SECRETS .. "mkfifo -m 600 " .. quote(fifo))
  if made ~= true and made ~= 0 then return nil, "cannot make a FIFO at " .. fifo end
  local text = command:format(candidates, quote((folder == "" and "./" or folder) .. "main.lua"))
  local pipe, why = io.popen("{ " .. text .. "} >" .. quote(fifo), "w")
  if not pipe then
    os.remove(fifo)
    return nil, why
  end
  pipe:write(line, "\n")
  pipe:flush()
  local back = assert(io.open(fifo, "r"))
  os.remove(fifo)
  local said = back:read("*l")
  back:close()
  local about = said and json.decode(said)
  if not about or about.error then
    pipe:close()
    return nil, about and about.error or "the child ended and said nothing"
  end
  return pipe, about
end

return M
