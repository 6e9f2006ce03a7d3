--- JSON for the simulator: lua-cjson with a plain way to write null, and arrays that stay arrays.
local cjson = require("cjson.safe").new()

cjson.encode_sparse_array(true)

local M = { null = cjson.null }

--- Encodes; an empty table is an object. lua-cjson writes every "/" as "\/", the service does not.
function M.encode(value)
  return (assert(cjson.encode(value)):gsub("\\/", "/"))
end

--- Encodes a list; an empty one is "[]", which lua-cjson 2.1.0 cannot say.
function M.list(list)
  if #list == 0 then return "[]" end
  return M.encode(list)
end

local whole = rawget(math, "tointeger") or function() end

-- lua-cjson 2.1.0 decodes every number as a float: whole ones become integers where the Lua has them.
local function with_integers(value)
  if type(value) == "number" then return whole(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = with_integers(item) end
  end
  return value
end

--- Decodes; nil and why when it is not JSON.
function M.decode(text)
  local value, why = cjson.decode(text)
  if value == nil then return nil, why end
  return with_integers(value)
end

return M
