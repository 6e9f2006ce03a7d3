--- gzip by lua-zlib, which only the effects that pack a body need.
local M = {}

local MISSING = "the simulator's gzip effects need lua-zlib (Debian: lua-zlib, LuaRocks: lua-zlib)"
local GZIP = 31 -- zlib's window of 15 bits, and 16 for the format
local BOMB = 64 * 1024 * 1024

local zlib, bomb

--- Why nothing can be packed, or nil.
--- @return string|nil
function M.obstacle()
  if zlib then return nil end
  local found, module = pcall(require, "zlib")
  if not found or type(module) ~= "table" or not module.deflate then return MISSING end
  zlib = module
  return nil
end

local function deflater(level)
  local obstacle = M.obstacle()
  if obstacle then error(obstacle, 0) end
  return zlib.deflate(level, GZIP)
end

--- @param text string
--- @param level integer|nil  0 to 9; 0 stores the text as it is
--- @return string
function M.pack(text, level)
  return (deflater(level or 6)(text, "finish"))
end

--- About 64 KiB that unpack to 64 MiB: `{`, blanks, `}`.
function M.bomb()
  if bomb then return bomb end
  local pack, blanks = deflater(9), (" "):rep(65536)
  local parts = { (pack("{" .. blanks:sub(3))) }
  for i = 2, BOMB / #blanks do parts[i] = (pack(blanks)) end
  parts[#parts + 1] = (pack("}", "finish"))
  bomb = table.concat(parts)
  return bomb
end

return M
