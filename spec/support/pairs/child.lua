--- Runs sweep.lua in child processes with a libcurl that fails on command. One that dies is a row's problem, and another
--- one goes on behind that row.
local cjson = require "cjson"
local helper = require "spec.support.helper"

local M = {}

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- The child has nothing to do with what is preloaded here, and takes the ordinary core.
local function command(library, arguments)
  for i, argument in ipairs(arguments) do arguments[i] = quoted(argument) end
  if not library:find("/", 1, true) then library = "./" .. library end
  return ("LUA_PATH=%s LUA_CPATH=%s LD_PRELOAD=%s timeout -k 5 300 %s spec/support/pairs/sweep.lua %s 2>&1"):format(
    quoted("./?.lua;lua/?.lua;lua/?/init.lua;;"), quoted(library:match "^(.*/)" .. "?.so;;"), quoted(library),
    helper.lua(), table.concat(arguments, " "))
end

---Where the library is, or nil when it was not built.
function M.library()
  local version = rawget(_G, "jit") and "jit" or _VERSION:match("%d+%.%d+")
  local path = (os.getenv "VEO_BUILD" or "build/" .. version) .. "/curl_faults.so"
  return helper.read(path) and path or nil
end

---@param library string
---@param world table
---@param what "memory"|"option"
---@param transport string
---@param step integer
---@return table[] rows  what sweep.lua said of each
function M.sweep(library, world, what, transport, step)
  local rows, at = {}, nil
  repeat
    local pipe = io.popen(command(library, { what, transport, tostring(step), world:describe(what .. transport),
      at and at.kind, at and tostring(at.n) }))
    local over, begun, said = false, nil, nil
    for line in pipe:lines() do
      local ok, entry = pcall(cjson.decode, line)
      if not ok then
        said = (said and said .. "\n" or "") .. line
      elseif entry.over then
        over = true
      elseif entry.begun then
        begun = entry
      else
        rows[#rows + 1], begun = entry, nil
      end
    end
    pipe:close()
    if not over and not begun then error("the child process did not start: " .. tostring(said)) end
    if begun then
      begun.problem, begun.died = "the process died: " .. (said or "without a word"), true
      rows[#rows + 1], at = begun, { kind = begun.kind, n = math.floor(begun.n) }
    end
  until over
  return rows
end

return M
