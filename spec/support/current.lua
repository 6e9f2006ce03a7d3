-- busted's helper, before all specs.

-- busted forgets before each file what the last one loaded. cqueues and luaossl make their metatables anew when they are
-- loaded again, and then raise in the finalizer of what is older (on 5.1 wherever the collector stands, once as a crash).
for _, name in ipairs { "cqueues", "cqueues.socket", "cqueues.condition", "cqueues.errno", "openssl.bignum",
  "openssl.digest", "openssl.hmac", "openssl.pkey", "openssl.ssl.context", "openssl.x509", "openssl.x509.altname",
  "openssl.x509.extension", "openssl.x509.name" } do
  pcall(require, name)
end

-- VEO_COLLECTOR=eager: the next cycle of the collector begins where the last one ended; =generational: that of 5.4.
local collector = os.getenv("VEO_COLLECTOR")
if collector == "eager" then
  collectgarbage("setpause", 0)
elseif collector then
  collectgarbage(collector)
end

-- Where VEO_SPEC_NOW names a file, the spec that runs stands in it, so that CI can say which one hung.
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
