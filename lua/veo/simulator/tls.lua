--- A throw-away certificate authority and a certificate for loopback, made at each start: no key is ever committed.
local altname = require "openssl.x509.altname"
local context = require "openssl.ssl.context"
local extension = require "openssl.x509.extension"
local name = require "openssl.x509.name"
local pkey = require "openssl.pkey"
local x509 = require "openssl.x509"

local M = {}

local DAY = 24 * 3600
local serial = os.time()

-- An elliptic key takes a millisecond; RSA would take a hundred.
local function certificate(subject, key, issuer, extensions)
  local made = x509.new()
  serial = serial + 1
  made:setVersion(3)
  made:setSerial(serial)
  local dn = name.new()
  dn:add("CN", subject)
  made:setSubject(dn)
  made:setIssuer(issuer and issuer:getSubject() or dn)
  made:setLifetime(os.time() - DAY, os.time() + DAY)
  made:setPublicKey(key)
  for _, item in ipairs(extensions) do made:addExtension(extension.new(item[1], item[2])) end
  return made
end

local function new_key() return pkey.new { type = "EC", curve = "prime256v1" } end

--- @return any context for the listeners, string ca_file path of the CA's certificate, the caller's to remove
function M.context()
  local ca_key = new_key()
  local ca = certificate("veo simulator test CA", ca_key, nil, {
    { "basicConstraints", "critical,CA:TRUE" }, { "keyUsage", "critical,keyCertSign,cRLSign" },
  })
  ca:sign(ca_key)

  local key = new_key()
  local leaf = certificate("localhost", key, ca, {
    { "basicConstraints", "critical,CA:FALSE" }, { "extendedKeyUsage", "serverAuth" },
  })
  local names = altname.new()
  names:add("DNS", "localhost")
  names:add("IP", "127.0.0.1")
  leaf:setSubjectAlt(names)
  leaf:sign(ca_key)

  local made = context.new("TLS", true)
  made:setCertificate(leaf)
  made:setPrivateKey(key)
  if made.setAlpnSelect then
    made:setAlpnSelect(function(_, offered)
      for _, protocol in ipairs(offered) do
        if protocol == "http/1.1" then return protocol end
      end
    end)
  end

  local ca_file = os.tmpname()
  local file = assert(io.open(ca_file, "w"))
  file:write(ca:toPEM())
  file:close()
  return made, ca_file
end

return M
