--- The README and docs/ as data, and a reader who types their blocks: shell in a folder that looks like a checkout, Lua
--- as files or as one program after the other, all against a simulator.

local helper = require "spec.support.helper"

local M = {}

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

---All pages, README first.
function M.names()
  local names = { "README.md", "CHANGELOG.md" }
  for _, name in ipairs(helper.list "docs") do
    if name:find "%.md$" then names[#names + 1] = "docs/" .. name end
  end
  return names
end

---A page without its blocks.
function M.prose(text) return (("\n" .. text):gsub("\n```.-\n```", "\n")) end

---What links to headings may say, as GitHub makes them.
function M.anchors(text)
  local out, count = {}, {}
  for heading in M.prose(text):gmatch "\n#+ ([^\n]+)" do
    local slug = heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")
    local seen = count[slug]
    count[slug] = (seen or 0) + 1
    out[seen and slug .. "-" .. seen or slug] = true
  end
  return out
end

---A page's blocks in order: { kind, code, name of the file that a block of Lua is }.
function M.blocks(text)
  local out = {}
  for kind, code in text:gmatch "\n```(%a*)\n(.-)\n```" do
    out[#out + 1] = { kind = kind, code = code, name = kind == "lua" and code:match "^%-%- ([%w_/]+%.lua)\n" or nil }
  end
  return out
end

-- The reader -----------------------------------------------------------------------------------------------------------

-- What every Lua started here does first: waits are short. Nothing else is changed.
local INIT = [[
local ordinary = require
function require(name)
  local found = ordinary(name)
  if name == "veo" and not rawget(found, "unhurried") then
    local new = found.new
    found.unhurried = new
    function found.new(given)
      local out = { wait = { first = 0.05, interval = 0.05, max_interval = 0.1 }, upgrade = { interval = 0.05 } }
      if type(given) ~= "table" and given ~= nil then return new(given) end
      for key, value in pairs(given or {}) do out[key] = value end
      return new(out)
    end
  end
  return found
end]]

-- LÖVE, where it is not installed: a loop that draws until the text has changed. spec/hosts has the real one.
local LOVE = [[
local first, shown
love = { graphics = { print = function(text) first, shown = first or text, text end } }
dofile(arg[1] .. "/main.lua")
love.load()
repeat
  love.update(0.016)
  love.draw()
until shown ~= first
assert(shown == "saved", shown)]]

local function executable(path, text)
  helper.write(path, "#!/bin/sh\n" .. text .. "\n")
  os.execute("chmod +x " .. path)
end

-- What would change what a block does; make hands its own variables down to the make of a block.
local UNSET = "MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES BUILD CPPFLAGS XDG_STATE_HOME VEO_LEDGER VEO_SIMULATE VEO_LOG "
  .. "LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4"

local Reader = {}
Reader.__index = Reader

---A folder for one page, where what the page says lies.
---@param sim table  the simulator that stands for the service
function M.reader(sim)
  local root, folder, lua = trim(helper.output "pwd"), helper.folder(), helper.lua()
  os.execute("mkdir " .. folder .. "/bin; ln -s " .. root .. "/* " .. folder)
  helper.write(folder .. "/bin/init.lua", INIT)
  helper.write(folder .. "/bin/love.lua", LOVE)
  executable(folder .. "/bin/veo", ("exec %s %s/lua/veo/main.lua \"$@\""):format(lua, root))
  executable(folder .. "/bin/love", ("exec %s %s/bin/love.lua \"$@\""):format(lua, folder))
  -- What needs root goes to a root of its own; apt says what it would do.
  executable(folder .. "/bin/sudo", ("DESTDIR=%s/root exec \"$@\""):format(folder))
  executable(folder .. "/bin/apt-get", "[ -x /usr/bin/apt-get ] || exit 0; exec /usr/bin/apt-get -s \"$@\"")
  if lua ~= "lua5.4" then executable(folder .. "/bin/lua5.4", ("exec %s \"$@\""):format(lua)) end
  local environment = {
    PATH = folder .. "/bin:" .. os.getenv "PATH", HOME = folder, NODEPS = "1", TERM = "dumb",
    LUA_INIT = "@" .. folder .. "/bin/init.lua", LUA_PATH = package.path, LUA_CPATH = helper.cpath(),
    KIE_API_KEY = sim.api_key, KIE_BASE_URL = sim.url, KIE_UPLOAD_URL = sim.upload_url,
  }
  local prefix = {}
  for name, value in pairs(environment) do prefix[#prefix + 1] = ("%s='%s'"):format(name, value) end
  local unset = ""
  for name in UNSET:gmatch "%S+" do unset = unset .. " -u " .. name end
  local command = "cd " .. folder .. " && env" .. unset .. " " .. table.concat(prefix, " ")
  return setmetatable({ folder = folder, key = sim.api_key, command = command, exports = "", program = "" }, Reader)
end

-- Runs a command where the reader stands; fails with what it said.
function Reader:run(command, shown)
  local said = helper.output(self.command .. " " .. command .. " </dev/null; echo status $?")
  if not said:find "status 0\n$" then error(shown .. "\n" .. said, 0) end
  return (said:gsub("status 0\n$", ""))
end

-- The blocks of Lua so far, as one program.
function Reader:flush()
  local program = self.program
  if program == "" then return end
  self.program = ""
  helper.write(self.folder .. "/bin/program.lua", program)
  self:run(helper.lua() .. " bin/program.lua", program)
end

function Reader:shell(code)
  self:flush()
  code = code:gsub("KIE_API_KEY=…", "KIE_API_KEY=" .. self.key)
  helper.write(self.folder .. "/bin/block.sh", self.exports .. code .. "\n")
  self:run("sh -e bin/block.sh", code)
  for line in code:gmatch "[^\n]+" do
    if line:find "^export " then self.exports = self.exports .. line .. "\n" end
  end
end

---Types one block.
function Reader:type(block)
  if block.kind == "sh" then return self:shell(block.code) end
  if not block.name then
    self.program = self.program .. block.code .. "\n"
    return
  end
  local path = self.folder .. "/" .. block.name
  os.execute("mkdir -p " .. path:match "^(.*)/")
  helper.write(path, block.code .. "\n")
end

return M
