-- busted's helper: where VEO_SPEC_NOW names a file, the spec that runs stands in it, so that CI can say which one hung.
local path = os.getenv("VEO_SPEC_NOW")
if not path then return end

local busted = require "busted"

local function full_name(element)
  local words = {}
  while element and element.descriptor ~= "file" do
    table.insert(words, 1, element.name)
    element = busted.parent(element)
  end
  return table.concat(words, " ")
end

busted.subscribe({ "test", "start" }, function(element)
  local file = assert(io.open(path, "w"))
  file:write(full_name(element), "\n")
  file:close()
end)
