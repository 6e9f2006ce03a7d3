-- What a client has done, for Prometheus: counters and gauges in its text format, as a host's /metrics answers them.
--
--   KIE_API_KEY=… lua5.4 examples/6_prometheus.lua

local client = require("veo").new()
print("# account: " .. assert(client:credits()) .. " credits")
for name, value in pairs(client:stats()) do
  print("# HELP veo_" .. name .. " As client:stats() of lua-veo has it.")
  print("# TYPE veo_" .. name .. (name:find "_total$" and " counter" or " gauge"))
  if name ~= "exchanges_total" then print("veo_" .. name .. " " .. value) end
  for kind, ends in pairs(name == "exchanges_total" and value or {}) do
    for how, count in pairs(ends) do print(('veo_%s{kind="%s",end="%s"} %d'):format(name, kind, how, count)) end
  end
end
