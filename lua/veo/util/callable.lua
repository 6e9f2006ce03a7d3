--- Whether a value can be called like a function.

local getmetatable, type = getmetatable, type

---@param value any
---@return boolean
return function(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end
