-- A libcurl that was built without TLS and proxies (spec/support/curl_faults.c, preloaded): what it has no use for is not
-- asked of it, and what cannot be had is said.

local child = require "spec.support.pairs.child"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CHILD = [[
require("curl_faults").bare()
local veo = require "veo"
local client = veo.new { base_url = %q, api_key = %q, wait = { first = 0.1, interval = 0.1, jitter = 0 } }
local file, err = client:extend_and_save({ taskId = %q, prompt = "x" }, %q)
print(file and "saved" or err)
for _, call in ipairs { "status", "extend" } do
  local secure = veo.new { base_url = "https://127.0.0.1:1", api_key = "k" }
  local _, err = secure[call](secure, call == "status" and "t" or { taskId = "t", prompt = "x" })
  print(err.code, err.sent, err.message)
end]]

describe("a bare libcurl", function()
  local library = child.library()
  local sim

  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)

  it("does the whole job over plain http, and names what https needs", function()
    if not library then return pending "needs curl_faults.so, and LD_PRELOAD" end
    local folder = helper.folder()
    helper.write(folder .. "/run.lua", CHILD:format(sim.url, sim.api_key, sim.source, folder .. "/video.mp4"))
    local said = helper.output(("LD_PRELOAD=%s timeout 120 %s %s/run.lua 2>&1"):format(library, helper.lua(), folder))
    local saved, status, order = said:match("^(.-)\n(.-)\n(.-)\n$")
    assert.equal("saved", saved, said)
    assert.matches("^internal\t%a+\t.*without TLS", status)
    assert.matches("^internal\tno\t.*without TLS", order)
    assert.equal(1, sim:count("POST", "/api/v1/veo/extend"))
  end)
end)
