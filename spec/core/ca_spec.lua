-- Whom a client trusts, in a process of its own whose environment names it. The system's bundle does not have the
-- simulator's authority, so an answer shows that something else was searched. What SSL_CERT_DIR means is asked of the
-- `curl` command as well, which nobody here wrote.

local child = require "spec.support.pairs.child"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
local SYSTEM = "/etc/ssl/certs"
local UNKNOWN_ISSUER = "60\n" -- CURLE_PEER_FAILED_VERIFICATION; the words are those of a TLS library
local NO_BUNDLE = "77\n" -- CURLE_SSL_CACERT_BADFILE
local LEAVE = "env -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR %s "

-- `bundle` and `own`: what libcurl is to say that it was built with; the bundle is gone once the client is there.
local ASK = [[
local ca_file, bundle, own, gone, elsewhere = (table.unpack or unpack)(arg)
if bundle and bundle ~= "" then require("curl_faults").authorities(bundle, own) end
local core = require "veo.core"
local client = core.new { base_url = %q, api_key = %q, ca_file = ca_file ~= "" and ca_file or nil }
if gone == "gone" then os.remove(bundle) end
if elsewhere then require("lfs").chdir(elsewhere) end
local reply, failure = client:status("task")
print(reply and "trusted" or failure.curl_code)
client:close()]]

describe("trust", function()
  local library = child.library()
  local sim, folder, certificates, only, others, plain

  -- `certificates`: what the system has under hashed names, and the simulator's authority; `only`: the latter; `plain`:
  -- the same under a name of its own; `others`: one of the system's.
  setup(function()
    sim = simulator.start { speed = 1000, rate = false, tls = true }
    folder = helper.folder()
    certificates, only, others, plain = folder .. "/certificates", folder .. "/only", folder .. "/others",
      folder .. "/plain"
    helper.output(([[cd %s; mkdir certificates only others plain empty
      for link in SYSTEM/*.[0-9]; do ln -s $(readlink -f $link) certificates/${link##*/}; done
      for link in SYSTEM/*.0; do cp $link others; cp $link other.pem; break; done
      hash=$(openssl x509 -hash -noout -in SIM)
      for name in certificates/$hash.0 only/$hash.0 plain/authority.pem; do cp SIM $name; done
      cat BUNDLE SIM >whole.pem]]):format(folder):gsub("%u%u%u+", { SYSTEM = SYSTEM, SIM = sim.ca_file,
      BUNDLE = BUNDLE }))
    helper.write(folder .. "/ask.lua", ASK:format(sim.url, sim.api_key))
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  local function ask(environment, ...)
    return helper.output(("cd %s; " .. LEAVE .. "%s ask.lua '%s'"):format(folder, environment, helper.lua(),
      table.concat({ ... }, "' '")))
  end

  -- Of a libcurl that was built with these.
  local function ask_with(bundle, own, environment, ...)
    return ask(environment .. " LD_PRELOAD=" .. library, "", bundle, own, ...)
  end

  -- What only a newer libcurl can do.
  local function has(version)
    local major, minor = require "veo.core".curl_version:match "^(%d+)%.(%d+)"
    return major * 1000 + minor >= version
  end

  it("is the system's when nothing is named", function()
    assert.equal(UNKNOWN_ISSUER, ask(""))
  end)

  describe("in the folder of SSL_CERT_DIR alone", function()
    it("is in what it holds", function()
      assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. only))
      assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. certificates))
      for _, dir in ipairs { others, folder .. "/empty", folder .. "/ask.lua", folder .. "/nowhere", "''" } do
        assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. dir), dir)
      end
    end)

    it("is in it wherever the program goes", function()
      assert.equal("trusted\n", ask "SSL_CERT_DIR=only")
      if not pcall(require, "lfs") then return pending "no LuaFileSystem here" end
      assert.equal("trusted\n", ask("SSL_CERT_DIR=only", "", "", "", "", "/"))
    end)

    -- GnuTLS reads all of it, and knows no list.
    it("is in what has a hashed name, in one of a list #openssl", function()
      assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_DIR=" .. plain))
      assert.equal("trusted\n", ask("SSL_CERT_DIR=" .. others .. ":" .. only))
    end)

    it("is what curl's is #openssl", function()
      for _, dir in ipairs { only, certificates, others, plain, folder .. "/empty", folder .. "/nowhere", sim.ca_file,
        "only", "''", others .. ":" .. only } do
        local named = "SSL_CERT_DIR=" .. dir
        local status = helper.output(("cd %s; " .. LEAVE
          .. "curl --noproxy '*' -s -o curl.out %s; echo $?"):format(folder,
          named, sim.url))
        assert.equal(status == "0\n" and "trusted\n" or status, ask(named), dir)
      end
    end)

    it("is in libcurl's own bundle as well", function()
      if not library or not has(7070) then return pending "needs curl_faults.so, LD_PRELOAD and libcurl 7.70" end
      local whole = folder .. "/whole.pem"
      for _, dir in ipairs { others, folder .. "/empty", folder .. "/nowhere" } do
        assert.equal("trusted\n", ask_with(whole, SYSTEM, "SSL_CERT_DIR=" .. dir), dir)
        assert.equal("trusted\n", ask_with(whole, "", "SSL_CERT_DIR=" .. dir), dir)
      end
      assert.equal("trusted\n", ask_with(folder .. "/other.pem", "", "SSL_CERT_DIR=" .. only))
      assert.equal("trusted\n", ask_with(BUNDLE, SYSTEM, "SSL_CERT_FILE=" .. BUNDLE .. " SSL_CERT_DIR=" .. only))
      assert.equal(UNKNOWN_ISSUER, ask_with(BUNDLE, SYSTEM, "SSL_CERT_DIR=" .. others))
    end)
  end)

  -- The bundle is gone when the connection is made, and nothing but it has the authority, or nothing but the folder.
  describe("in a folder in place of libcurl's bundle #openssl", function()
    local function replaced(environment, own, base)
      local bundle = folder .. "/gone.pem"
      helper.output(("cp %s %s"):format(base or folder .. "/whole.pem", bundle))
      return ask_with(bundle, own, environment, "gone")
    end

    local function unable()
      return (not library or not has(7077)) and "needs curl_faults.so, LD_PRELOAD and libcurl 7.77"
    end

    it("is in one that lacks nothing of the bundle", function()
      if unable() then return pending(unable()) end
      assert.equal("trusted\n", replaced("", certificates))
      assert.equal("trusted\n", replaced("SSL_CERT_DIR=" .. certificates, ""))
      assert.equal("trusted\n", replaced("SSL_CERT_DIR=certificates", SYSTEM))
      assert.equal("trusted\n", replaced("SSL_CERT_FILE=" .. folder .. "/gone.pem SSL_CERT_DIR=" .. certificates, ""))
    end)

    it("is in that of SSL_CERT_DIR and, behind it, in libcurl's own", function()
      if unable() then return pending(unable()) end
      assert.equal("trusted\n", replaced("SSL_CERT_DIR=" .. only, SYSTEM, BUNDLE))
      assert.equal("trusted\n", replaced("SSL_CERT_DIR=" .. others, certificates))
      assert.equal(UNKNOWN_ISSUER, replaced("SSL_CERT_DIR=" .. others, SYSTEM, BUNDLE))
      assert.equal(NO_BUNDLE, replaced("SSL_CERT_DIR=" .. others, SYSTEM))
    end)

    -- Each spoils a copy of the folder that would do, in the shell, with $f the name of one of the certificates.
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
      ["is not named by its whole path alone"] = "cd ..; mv spoilt spoilt:1",
    } do
      it("is not in one that " .. what, function()
        if unable() then return pending(unable()) end
        local spoilt = folder .. "/spoilt"
        helper.output(("rm -rf %s*; cp -a %s %s; cd %s; for f in 3*.0; do break; done; %s"):format(spoilt, certificates,
          spoilt, spoilt, (how:gsub("SIM", sim.ca_file))))
        if how:find("spoilt:1", 1, true) then spoilt = spoilt .. ":1" end
        assert.equal(NO_BUNDLE, replaced("SSL_CERT_DIR=" .. spoilt, ""))
        assert.equal(NO_BUNDLE, replaced("", spoilt))
        assert.equal("trusted\n", ask_with(folder .. "/whole.pem", "", "SSL_CERT_DIR=" .. spoilt))
      end)
    end
  end)

  it("is in nothing but a file that was named", function()
    assert.equal("trusted\n", ask("", sim.ca_file))
    assert.equal("trusted\n", ask("CURL_CA_BUNDLE=" .. sim.ca_file))
    assert.equal("trusted\n", ask("SSL_CERT_FILE=" .. sim.ca_file))
    for _, dir in ipairs { only, certificates } do
      local named = " SSL_CERT_DIR=" .. dir
      assert.equal(UNKNOWN_ISSUER, ask(named, BUNDLE))
      assert.equal(UNKNOWN_ISSUER, ask("CURL_CA_BUNDLE=" .. BUNDLE .. named))
      local other = folder .. "/other.pem"
      assert.equal(UNKNOWN_ISSUER, ask(named, other))
      assert.equal(UNKNOWN_ISSUER, ask("CURL_CA_BUNDLE=" .. other .. named))
      assert.equal(UNKNOWN_ISSUER, ask("SSL_CERT_FILE=" .. other .. named))
    end
  end)

  -- The TLS library waited for the pipe's other end, and the host with it.
  it("is in no pipe, which nobody waits for", function()
    local pipe = folder .. "/pipe"
    helper.output("mkfifo " .. pipe)
    assert.equal(NO_BUNDLE, ask("timeout 60", pipe))
    for _, name in ipairs { "CURL_CA_BUNDLE", "SSL_CERT_FILE" } do
      assert.equal(NO_BUNDLE, ask(name .. "=" .. pipe .. " timeout 60"))
    end
  end)
end)
