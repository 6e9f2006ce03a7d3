-- A listener with accept = "control": a line "name json" makes the fields of that listener what they are from then on
-- (over those it was started with), and is answered "ok". What listeners tell comes as lines "name event".
local cjson = require "cjson"
local option = require "option"

local M = {}
local told = {}

---Tells every control connection what a listener has come to.
function M.tell(name, event)
  for con in pairs(told) do
    con:write(name .. " " .. event .. "\n")
  end
end

---A listener's fields over those it was started with.
function M.changeable(fields)
  return setmetatable({}, { __index = fields })
end

function M.serve(con, listeners)
  option.prompt(con)
  told[con] = true
  for line in function() return con:read("*l") end do
    local name, text = line:match("^(%S+) (.*)$")
    local listener = listeners[name]
    for field in pairs(listener) do
      listener[field] = nil
    end
    for field, value in pairs(cjson.decode(text)) do
      listener[field] = value
    end
    con:write("ok\n")
  end
  told[con] = nil
end

return M
