-- Whom a client trusts, in a process of its own whose environment names it. The system's bundle does not have the
-- simulator's authority, so an answer shows that the folder was searched instead.

local kit = require "spec.support.kit"
local simulator = require "veo.simulator"

local BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
local UNKNOWN_ISSUER = "60\n" -- CURLE_PEER_FAILED_VERIFICATION; the words are those of a TLS library

describe("trust", function()
  local sim, folder, certificates

  -- Copies what the system has under hashed names, and the simulator's authority.
  setup(function()
    sim = simulator.start { speed = 1000, rate = false, tls = true }
    folder = kit.folder()
    certificates = folder .. "/certificates"
    kit.output(("mkdir %s; for link in /etc/ssl/certs/*.[0-9]; do ln -s $(readlink -f $link) %s/${link##*/}; done; "
      .. "ln -s %s %s/$(openssl x509 -hash -noout -in %s).0"):format(certificates, certificates, sim.ca_file,
      certificates, sim.ca_file))
    kit.write(folder .. "/ask.lua", ([[
      local core = require "veo.core"
      local client = core.new { base_url = %q, api_key = %q, ca_file = arg[1] }
      local reply, failure = client:status("task")
      print(reply and "trusted" or failure.curl_code)
      client:close()
    ]]):format(sim.url, sim.api_key))
  end)
  teardown(function()
    sim:stop()
    kit.sweep()
  end)

  local function ask(environment, ca_file)
    return kit.output(("env -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR %s %s %s/ask.lua %s"):format(
      environment, kit.lua(), folder, ca_file or ""))
  end

  it("is the system's when nothing is named", function()
    assert.equal(UNKNOWN_ISSUER, ask(""))
  end)

  -- GnuTLS would read all of it.
  it("is a folder of hashed names that lacks nothing of the bundle #openssl", function()
    local major, minor = require "veo.core".curl_version:match "^(%d+)%.(%d+)"
    if major * 1000 + minor < 7077 then return pending "libcurl 7.77 and newer" end
    assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. certificates))
    assert.equal("trusted\n", ask("SSL_CERT_FILE=" .. BUNDLE .. " SSL_CERT_DIR=" .. certificates))
  end)

  describe("is the bundle when the folder", function()
    -- Each spoils a copy of the folder that would be trusted, in the shell, with $f the name of one of the certificates.
    for what, how in pairs {
      ["lacks one"] = "rm $f",
      ["has another one instead"] = "cp --remove-destination SIM $f",
      ["has a name that leads nowhere"] = "ln -sf /nowhere $f",
      ["has a certificate where it is not looked for"] = "mv $f ${f%.0}.1",
      ["has a pipe"] = "mkfifo 01234567.0",
      ["has a folder by a hashed name"] = "mkdir 01234567.0",
      ["has a cut certificate"] = "head -5 $f >01234567.0",
      ["has two in one file"] = "cat $f SIM >01234567.0",
      ["has what is no certificate"] = "date >01234567.0",
      ["has only unusual names"] = "for g in *; do mv $g x$g; done",
    } do
      it(what, function()
        local spoilt = folder .. "/spoilt"
        kit.output(("rm -rf %s; cp -a %s %s; cd %s; for f in 3*.0; do break; done; %s"):format(spoilt, certificates,
          spoilt, spoilt, (how:gsub("SIM", sim.ca_file))))
        assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. spoilt))
      end)
    end

    it("is none, or not named by its whole path", function()
      for _, dir in ipairs { folder, folder .. "/ask.lua", folder .. "/nowhere", certificates .. ":" .. folder } do
        assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. dir), dir)
      end
      local relative = kit.output(("cd %s; env -u CURL_CA_BUNDLE -u SSL_CERT_FILE SSL_CERT_DIR=certificates %s ask.lua"
        ):format(folder, kit.lua()))
      assert.equal(UNKNOWN_ISSUER, relative)
    end)
  end)

  it("is nothing but a file that was named", function()
    assert.equal("trusted\n", ask("", sim.ca_file))
    assert.equal("trusted\n", ask("CURL_CA_BUNDLE=" .. sim.ca_file))
    assert.equal("trusted\n", ask("SSL_CERT_FILE=" .. sim.ca_file))
    assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. certificates, BUNDLE))
    assert.equal(UNKNOWN_ISSUER, ask("CURL_CA_BUNDLE=" .. BUNDLE .. " SSL_CERT_DIR=" .. certificates))
    local other = folder .. "/other.pem"
    kit.output("for link in /etc/ssl/certs/*.0; do cp $link " .. other .. "; break; done")
    assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. certificates, other))
    assert.equal(UNKNOWN_ISSUER, ask("CURL_CA_BUNDLE=" .. other .. " SSL_CERT_DIR=" .. certificates))
  end)
end)
