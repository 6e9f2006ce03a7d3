-- Throw-away certificates: one CA made at the start, and TLS contexts for "localhost" and 127.0.0.1 signed by it.
local pkey = require "openssl.pkey"
local x509 = require "openssl.x509"
local name = require "openssl.x509.name"
local altname = require "openssl.x509.altname"
local extension = require "openssl.x509.extension"
local context = require "openssl.ssl.context"
local bignum = require "openssl.bignum"

local M = {}

local serial = 0

local function key()
  return pkey.new { type = "EC", curve = "prime256v1" } -- an RSA key would take a second to make
end

local function certificate(common_name, public)
  serial = serial + 1
  local crt = x509.new()
  local subject = name.new()
  subject:add("CN", common_name)
  crt:setVersion(3)
  crt:setSerial(bignum.new(serial))
  crt:setSubject(subject)
  crt:setLifetime(os.time() - 86400, os.time() + 86400)
  crt:setPublicKey(public)
  return crt
end

local function authority(common_name)
  local private = key()
  local crt = certificate(common_name, private)
  crt:setIssuer(crt:getSubject())
  crt:addExtension(extension.new("basicConstraints", "critical,CA:TRUE"))
  crt:addExtension(extension.new("keyUsage", "critical,keyCertSign,cRLSign"))
  crt:sign(private)
  return { crt = crt, key = private }
end

local function leaf(ca, wrong_name)
  local private = key()
  local crt = certificate("fault server", private)
  local names = altname.new()
  if wrong_name then
    names:add("DNS", "somebody-else.example")
  else
    names:add("DNS", "localhost")
    names:add("IP", "127.0.0.1")
  end
  crt:setIssuer(ca.crt:getSubject())
  crt:setSubjectAlt(names)
  crt:sign(ca.key)
  return crt, private
end

local ALPN = { both = { "h2", "http/1.1" }, ["http/1.1"] = { "http/1.1" }, none = {} }

-- The server's choice among what the client offers; nil refuses ALPN, which means HTTP/1.1.
local function choose(wanted)
  return function(_, offered)
    for _, protocol in ipairs(wanted) do
      for _, other in ipairs(offered) do
        if protocol == other then
          return protocol
        end
      end
    end
    return nil
  end
end

---Writes the CA's certificate to `ca_path` → a function (kind, alpn) → TLS context; kinds as in main.lua.
function M.new(ca_path)
  local known, unknown = authority("fault CA"), authority("nobody's CA")
  local file = assert(io.open(ca_path, "w"))
  file:write(known.crt:toPEM())
  file:close()
  local made = {}
  return function(kind, alpn)
    local id = tostring(kind) .. " " .. tostring(alpn)
    if not made[id] then
      local ctx = context.new("TLS", true)
      local crt, private = leaf(kind == "untrusted" and unknown or known, kind == "wrong_name")
      ctx:setCertificate(crt)
      ctx:setPrivateKey(private)
      ctx:setAlpnSelect(choose(ALPN[alpn or "both"]))
      made[id] = ctx
    end
    return made[id]
  end
end

---Writes the certificate of a new CA, and a server's certificate and key, for a server that reads files:
---`folder`/ca.pem, server.pem, server.key.
function M.write(folder)
  local ca = authority("a spec's CA")
  local crt, private = leaf(ca, false)
  for file_name, text in pairs { ["ca.pem"] = ca.crt:toPEM(), ["server.pem"] = crt:toPEM(),
    ["server.key"] = private:toPEM("private") } do
    local file = assert(io.open(folder .. "/" .. file_name, "w"))
    file:write(text)
    file:close()
  end
end

return M
