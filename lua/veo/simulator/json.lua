--- JSON for the simulator: lua-cjson with a plain way to write null, and arrays that stay arrays.
local cjson = require("cjson.safe").new()

cjson.encode_sparse_array(true)

local M = { null = cjson.null, decode = cjson.decode }

--- Encodes; an empty table is an object. lua-cjson writes every "/" as "\/", the service does not.
function M.encode(value)
  return (assert(cjson.encode(value)):gsub("\\/", "/"))
end

--- Encodes a list; an empty one is "[]", which lua-cjson 2.1.0 cannot say.
function M.list(list)
  if #list == 0 then return "[]" end
  return M.encode(list)
end

local whole = math.tointeger or function() end

--- lua-cjson 2.1.0 decodes every number as a float: whole ones become integers where the Lua has them.
function M.with_integers(value)
  if type(value) == "number" then return whole(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = M.with_integers(item) end
  end
  return value
end

return M
