--- What lua-veo needs of the standard library. A sandbox may lack some of it, which must be known before money can be
--- spent. `io`, `os` and `debug` are not needed: the README says what works without them.
---
--- This file alone looks globals up when it is called: other modules take them when they are loaded, which may be
--- later.

local M = {}

local function wanted()
  local c, m, s, t = coroutine or {}, math or {}, string or {}, table or {}
  return {
    { "error", error }, { "getmetatable", getmetatable }, { "ipairs", ipairs }, { "next", next }, { "pairs", pairs },
    { "pcall", pcall }, { "rawget", rawget }, { "select", select },
    { "setmetatable", setmetatable }, { "tonumber", tonumber }, { "tostring", tostring }, { "type", type },
    { "coroutine.create", c.create }, { "coroutine.resume", c.resume }, { "coroutine.running", c.running },
    { "coroutine.status", c.status }, { "coroutine.yield", c.yield },
    { "math.abs", m.abs }, { "math.exp", m.exp }, { "math.floor", m.floor }, { "math.huge", m.huge },
    { "math.max", m.max }, { "math.min", m.min },
    { "string.byte", s.byte }, { "string.char", s.char }, { "string.find", s.find }, { "string.format", s.format },
    { "string.gmatch", s.gmatch }, { "string.gsub", s.gsub }, { "string.lower", s.lower }, { "string.match", s.match },
    { "string.sub", s.sub },
    { "table.concat", t.concat }, { "table.remove", t.remove }, { "table.sort", t.sort },
    { "table.unpack", t.unpack or unpack }, -- luacheck: ignore
    { "require", require },
  }
end

---The first thing that is needed to load a room and is not there.
---@return string|nil name
function M.missing()
  local all = wanted()
  for i = 1, #all do
    if all[i][2] == nil then return all[i][1] end
  end
  return nil
end

---A sentence about what is not there.
---@param what string  what is asked for
---@param name string  what it takes
---@return string
function M.sentence(what, name)
  return what .. " needs " .. name .. ", which this Lua does not have (a sandbox?)"
end

return M
