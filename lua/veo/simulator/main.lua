--- The simulator as a process of its own.
--   lua5.4 lua/veo/simulator/main.lua --port 8080 --speed 100      in the foreground, prints where it listens
--   … --child                                                       started by veo.simulator: options come as JSON
--                                                                    on standard input, whose end ends the process
-- Both find the other modules beside this file.
local folder = arg[0]:gsub("[^/\\]*$", "")
package.path = folder .. "../../?.lua;" .. folder .. "../../?/init.lua;" .. package.path

local loop = require "veo.simulator.loop"

if arg[1] == "--child" then
  local line = io.read("*l")
  if line then loop.run_child(line) end
else
  os.exit(loop.run_command(arg))
end
