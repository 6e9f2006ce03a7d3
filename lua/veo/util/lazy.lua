--- Modules that are loaded at their first use. Most scripts need no ledger, no chain and no webhook, and compiling
--- those modules is half of what `require "veo"` costs beyond the C core (2 of 4 ms, measured).

local error, pcall, require = error, pcall, require
local setmetatable, type = setmetatable, type
local find = string.find
local loaded = package and package.loaded or {}

local stdlib = require "veo.util.stdlib"

local M = {}

-- For every stand-in, the function that loads its module.
local doors = {}

-- A module cannot be loaded once the host has dropped standard functions that it needs; and after another lua-veo was
-- loaded in this one's place, `require` finds the modules of that one.
local function obstacle()
  local name = stdlib.missing()
  if name then return stdlib.sentence("loading it", name) end
  if loaded["veo.util.lazy"] and loaded["veo.util.lazy"] ~= M then return "another lua-veo was loaded meanwhile" end
  return nil
end

-- The module, or nil and why it cannot be loaded. Other errors, such as an interrupt or a bug in it, are raised.
local function open(name)
  local why = obstacle()
  if why then return nil, why end
  local ok, room = pcall(require, name)
  if ok then return room end
  if type(room) ~= "string" or not find(room, "^module '.-' not found") then error(room, 0) end
  return nil, room
end

---@param name string
---@return table module  stands for the module; its functions are there, walking over it is not. Where the module cannot
---  be loaded, each of them returns nil and an error (missing)
function M.room(name)
  local room
  local function door()
    local why
    if not room then room, why = open(name) end
    return room, why and name .. " is not loaded, so call veo.preload() earlier: " .. why
  end
  doors[#doors + 1] = door
  return setmetatable({}, {
    __index = function(self, key)
      local there, why = door()
      if not there then
        return function() return nil, require("veo.errors").new { code = "missing", message = why, sent = "no" } end
      end
      self[key] = there[key]
      return there[key]
    end,
  })
end

---Loads every module, also those that others load lazily.
---@return string|nil problem
function M.all()
  local at = 1
  while doors[at] do
    local there, why = doors[at]()
    if not there then return why end
    at = at + 1
  end
  return nil
end

return M
