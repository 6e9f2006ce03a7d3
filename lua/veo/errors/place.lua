--- Where an error of ours was raised, asked while it is on its way. The stand-alone Lua shows an error that is a table by
--- its __tostring alone, without file, line or traceback: that runs in the message handler, when what raised the error
--- still stands on the stack.

local assert, error, pcall, select = assert, error, pcall, select
local format, gsub, sub = string.format, string.gsub, string.sub
local getinfo = debug and debug.getinfo

local M = {}

-- Of this library's files.
local OWN = getinfo and gsub(getinfo(1, "S").source, "errors[/\\]place%.lua$", "") or ""
-- How far the stack is searched; a handler is a few calls deep.
local DEEP = 40

---Whether `assert` raises a table as it is. That of Lua 5.1 does not, and its stand-alone shows none either.
M.takes_tables = select(2, pcall(assert, false, M)) == M

-- "game.lua:12: " of the first function outside of this library, from a level of the stack of whoever calls this; no tail
-- call, which would be one level less.
local function outside(level)
  for at = level + 1, level + DEEP do
    local info = getinfo(at, "Sl")
    if not info then return "" end
    if info.currentline > 0 and sub(info.source, 1, #OWN) ~= OWN then
      return format("%s:%d: ", info.short_src, info.currentline)
    end
  end
  return ""
end

---"game.lua:12: ", the line outside of this library that called it; "" where that cannot be seen.
---@return string
function M.caller()
  return getinfo and outside(2) or ""
end

---"game.lua:12: " while an error is being raised there; "" at any other time.
---@return string
function M.raising()
  for level = 2, getinfo and DEEP or 0 do
    local info = getinfo(level, "f")
    if not info then return "" end
    if info.func == assert or info.func == error then return (outside(level + 1)) end
  end
  return ""
end

return M
