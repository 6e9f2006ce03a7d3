-- Whom a client trusts, in a process of its own whose environment names it. The system's bundle does not have the
-- simulator's authority, so an answer shows that the folder was searched instead.

local kit = require "spec.support.kit"
local simulator = require "veo.simulator"

local BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

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
      print(reply and "trusted" or failure.message)
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
    assert.matches("SSL certificate", ask(""))
  end)

  it("is a folder of hashed names that lacks nothing of the bundle", function()
    assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. certificates))
    assert.equal("trusted\n", ask("SSL_CERT_FILE=" .. BUNDLE .. " SSL_CERT_DIR=" .. certificates))
    assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. certificates, BUNDLE))
  end)

  it("is the bundle when the folder lacks some, or is none", function()
    local few = folder .. "/few"
    kit.output(("mkdir %s; cp -P %s/[a-d]*.[0-9] %s/$(openssl x509 -hash -noout -in %s).0 %s"):format(few, certificates,
      certificates, sim.ca_file, few))
    local pipes = folder .. "/pipes"
    kit.output(("mkdir %s; for link in %s/*; do mkfifo %s/${link##*/}; done"):format(pipes, certificates, pipes))
    for _, dir in ipairs { few, folder, folder .. "/ask.lua", folder .. "/nowhere", pipes } do
      assert.matches("SSL certificate", ask("SSL_CERT_DIR=" .. dir), dir)
    end
  end)

  it("is nothing but a file that was named", function()
    assert.equal("trusted\n", ask("", sim.ca_file))
    assert.equal("trusted\n", ask("CURL_CA_BUNDLE=" .. sim.ca_file))
    assert.equal("trusted\n", ask("SSL_CERT_FILE=" .. sim.ca_file))
    local other = folder .. "/other.pem"
    kit.output("for link in /etc/ssl/certs/*.0; do cp $link " .. other .. "; break; done")
    assert.matches("SSL certificate", ask("SSL_CERT_DIR=" .. certificates, other))
    assert.matches("SSL certificate", ask("CURL_CA_BUNDLE=" .. other .. " SSL_CERT_DIR=" .. certificates))
  end)
end)
