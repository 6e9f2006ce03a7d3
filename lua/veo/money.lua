--- Where the prices were before they were `veo.prices`.

local error = error
local loaded = package and package.loaded or {}

loaded["veo.money"] = nil -- or Lua 5.1 says of the next require that it loads in a circle
error('veo.money: what calls cost stands in veo.prices now: require("veo").prices', 0)
