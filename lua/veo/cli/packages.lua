--- What is missing, and which package brings it, on one line.

local M = {}

-- As the distributions' indexes name them (looked up in 2026); "%s" is Lua's version, "%d" without its point. Where
-- there is none, LuaRocks has it.
local NAMES = {
  ["lua-cjson"] = { Debian = "lua-cjson", Alpine = "lua%s-cjson", rock = "lua-cjson" },
  argparse = { Debian = "lua-argparse", Fedora = "lua-argparse", Alpine = "lua-argparse", Arch = "lua%d-argparse",
    rock = "argparse" },
  cqueues = { Debian = "lua-cqueues", Fedora = "lua-cqueues", Alpine = "lua%s-cqueues", Arch = "lua%d-cqueues",
    rock = "cqueues" },
  LuaDBI = { Debian = "lua-dbi-sqlite3", Fedora = "lua-dbi", Alpine = "lua%s-dbi-sqlite3", Arch = "lua%d-dbi",
    rock = "luadbi-sqlite3" },
  ["LuaDBI for PostgreSQL"] = { Debian = "lua-dbi-postgresql", Fedora = "lua-dbi", Alpine = "lua%s-dbi-postgresql",
    Arch = "lua%d-dbi", rock = "luadbi-postgresql" },
}

local SYSTEMS = { "Debian", "Fedora", "Alpine", "Arch" }

---@param name string  a key of the table above
---@return string
function M.missing(name)
  local found, version = NAMES[name], _VERSION:match("%d+%.%d+")
  local rock = "luarocks --lua-version " .. version .. " install " .. found.rock
  local words, others = {}, { "Homebrew", "LuaRocks" }
  for _, system in ipairs(SYSTEMS) do
    local package = found[system] and found[system]:gsub("%%s", version):gsub("%%d", (version:gsub("%.", "")))
    if package then words[#words + 1] = system .. ": " .. package else table.insert(others, 1, system) end
  end
  words[#words + 1] = table.concat(others, ", ") .. ": " .. rock
  return ("%s is missing (%s)"):format(name, table.concat(words, "; "))
end

return M
